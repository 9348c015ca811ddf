"""How the API knows who calls: a bearer token, or the session of the pages with CSRF."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.credentials import JWT, TOKEN, Credential
from accounts.middleware import enter_organisation
from accounts.models import User
from accounts.services import tokens
from accounts.services.families import access_find
from platform_site.lib.errors import NotAuthenticated


def bearer_of(header: str) -> str | None:
    """The token of an `Authorization` header, None when it holds none (RFC 6750, section 2.1)."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def bearer_authenticate(raw: str) -> tuple[User, Credential]:
    """Who holds a bearer token, and the credential it is.

    Raises:
        AuthenticationFailed: it is malformed, expired or revoked, or its user may no longer sign in.
    """
    return _token_authenticate(raw) if raw.startswith(tokens.PREFIX) else _jwt_authenticate(raw)


def _token_authenticate(raw: str) -> tuple[User, Credential]:
    try:
        token = tokens.token_authenticate(raw)
    except NotAuthenticated as exc:
        raise AuthenticationFailed(exc.detail) from exc
    label, scopes = f"token {token.name}", frozenset(token.scopes)
    return token.user, Credential(TOKEN, token.pk, token.user_id, label, scopes, organisation_id=token.organisation_id)


def _jwt_authenticate(raw: str) -> tuple[User, Credential]:
    try:
        family = access_find(raw)
    except NotAuthenticated as exc:
        raise AuthenticationFailed(exc.detail) from exc
    label = f"API sign-in {family.client}".strip()
    return family.user, Credential(JWT, family.pk, family.user_id, label, second_factor=family.second_factor)


class TokenAuthentication(BaseAuthentication):
    """A bearer token in the `Authorization` header, the only place where one is read."""

    def authenticate(self, request: Request) -> tuple[User, Credential] | None:
        raw = bearer_of(request.headers.get("Authorization", ""))
        if raw is None:
            return None
        user, credential = bearer_authenticate(raw)
        enter_organisation(request._request, user, credential)
        return user, credential

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class CookieSessionAuthentication(SessionAuthentication):
    """The pages' session; unsafe methods need the CSRF token."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        return (found[0], credential_of(request._request)) if found else None

    def authenticate_header(self, request: Request) -> str:
        return "Session"


def credential_of(request: HttpRequest | Request) -> Credential | None:
    """The credential that a request was opened with, None for strangers."""
    django_request = request._request if isinstance(request, Request) else request
    return getattr(django_request, "credential", None)
