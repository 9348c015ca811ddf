"""What stands in front of Django: a cap on bodies, which Django itself would first spool whole to disk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from platform_site.lib.http import ARRIVED_AT, error_body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    pass


def capped_bodies(inner: Application) -> Application:
    """`inner` behind a limit of `MAX_BODY_BYTES`, whether the length is announced or not."""

    async def application(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        scope[ARRIVED_AT] = datetime.now(UTC)
        limit = settings.MAX_BODY_BYTES
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or len(announced) > 12 or int(announced) > limit:
            await _refuse(scope, send)
            return
        seen = 0
        started = False

        async def counted_receive() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def noted_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await inner(scope, counted_receive, noted_send)
        except _TooLarge:
            if not started:
                await _refuse(scope, send)

    return application


async def _refuse(scope: MutableMapping[str, Any], send: Send) -> None:
    body = error_body(
        status_code=413,
        detail=f"The request body is larger than {settings.MAX_BODY_BYTES} bytes.",
        path=scope["path"],
    )
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
