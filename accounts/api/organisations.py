"""Organisations and their members over the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.models import Organisation
from accounts.serializers import accounts as serializers
from platform_site.lib.errors import NotFound


class Organisations(APIView):
    @extend_schema(responses=serializers.OrganisationSerializer(many=True))
    def get(self, request: Request) -> Response:
        mine = Organisation.objects.filter(memberships__user=actor_of(request))
        return Response({"results": serializers.OrganisationSerializer(mine, many=True).data})


class Members(APIView):
    @extend_schema(responses=serializers.MembershipSerializer(many=True))
    def get(self, request: Request, organisation_id: str) -> Response:
        organisation = Organisation.objects.filter(pk=organisation_id, memberships__user=actor_of(request)).first()
        if organisation is None:
            raise NotFound("There is no such organisation.")
        members = organisation.memberships.select_related("user")
        return Response({"results": serializers.MembershipSerializer(members, many=True).data})
