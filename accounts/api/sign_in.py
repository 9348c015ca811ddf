"""Signing up, in and out over the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Membership, Organisation, User
from accounts.serializers import accounts as serializers
from accounts.services.accounts import account_authenticate
from accounts.services.families import tokens_issue, tokens_refresh, tokens_revoke
from accounts.services.passwords import password_forgotten, password_reset
from accounts.services.second_factor import second_factor_demand
from accounts.services.sign_up import account_sign_up
from platform_site.lib.http import arrived_at
from platform_site.lib.ratelimit import ScopedRateThrottle


def signed_in_body(user: User, organisation: Organisation | None, tokens: dict[str, Any]) -> dict[str, Any]:
    return {
        "user": serializers.UserSerializer(user).data,
        "organization": serializers.OrganisationSerializer(organisation).data if organisation else None,
        **tokens,
    }


class OpenView(APIView):
    """A door for people who are not signed in yet; slow on purpose."""

    authentication_classes: list[Any] = []
    permission_classes = [permissions.AllowAny]
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "auth"


class SignUp(OpenView):
    @extend_schema(
        request=serializers.SignUpSerializer,
        responses={201: serializers.SignedInSerializer, 202: serializers.SignUpPendingSerializer},
    )
    def post(self, request: Request) -> Response:
        form = serializers.SignUpSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        signed_up = account_sign_up(organisation_name=values.pop("organization"), **values)
        user = signed_up.user
        if signed_up.must_verify:
            detail = f"We sent a link to {user.email}. Follow it to confirm your address, then sign in."
            return Response({"user": serializers.UserSerializer(user).data, "detail": detail}, status=202)
        return Response(signed_in_body(user, signed_up.organisation, tokens_issue(user=user)), status=201)


class Login(OpenView):
    @extend_schema(request=serializers.LoginSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.LoginSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user = account_authenticate(email=values["email"], password=values["password"], request=request._request)
        second_factor = second_factor_demand(user=user, code=values["otp"])
        tokens = tokens_issue(user=user, client=values["client"], method="password", second_factor=second_factor)
        return Response(signed_in_body(user, Membership.objects.organisation_for(user, None), tokens))


class Refresh(OpenView):
    # Many people renew tokens behind one address, and a token is nothing to guess.
    throttle_scope = "tokens"

    @extend_schema(request=serializers.RefreshSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user, tokens = tokens_refresh(form.validated_data["refresh"], arrived_at=arrived_at(request._request))
        return Response(signed_in_body(user, Membership.objects.organisation_for(user, None), tokens))


class Logout(OpenView):
    throttle_scope = "tokens"

    @extend_schema(request=serializers.RefreshSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        tokens_revoke(form.validated_data["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordForgotten(OpenView):
    """Asks for a link by mail; the answer is the same whether or not there is such an account."""

    @extend_schema(request=serializers.PasswordForgottenSerializer, responses={202: serializers.SentenceSerializer})
    def post(self, request: Request) -> Response:
        form = serializers.PasswordForgottenSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        password_forgotten(email=form.validated_data["email"])
        return Response({"detail": "If there is an account with this address, a link is on its way to it."}, status=202)


class PasswordReset(OpenView):
    """Sets a new password with the token of such a link, and ends every session and API sign-in."""

    @extend_schema(request=serializers.PasswordResetSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        form = serializers.PasswordResetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        password_reset(**form.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)
