"""The second factor over the API, for people who signed in themselves."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.serializers import second_factor as serializers
from accounts.services import second_factor as services

NO_STORE = {"Cache-Control": "no-store"}


def code_of(request: Request) -> str:
    form = serializers.CodeSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    return str(form.validated_data["code"])


class SecondFactor(APIView):
    interactive_only = True

    @extend_schema(responses=serializers.SecondFactorSerializer)
    def get(self, request: Request) -> Response:
        user = actor_of(request)
        authenticator = services.authenticator_of(user)
        state = {
            "enabled": authenticator is not None,
            "enabled_at": authenticator.confirmed_at if authenticator else None,
            "recovery_codes_left": services.recovery_codes_left(user),
        }
        return Response(serializers.SecondFactorSerializer(state).data)

    @extend_schema(request=None, responses={201: serializers.AuthenticatorSerializer})
    def post(self, request: Request) -> Response:
        authenticator = services.authenticator_begin(user=actor_of(request))
        body = {"secret": authenticator.secret, "otpauth_url": services.otpauth_url(authenticator)}
        return Response(body, status=201, headers=NO_STORE)

    @extend_schema(request=serializers.CodeSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        services.authenticator_remove(user=actor_of(request), code=code_of(request))
        return Response(status=204)


class SecondFactorConfirm(APIView):
    interactive_only = True

    @extend_schema(request=serializers.CodeSerializer, responses=serializers.RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        codes = services.authenticator_confirm(user=actor_of(request), code=code_of(request))
        return Response({"recovery_codes": codes}, headers=NO_STORE)


class RecoveryCodes(APIView):
    interactive_only = True

    @extend_schema(request=serializers.CodeSerializer, responses=serializers.RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        codes = services.recovery_codes_replace(user=actor_of(request), code=code_of(request))
        return Response({"recovery_codes": codes}, headers=NO_STORE)
