"""How the API knows who calls: a bearer token, or the session of the pages with CSRF."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts.middleware import enter_organisation
from accounts.models import User

VERSION_CLAIM = "ver"


class TokenAuthentication(JWTAuthentication):  # type: ignore[misc]
    """A JWT in `Authorization: Bearer`, refused once the user was disabled or their tokens were outdated."""

    def get_user(self, validated_token: Any) -> Any:
        user = super().get_user(validated_token)
        if not isinstance(user, User) or validated_token.get(VERSION_CLAIM) != user.token_version:
            raise InvalidToken("This token is no longer valid. Sign in again.")
        return user

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        if found is not None:
            enter_organisation(request._request, found[0])
        return found


class CookieSessionAuthentication(SessionAuthentication):
    """The pages' session; unsafe methods need the CSRF token."""

    def authenticate_header(self, request: Request) -> str:
        return "Session"


def issue_tokens(user: User) -> dict[str, Any]:
    """A fresh pair: `{access, refresh, expires_in}` with `expires_in` in seconds."""
    refresh = RefreshToken.for_user(user)
    return token_pair(refresh, user)


def token_pair(refresh: Any, user: User) -> dict[str, Any]:
    refresh[VERSION_CLAIM] = user.token_version
    access: AccessToken = refresh.access_token
    access[VERSION_CLAIM] = user.token_version
    return {
        "access": str(access),
        "refresh": str(refresh),
        "expires_in": int(access.lifetime.total_seconds()),
    }
