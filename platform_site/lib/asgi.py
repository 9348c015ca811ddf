"""What stands in front of Django: who the caller is behind proxies, and limits on what is received before any work.

Django itself would spool a body whole to disk, however long it is and however long it takes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from platform_site.lib.http import ARRIVED_AT, error_body

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FORWARDED = frozenset(
    f"{name}".encode()
    for name in (
        "forwarded",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-real-ip",
        "x-client-ip",
        "x-url-scheme",
    )
)
"""Headers by which proxies speak of the caller. Behind the edge nobody sees one."""


# --- Who calls ----------------------------------------------------------------------------------------------------
def behind_proxies(inner: Application) -> Application:
    """`inner` with the caller's address and scheme in the scope, whether or not a trusted proxy stands between.

    `X-Forwarded-For` and `X-Forwarded-Proto` of a peer in `TRUSTED_PROXIES` are believed, from the right: the caller is
    the first address that is no trusted proxy. All such headers are then taken away, of every peer.
    """

    async def without_headers(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in FORWARDED]
        # A proxy that passes on what it did not check is not to be followed.
        scope["client"] = _plain(scope.get("client")) or scope["steward.peer"]
        await inner(scope, receive, send)

    trusting = ProxyHeadersMiddleware(without_headers, trusted_hosts=list(settings.TRUSTED_PROXIES))  # type: ignore[arg-type]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await inner(scope, receive, send)
            return
        scope["client"] = scope["steward.peer"] = _plain(scope.get("client"))
        await trusting(scope, receive, send)  # type: ignore[arg-type]

    return application


def _plain(client: Any) -> tuple[str, int] | None:
    """Address and port as one writes them; None when it is no address. `::ffff:192.0.2.1` is `192.0.2.1`."""
    try:
        address = ipaddress.ip_address(str(client[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(client[1] or 0)


# --- What is received ---------------------------------------------------------------------------------------------
class _Refused(Exception):
    """The body is too large or too slow; ends what was waiting for it."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code
        self.detail = detail


def capped_bodies(inner: Application) -> Application:
    """`inner` behind limits: `MAX_BODY_BYTES`, announced or not, within `BODY_SECONDS`, and an address that is text."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ARRIVED_AT] = datetime.now(UTC)
        started = False

        async def noted_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            _check_head(scope)
            await inner(scope, _limited(receive), noted_send)
        except _Refused as refused:
            if not started:
                await _answer(scope, send, refused)

    return application


def _check_head(scope: Scope) -> None:
    """Raises:
    _Refused: the query is not ASCII, which Django could not read, or the announced body is too large.
    """
    query = bytes(scope.get("query_string", b""))
    if not query.isascii() or b"\0" in query:
        raise _Refused(400, "The address holds bytes that no address has.")
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if not announced.isdigit() or len(announced) > 12 or int(announced) > settings.MAX_BODY_BYTES:
        raise _too_large()


def _limited(receive: Receive) -> Receive:
    """`receive` that counts bytes and seconds until the body is complete; after that it may wait for ever."""
    deadline = asyncio.get_running_loop().time() + settings.BODY_SECONDS
    seen = 0
    complete = False

    async def limited() -> Message:
        nonlocal seen, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as exc:
            raise _Refused(408, f"The request body did not arrive within {settings.BODY_SECONDS:g} seconds.") from exc
        seen += len(message.get("body", b""))
        if seen > settings.MAX_BODY_BYTES:
            raise _too_large()
        complete = not message.get("more_body", False)
        return message

    return limited


def _too_large() -> _Refused:
    return _Refused(413, f"The request body is larger than {settings.MAX_BODY_BYTES} bytes.")


async def _answer(scope: Scope, send: Send, refused: _Refused) -> None:
    body = error_body(status_code=refused.status_code, detail=refused.detail, path=scope["path"])
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
