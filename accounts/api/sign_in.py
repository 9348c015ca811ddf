"""Signing up, in and out over the API."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Membership, Organisation, User
from accounts.serializers import accounts as serializers
from accounts.services.accounts import account_authenticate, account_create
from accounts.services.families import tokens_issue, tokens_refresh, tokens_revoke
from platform_site.lib.errors import PermissionRefused
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
    @extend_schema(request=serializers.SignUpSerializer, responses={201: serializers.SignedInSerializer})
    def post(self, request: Request) -> Response:
        if not settings.SIGN_UP_OPEN:
            raise PermissionRefused("Sign-up is closed on this installation. Ask an administrator for an account.")
        form = serializers.SignUpSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        user, organisation = account_create(
            email=values["email"],
            password=values["password"],
            name=values["name"],
            organisation_name=values["organization"],
        )
        return Response(signed_in_body(user, organisation, tokens_issue(user=user)), status=status.HTTP_201_CREATED)


class Login(OpenView):
    @extend_schema(request=serializers.LoginSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.LoginSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = account_authenticate(
            email=form.validated_data["email"], password=form.validated_data["password"], request=request._request
        )
        organisation = Membership.objects.organisation_for(user, None)
        return Response(signed_in_body(user, organisation, tokens_issue(user=user)))


class Refresh(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user, tokens = tokens_refresh(form.validated_data["refresh"], arrived_at=arrived_at(request._request))
        return Response(signed_in_body(user, Membership.objects.organisation_for(user, None), tokens))


class Logout(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        tokens_revoke(form.validated_data["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)
