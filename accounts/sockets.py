"""Who is on the other end of a WebSocket: the pages' session, or a bearer token in the handshake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from rest_framework.exceptions import APIException

from accounts import tenancy
from accounts.authentication import bearer_authenticate, bearer_of
from accounts.credentials import Credential
from accounts.middleware import ORGANISATION_KEY, session_credential
from accounts.models import Membership, User
from platform_site.lib.errors import NotAuthenticated


class SignedIn:
    """ASGI middleware: puts `user`, `credential` and `organisation_id` into the scope; foreign origins are refused.

    A browser sends cookies with any WebSocket, so the Origin decides before the session counts. A client that sends
    no Origin is no browser and must bring a token.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not origin_allowed(headers):
            await send({"type": "websocket.close", "code": 4403})
            return
        scope = dict(scope)
        user, credential = await database_sync_to_async(_credentials_of)(scope, headers)
        scope["user"], scope["credential"] = user, credential
        scope["organisation_id"] = await database_sync_to_async(_organisation_of)(scope, headers, user)
        await self._inner(scope, receive, send)


def signed_in(inner: Any) -> Any:
    """`inner` behind cookies, session and `SignedIn`."""
    return CookieMiddleware(SessionMiddleware(SignedIn(inner)))


def origin_allowed(headers: dict[str, str]) -> bool:
    """Whether the handshake comes from this site or a configured origin."""
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin in settings.CORS_ALLOWED_ORIGINS or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    return urlsplit(origin).netloc == headers.get("host")


def _credentials_of(scope: dict[str, Any], headers: dict[str, str]) -> tuple[User | None, Credential | None]:
    if "authorization" in headers:
        raw = bearer_of(headers["authorization"])
        try:
            return bearer_authenticate(raw) if raw else (None, None)
        except APIException:
            return None, None
    if "origin" not in headers:
        return None, None
    request = HttpRequest()
    request.session = scope["session"]
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None, None
    request.user = user
    return user, session_credential(request)


def _organisation_of(scope: dict[str, Any], headers: dict[str, str], user: User | None) -> Any:
    if user is None:
        return None
    wanted = headers.get("x-organization") or scope["session"].get(ORGANISATION_KEY)
    organisation = Membership.objects.organisation_for(user, wanted)
    return organisation.pk if organisation else None


@contextmanager
def socket_scope(scope: dict[str, Any]) -> Iterator[None]:
    """Opens the organisation of a socket's user.

    Raises:
        NotAuthenticated: nobody is signed in on this socket.
    """
    if scope.get("user") is None or scope.get("organisation_id") is None:
        raise NotAuthenticated("Sign in to follow this run.")
    with tenancy.organisation_scope(scope["organisation_id"]):
        yield
