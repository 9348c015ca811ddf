"""Users over the API, for platform Administrators."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.api.organisations import posted_values
from accounts.credentials import MANAGE
from accounts.models import PlatformRole, User
from accounts.openapi import PAGE_PARAMETERS
from accounts.permissions import require_administrator
from accounts.serializers import organisations as serializers
from accounts.services import users as services
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.pagination import choice_of, known_parameters, page_of

MAX_TEXT = 100


class Users(APIView):
    scope = MANAGE

    @extend_schema(
        operation_id="v1_users_list",
        responses=serializers.DirectoryPageSerializer,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("role", str, enum=PlatformRole.values),
            OpenApiParameter("is_active", str, enum=["true", "false"]),
            OpenApiParameter("q", str, description="Text in the e-mail address or the name, in any case."),
        ],
    )
    def get(self, request: Request) -> Response:
        actor = administrator_of(request)
        parameters = request.query_params
        known_parameters(parameters, "limit", "cursor", "role", "is_active", "q")
        is_active = choice_of(parameters, "is_active", ["true", "false"])
        text = parameters.get("q", "").strip()
        if len(text) > MAX_TEXT or "\0" in text:
            raise InvalidRequest("`q` is not valid.", errors={"q": [f"Up to {MAX_TEXT} characters."]})
        found = services.users_of(
            actor,
            role=choice_of(parameters, "role", [str(value) for value in PlatformRole.values]),
            is_active=None if is_active is None else is_active == "true",
            text=text,
        )
        page = page_of(found, parameters)
        body = serializers.DirectoryUserSerializer(page.items, many=True).data
        return Response({"results": body, "next_cursor": page.next_cursor})

    @extend_schema(request=serializers.UserCreateSerializer, responses={201: serializers.DirectoryUserSerializer})
    def post(self, request: Request) -> Response:
        actor = administrator_of(request)
        values = posted_values(request, serializers.UserCreateSerializer)
        user = services.user_create_by_administrator(actor=actor, **values)
        return Response(serializers.DirectoryUserSerializer(user).data, status=201)


class UserDetail(APIView):
    scope = MANAGE

    @extend_schema(responses=serializers.DirectoryUserSerializer)
    def get(self, request: Request, user_id: uuid.UUID) -> Response:
        found = services.user_find(user_id, actor=administrator_of(request))
        return Response(serializers.DirectoryUserSerializer(found).data)

    @extend_schema(request=serializers.UserChangeSerializer, responses=serializers.DirectoryUserSerializer)
    def patch(self, request: Request, user_id: uuid.UUID) -> Response:
        actor = administrator_of(request)
        found = services.user_find(user_id, actor=actor)
        values = posted_values(request, serializers.UserChangeSerializer)
        changed = services.user_change(user=found, actor=actor, **values)
        return Response(serializers.DirectoryUserSerializer(changed).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        actor = administrator_of(request)
        services.user_delete(user=services.user_find(user_id, actor=actor), actor=actor)
        return Response(status=204)


def administrator_of(request: Request) -> User:
    """The caller.

    Raises:
        PermissionRefused: they are no platform Administrator.
    """
    actor = actor_of(request)
    require_administrator(actor)
    return actor
