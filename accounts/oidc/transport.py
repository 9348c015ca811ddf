"""One HTTP call to the identity provider. It ends in time, however slowly the provider talks, and at a size.

A timeout for each read is not enough: who sends a byte a second never lets it expire. So a call runs on an event loop
of its own, in a thread that serves all calls of the process, and is cancelled when its time is over; that cuts name
resolution, handshake, headers and body alike.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import ssl
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from platform_site.lib.errors import Unavailable, UpstreamError

MAX_ANSWER_BYTES = 1024 * 1024
SILENT = "The identity provider did not answer."


class Deadline:
    """When a whole piece of work has to be over, however many calls it takes.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self._until - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """The earlier of this one and `seconds` from now."""
        return Deadline(min(seconds, self.remaining))


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            UpstreamError: it is something else.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise UpstreamError("The identity provider's answer is not JSON.") from exc
        if not isinstance(value, dict):
            raise UpstreamError("The identity provider's answer is not a JSON object.")
        return value


def require_secure(url: object, name: str) -> str:
    """`url` when it can be trusted with codes and tokens: HTTPS, or HTTP on this machine.

    Raises:
        UpstreamError: it is not.
    """
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    is_plain_http = parts.scheme == "http" and _is_loopback(parts.hostname or "")
    is_odd = parts.username is not None or parts.fragment
    if not parts.hostname or is_odd or (parts.scheme != "https" and not is_plain_http):
        raise UpstreamError(f"The identity provider's {name} is not a secure address.")
    return str(url)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(
    method: str,
    url: str,
    *,
    deadline: Deadline,
    headers: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
) -> Answer:
    """The answer to one call, whatever its status. Redirects are not followed: they would carry secrets elsewhere.

    Raises:
        Unavailable: there was no answer in time.
        UpstreamError: the answer is a redirect, encoded or too large, or the address is not secure.
    """
    require_secure(url, "endpoint")
    sent = {"Accept": "application/json, application/jwt", "Accept-Encoding": "identity", **(headers or {})}
    seconds = deadline.remaining
    call = asyncio.run_coroutine_threadsafe(_fetch(method, url, sent, data, seconds), _loops.get())
    try:
        return call.result(timeout=seconds)
    except (TimeoutError, CancelledError) as exc:
        call.cancel()
        raise Unavailable(SILENT, retryable=True) from exc
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
        raise Unavailable(SILENT, retryable=True) from exc


async def _fetch(method: str, url: str, headers: dict[str, str], data: dict[str, str] | None, seconds: float) -> Answer:
    client = httpx.AsyncClient(follow_redirects=False, timeout=seconds, verify=_tls())
    async with client, client.stream(method, url, headers=headers, data=data) as response:
        if 300 <= response.status_code < 400:
            raise UpstreamError("The identity provider sent us elsewhere.")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UpstreamError("The identity provider's answer is compressed, which nobody asked for.")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise UpstreamError("The identity provider's answer is too large.")
        return Answer(response.status_code, response.headers.get("Content-Type", "").lower(), bytes(body))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The authorities that this machine trusts, read once."""
    return httpx.create_ssl_context()


class _Loops:
    """The event loop of this process. A forked process begins its own, as threads do not survive a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._owner != os.getpid():
                self._loop, self._owner = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="identity-provider", daemon=True).start()
            return self._loop


_loops = _Loops()
