"""Server-sent events (WHATWG HTML, section 9.2): a door to `tail_run`."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.request import Request

from accounts.standing import Viewing, viewing_of
from platform_site.lib.errors import InvalidRequest
from runs.events import Frame
from runs.tail import End, tail_run

MAX_SEQ = 2**62


def requested_after(request: HttpRequest) -> int:
    """The event number to continue after: `Last-Event-ID` of a reconnecting reader, else `?after=`.

    Raises:
        InvalidRequest: it is not a number from 0 on.
    """
    raw = request.headers.get("Last-Event-ID") or request.GET.get("after") or "0"
    return parse_after(raw)


def parse_after(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or len(raw) > 19 or int(raw) > MAX_SEQ:
        raise InvalidRequest("`after` must be an event number.", errors={"after": ["A whole number from 0 on."]})
    return int(raw)


def wants_event_stream(request: HttpRequest) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")


def event_stream(request: HttpRequest | Request, run_id: uuid.UUID, after: int) -> StreamingHttpResponse:
    """A response that streams the run's events after `after` until the run ends, the reader leaves or may not read on.

    The caller has checked that `request` may see the run.
    """
    messages = _messages(run_id, after, viewing_of(request))
    response = StreamingHttpResponse(messages, content_type="text/event-stream; charset=utf-8")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _messages(run_id: uuid.UUID, after: int, viewing: Viewing) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for item in tail_run(run_id, after, viewing):
        if isinstance(item, Frame):
            yield item.sse
        elif isinstance(item, End):
            yield f"id: {item.last_seq}\nevent: end\ndata: {json.dumps({'state': item.state})}\n\n".encode()
        else:
            yield b": alive\n\n"
