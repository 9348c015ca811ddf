"""The signed-in user over the API: who they are, their password, and where they are signed in."""

from __future__ import annotations

import uuid

from django.contrib.auth import update_session_auth_hash
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.credentials import SESSION
from accounts.serializers import accounts as serializers
from accounts.services import sessions as services
from accounts.services.accounts import account_rename
from accounts.services.passwords import password_change


class Me(APIView):
    @extend_schema(responses=serializers.MeSerializer)
    def get(self, request: Request) -> Response:
        return Response(serializers.MeSerializer(actor_of(request)).data)

    @extend_schema(request=serializers.MeSerializer, responses=serializers.MeSerializer)
    def patch(self, request: Request) -> Response:
        user = actor_of(request)
        form = serializers.MeSerializer(user, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        if "name" in form.validated_data:
            account_rename(user=user, name=form.validated_data["name"])
        return Response(serializers.MeSerializer(user).data)


class MyPassword(APIView):
    """Changes one's own password; other sessions and API sign-ins end."""

    interactive_only = True

    @extend_schema(request=serializers.PasswordChangeSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        form = serializers.PasswordChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user, credential, values = actor_of(request), credential_of(request), form.validated_data
        keep = credential.id if credential else None
        password_change(user=user, current=values["current_password"], new=values["new_password"], keep=keep)
        if credential is not None and credential.kind == SESSION:
            update_session_auth_hash(request._request, user)
        return Response(status=204)


class MySessions(APIView):
    """Where one is signed in: browsers and API sign-ins together."""

    interactive_only = True

    @extend_schema(operation_id="v1_users_me_sessions_list", responses=serializers.SignInPlacesSerializer)
    def get(self, request: Request) -> Response:
        found = services.sign_ins_of(actor_of(request), current=credential_of(request))
        return Response({"results": serializers.SignInPlaceSerializer(found, many=True).data})

    @extend_schema(
        operation_id="v1_users_me_sessions_end_others",
        responses={204: None},
        description="Signs out everywhere but here.",
    )
    def delete(self, request: Request) -> Response:
        user, credential = actor_of(request), credential_of(request)
        keep = credential.id if credential else None
        services.sign_out_everywhere(user=user, actor=user, reason="asked for", keep=keep)
        return Response(status=204)


class MySession(APIView):
    interactive_only = True

    @extend_schema(responses={204: None}, description="Signs out in one place; one that has ended is answered 404.")
    def delete(self, request: Request, session_id: uuid.UUID) -> Response:
        services.sign_in_end(user=actor_of(request), sign_in_id=session_id)
        return Response(status=204)
