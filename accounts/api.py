"""The accounts part of `/api/v1`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import serializers, services
from accounts.actor import actor_of
from accounts.authentication import VERSION_CLAIM, issue_tokens, token_pair
from accounts.models import Membership, Organisation, User
from platform_site.lib.errors import NotAuthenticated, NotFound, PermissionRefused
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
        user, organisation = services.account_create(
            email=values["email"],
            password=values["password"],
            name=values["name"],
            organisation_name=values["organization"],
        )
        return Response(signed_in_body(user, organisation, issue_tokens(user)), status=status.HTTP_201_CREATED)


class Login(OpenView):
    @extend_schema(request=serializers.LoginSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.LoginSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        user = services.account_authenticate(
            email=form.validated_data["email"], password=form.validated_data["password"], request=request._request
        )
        organisation = Membership.objects.organisation_for(user, None)
        return Response(signed_in_body(user, organisation, issue_tokens(user)))


def live_refresh_token(raw: str) -> tuple[Any, User]:
    """The refresh token and its user.

    Raises:
        NotAuthenticated: it is malformed, expired, used before, of the wrong kind, or outdated.
    """
    try:
        token = RefreshToken(raw)  # type: ignore[arg-type] # the library takes the encoded text
        user = User.objects.filter(pk=token["user_id"], is_active=True).first()
    except (TokenError, KeyError, ValueError) as exc:
        raise NotAuthenticated("This refresh token is not valid. Sign in again.") from exc
    if user is None or token.get(VERSION_CLAIM) != user.token_version:
        raise NotAuthenticated("This refresh token is no longer valid. Sign in again.")
    return token, user


class Refresh(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses=serializers.SignedInSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        token, user = live_refresh_token(form.validated_data["refresh"])
        token.blacklist()
        fresh = RefreshToken.for_user(user)
        return Response(signed_in_body(user, Membership.objects.organisation_for(user, None), token_pair(fresh, user)))


class Logout(OpenView):
    @extend_schema(request=serializers.RefreshSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        form = serializers.RefreshSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        token, _ = live_refresh_token(form.validated_data["refresh"])
        token.blacklist()
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(APIView):
    @extend_schema(responses=serializers.UserSerializer)
    def get(self, request: Request) -> Response:
        return Response(serializers.UserSerializer(actor_of(request)).data)

    @extend_schema(request=serializers.UserSerializer, responses=serializers.UserSerializer)
    def patch(self, request: Request) -> Response:
        form = serializers.UserSerializer(actor_of(request), data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        form.save()
        return Response(form.data)


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
