"""The HTTP side of the server: uvicorn's own, with limits on the head of a request, for which it has none."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
HEAD_SECONDS = 15.0


class HeadTooLarge(Exception):
    """Ends the parsing of a request; the connection answers 400 and closes."""


class LimitedHttp(HttpToolsProtocol):  # type: ignore[misc]
    """Closes connections whose request line and headers are too long, too many, or too slow in coming."""

    _head_bytes = 0
    _in_head = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # One long header reaches `on_header` only when it has ended.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._begin_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            raise HeadTooLarge
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close_late)

    def _end_head(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def server_config(*, grace_seconds: int) -> uvicorn.Config:
    """How uvicorn serves Steward.

    Args:
        grace_seconds: how long requests under way may take when the server ends.
    """
    return uvicorn.Config(
        "platform_site.asgi:application",
        http=LimitedHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Uvicorn would believe every peer on the loopback; lib/asgi.py believes those that were named.
        proxy_headers=False,
        ws_max_size=64 * 1024,
        # Compressing each frame once per viewer costs more than the bytes it saves.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=grace_seconds,
    )
