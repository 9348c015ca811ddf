"""Personal access tokens over the API, for people who signed in themselves: no token makes tokens."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.openapi import PAGE_PARAMETERS
from accounts.serializers import tokens as serializers
from accounts.services import tokens as services
from platform_site.lib.pagination import page_of


class Tokens(APIView):
    interactive_only = True

    @extend_schema(
        operation_id="v1_tokens_list",
        responses=serializers.PersonalAccessTokenPageSerializer,
        parameters=PAGE_PARAMETERS,
    )
    def get(self, request: Request) -> Response:
        page = page_of(services.tokens_of(actor_of(request)), request.query_params)
        found = serializers.PersonalAccessTokenSerializer(page.items, many=True)
        return Response({"results": found.data, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.PersonalAccessTokenCreateSerializer,
        responses={201: serializers.PersonalAccessTokenCreatedSerializer},
    )
    def post(self, request: Request) -> Response:
        form = serializers.PersonalAccessTokenCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        token, raw = services.token_create(
            user=actor_of(request),
            name=values["name"],
            scopes=values.get("scopes"),
            expires_at=values.get("expires_at"),
            organisation_id=values.get("organization"),
        )
        body = {**serializers.PersonalAccessTokenSerializer(token).data, "token": raw}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class TokenDetail(APIView):
    interactive_only = True

    @extend_schema(responses=serializers.PersonalAccessTokenSerializer)
    def get(self, request: Request, token_id: uuid.UUID) -> Response:
        token = services.token_find(user=actor_of(request), token_id=token_id)
        return Response(serializers.PersonalAccessTokenSerializer(token).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        user = actor_of(request)
        services.token_revoke(token=services.token_find(user=user, token_id=token_id), actor=user)
        return Response(status=204)
