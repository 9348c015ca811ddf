"""Invitations over the API. Their tokens are in the mails alone."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.api.organisations import organisation_of, posted_values
from accounts.credentials import MANAGE as MANAGE_SCOPE
from accounts.models import Invitation
from accounts.openapi import PAGE_PARAMETERS
from accounts.permissions import MANAGE, require_in
from accounts.serializers import organisations as serializers
from accounts.services import invitations as services
from accounts.services.organisations import organisation_find
from accounts.tenancy import organisation_scope
from platform_site.lib.pagination import choice_of, known_parameters, page_of


class Invitations(APIView):
    scope = {"POST": MANAGE_SCOPE}

    @extend_schema(
        operation_id="v1_organizations_invitations_list",
        responses=serializers.InvitationPageSerializer,
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", str, enum=services.STATES)],
    )
    def get(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        known_parameters(request.query_params, "limit", "cursor", "state")
        state = choice_of(request.query_params, "state", list(services.STATES))
        found = services.invitations_of(organisation, actor=actor_of(request), states=[state] if state else [])
        with organisation_scope(organisation.pk):
            page = page_of(found, request.query_params)
        body = serializers.InvitationSerializer(page.items, many=True).data
        return Response({"results": body, "next_cursor": page.next_cursor})

    @extend_schema(request=serializers.InviteSerializer, responses={201: serializers.InvitationSerializer})
    def post(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        require_in(actor_of(request), MANAGE, organisation.pk)
        values = posted_values(request, serializers.InviteSerializer)
        made = services.invitation_create(organisation=organisation, actor=actor_of(request), **values)
        return Response(serializers.InvitationSerializer(made).data, status=201)


class InvitationView(APIView):
    """A view of one invitation."""

    def found(self, request: Request, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> Invitation:
        organisation = organisation_of(request, organisation_id)
        return services.invitation_of(invitation_id, organisation=organisation, actor=actor_of(request))


class InvitationDetail(InvitationView):
    scope = {"DELETE": MANAGE_SCOPE}

    @extend_schema(responses=serializers.InvitationSerializer)
    def get(self, request: Request, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> Response:
        return Response(serializers.InvitationSerializer(self.found(request, organisation_id, invitation_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> Response:
        invitation = self.found(request, organisation_id, invitation_id)
        services.invitation_revoke(invitation=invitation, actor=actor_of(request))
        return Response(status=204)


class InvitationResend(InvitationView):
    scope = MANAGE_SCOPE

    @extend_schema(request=None, responses=serializers.InvitationSerializer)
    def post(self, request: Request, organisation_id: uuid.UUID, invitation_id: uuid.UUID) -> Response:
        invitation = self.found(request, organisation_id, invitation_id)
        sent = services.invitation_resend(invitation=invitation, actor=actor_of(request))
        return Response(serializers.InvitationSerializer(sent).data)


class InvitationAccept(APIView):
    """Takes up an invitation that was sent to the caller's address; the answer is the organisation."""

    interactive_only = True

    @extend_schema(request=serializers.InvitationAcceptSerializer, responses=serializers.OrganisationDetailSerializer)
    def post(self, request: Request) -> Response:
        values = posted_values(request, serializers.InvitationAcceptSerializer)
        membership = services.invitation_accept(token=values["token"], user=actor_of(request))
        joined = organisation_find(membership.organisation_id, user=actor_of(request))
        return Response(serializers.OrganisationDetailSerializer(joined).data)
