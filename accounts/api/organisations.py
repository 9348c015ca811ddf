"""Organisations and their members over the API."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.credentials import MANAGE as MANAGE_SCOPE
from accounts.middleware import entered_id
from accounts.models import Membership, Organisation, Role
from accounts.openapi import PAGE_PARAMETERS
from accounts.permissions import MANAGE, OWN, require_in
from accounts.serializers import organisations as serializers
from accounts.services import closing, memberships
from accounts.services import organisations as services
from platform_site.lib.errors import PermissionRefused
from platform_site.lib.pagination import choice_of, known_parameters, page_of


def organisation_of(request: Request, organisation_id: uuid.UUID) -> Organisation:
    """The open organisation that a path names, where the caller belongs to it or has entered it."""
    return services.organisation_find(
        organisation_id, user=actor_of(request), credential=credential_of(request), entered=entered_id(request)
    )


def posted_values(request: Request, serializer: type[Any]) -> dict[str, Any]:
    """What was sent, checked; anything that the serializer does not name is ignored."""
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def _shown(organisation: Organisation) -> Response:
    return Response(serializers.OrganisationDetailSerializer(organisation).data)


# --- Organisations ------------------------------------------------------------------------------------------------
class Organisations(APIView):
    scope = {"POST": MANAGE_SCOPE}

    @extend_schema(
        operation_id="v1_organizations_list",
        responses=serializers.OrganisationPageSerializer,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("state", str, enum=["open", "closed"], description="Closed: those you can reopen."),
        ],
    )
    def get(self, request: Request) -> Response:
        known_parameters(request.query_params, "limit", "cursor", "state")
        user = actor_of(request)
        closed = choice_of(request.query_params, "state", ["open", "closed"]) == "closed"
        mine = (
            services.organisations_closed_of(user)
            if closed
            else services.organisations_of(user, credential_of(request))
        )
        page = page_of(mine, request.query_params)
        found = serializers.OrganisationDetailSerializer(page.items, many=True)
        return Response({"results": found.data, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.OrganisationNameSerializer, responses={201: serializers.OrganisationDetailSerializer}
    )
    def post(self, request: Request) -> Response:
        credential = credential_of(request)
        if credential and credential.organisation_id:
            raise PermissionRefused("This token is limited to one organisation.")
        values = posted_values(request, serializers.OrganisationNameSerializer)
        made = services.organisation_create(name=values["name"], owner=actor_of(request))
        found = services.organisation_find(made.pk, user=actor_of(request))
        return Response(serializers.OrganisationDetailSerializer(found).data, status=201)


class OrganisationDetail(APIView):
    scope = {"PATCH": MANAGE_SCOPE}

    @extend_schema(responses=serializers.OrganisationDetailSerializer)
    def get(self, request: Request, organisation_id: uuid.UUID) -> Response:
        return _shown(organisation_of(request, organisation_id))

    @extend_schema(request=serializers.OrganisationNameSerializer, responses=serializers.OrganisationDetailSerializer)
    def patch(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        require_in(actor_of(request), MANAGE, organisation.pk)
        values = posted_values(request, serializers.OrganisationNameSerializer)
        services.organisation_rename(organisation=organisation, name=values["name"], actor=actor_of(request))
        return _shown(organisation_of(request, organisation_id))


class OrganisationLeave(APIView):
    scope = MANAGE_SCOPE

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, organisation_id: uuid.UUID) -> Response:
        memberships.membership_leave(organisation=organisation_of(request, organisation_id), actor=actor_of(request))
        return Response(status=204)


class OrganisationTransfer(APIView):
    scope = MANAGE_SCOPE

    @extend_schema(request=serializers.OrganisationTransferSerializer, responses=serializers.MembershipSerializer)
    def post(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        require_in(actor_of(request), OWN, organisation.pk)
        values = posted_values(request, serializers.OrganisationTransferSerializer)
        heir = memberships.membership_find(values["membership"], organisation=organisation)
        changed = memberships.organisation_transfer(membership=heir, actor=actor_of(request))
        return Response(serializers.MembershipSerializer(changed).data)


class OrganisationClose(APIView):
    scope = MANAGE_SCOPE

    @extend_schema(request=serializers.OrganisationNameSerializer, responses=serializers.OrganisationDetailSerializer)
    def post(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        require_in(actor_of(request), OWN, organisation.pk)
        values = posted_values(request, serializers.OrganisationNameSerializer)
        return _shown(
            closing.organisation_close(organisation=organisation, confirmation=values["name"], actor=actor_of(request))
        )


class OrganisationReopen(APIView):
    scope = MANAGE_SCOPE

    @extend_schema(request=None, responses=serializers.OrganisationDetailSerializer)
    def post(self, request: Request, organisation_id: uuid.UUID) -> Response:
        actor = actor_of(request)
        organisation = services.organisation_closed_find(organisation_id, user=actor, credential=credential_of(request))
        return _shown(closing.organisation_reopen(organisation=organisation, actor=actor))


# --- Members ------------------------------------------------------------------------------------------------------
class Members(APIView):
    @extend_schema(
        operation_id="v1_organizations_members_list",
        responses=serializers.MembershipPageSerializer,
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("role", str, enum=Role.values)],
    )
    def get(self, request: Request, organisation_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        known_parameters(request.query_params, "limit", "cursor", "role")
        found = Membership.objects.filter(organisation=organisation).select_related("user")
        if role := choice_of(request.query_params, "role", [str(value) for value in Role.values]):
            found = found.filter(role=role)
        page = page_of(found, request.query_params)
        body = serializers.MembershipSerializer(page.items, many=True).data
        return Response({"results": body, "next_cursor": page.next_cursor})


class MemberDetail(APIView):
    scope = {"PATCH": MANAGE_SCOPE, "DELETE": MANAGE_SCOPE}

    @extend_schema(responses=serializers.MembershipSerializer)
    def get(self, request: Request, organisation_id: uuid.UUID, membership_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        found = memberships.membership_find(membership_id, organisation=organisation)
        return Response(serializers.MembershipSerializer(found).data)

    @extend_schema(request=serializers.RoleSerializer, responses=serializers.MembershipSerializer)
    def patch(self, request: Request, organisation_id: uuid.UUID, membership_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        found = memberships.membership_find(membership_id, organisation=organisation)
        require_in(actor_of(request), MANAGE, organisation.pk)
        values = posted_values(request, serializers.RoleSerializer)
        changed = memberships.membership_change(membership=found, role=values["role"], actor=actor_of(request))
        return Response(serializers.MembershipSerializer(changed).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, organisation_id: uuid.UUID, membership_id: uuid.UUID) -> Response:
        organisation = organisation_of(request, organisation_id)
        found = memberships.membership_find(membership_id, organisation=organisation)
        memberships.membership_remove(membership=found, actor=actor_of(request))
        return Response(status=204)
