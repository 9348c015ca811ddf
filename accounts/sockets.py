"""Who is on the other end of a WebSocket: the pages' session, or a bearer token in the handshake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import APIException

from accounts import credentials, tenancy
from accounts.authentication import bearer_authenticate, bearer_of
from accounts.credentials import READ, SESSION, Credential
from accounts.middleware import ORGANISATION_KEY, choose_organisation, session_credential
from accounts.models import User
from accounts.scopes import require_scope
from platform_site.lib import origin
from platform_site.lib.errors import NotAuthenticated, NotFound, PermissionRefused


class SignedIn:
    """ASGI middleware: puts `user`, `credential` and `organisation_id` into the scope; foreign origins are refused.

    A browser sends cookies with any WebSocket, so the Origin decides before the session counts. A client that sends
    no Origin is no browser and must bring a token.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not origin_allowed(scope, headers):
            await send({"type": "websocket.close", "code": 4403})
            return
        scope = dict(scope)
        # For the audit trail; this task is the socket's own, so nothing needs to be put back.
        address = (scope.get("client") or ("",))[0]
        origin.current.set(origin.Origin(address, headers.get("user-agent", "")[: origin.MAX_USER_AGENT]))
        user, credential = await database_sync_to_async(_credentials_of)(scope, headers)
        scope["user"], scope["credential"] = user, credential
        credentials.current.set(credential)
        scope["organisation_id"] = await database_sync_to_async(_organisation_of)(scope, headers)
        await self._inner(scope, receive, send)


def signed_in(inner: Any) -> Any:
    """`inner` behind cookies, session and `SignedIn`."""
    return CookieMiddleware(SessionMiddleware(SignedIn(inner)))


def origin_allowed(scope: dict[str, Any], headers: dict[str, str]) -> bool:
    """Whether the handshake comes from no browser, from this site, or from a site that was named."""
    came_from = headers.get("origin")
    return came_from is None or came_from in settings.CORS_ALLOWED_ORIGINS or is_own_origin(scope, headers)


def is_own_origin(scope: dict[str, Any], headers: dict[str, str]) -> bool:
    """Whether a page of this site (or one that may send its forms) opened the socket, so that its session counts.

    As for forms: scheme, name and port must all be those that the request came to, and the name one of ours.
    """
    came_from, host = headers.get("origin", ""), headers.get("host", "").lower()
    if came_from in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
    name, _ = split_domain_port(host)
    return came_from.lower() == f"{scheme}://{host}" and bool(name) and validate_host(name, settings.ALLOWED_HOSTS)


def _credentials_of(scope: dict[str, Any], headers: dict[str, str]) -> tuple[User | None, Credential | None]:
    if "authorization" in headers:
        raw = bearer_of(headers["authorization"])
        try:
            return bearer_authenticate(raw) if raw else (None, None)
        except APIException:
            return None, None
    if not is_own_origin(scope, headers):
        return None, None
    request = HttpRequest()
    request.session = scope["session"]
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None, None
    request.user = user
    credential = session_credential(request)
    return (user, credential) if credential else (None, None)


def _organisation_of(scope: dict[str, Any], headers: dict[str, str]) -> uuid.UUID | None:
    user, credential = scope["user"], scope["credential"]
    if user is None:
        return None
    remembered = scope["session"].get(ORGANISATION_KEY) if credential.kind == SESSION else None
    try:
        organisation = choose_organisation(user, headers.get("x-organization"), credential, remembered=remembered)
    except NotFound as exc:
        scope["refused"] = exc
        return None
    return organisation.pk if organisation else None


@contextmanager
def socket_scope(scope: dict[str, Any]) -> Iterator[None]:
    """Opens the organisation of a socket's user.

    Raises:
        NotAuthenticated: nobody is signed in on this socket.
        NotFound: the organisation that the handshake names is not open to them.
        PermissionRefused: they belong to no organisation, or their token may not read.
    """
    if scope.get("user") is None:
        raise NotAuthenticated("Sign in to follow this run.")
    if refused := scope.get("refused"):
        raise refused
    if scope["organisation_id"] is None:
        raise PermissionRefused("Choose an organisation first: your account belongs to none.")
    require_scope(scope["credential"], READ)
    with tenancy.organisation_scope(scope["organisation_id"]):
        yield
