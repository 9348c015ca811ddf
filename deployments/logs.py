"""Reading the log of a deployment: pages that can be searched, and the whole of it as text."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from accounts.standing import Viewing
from runs.events import events_page, frames_after, position
from runs.tail import hub

LEVELS = ["debug", "info", "warning", "error"]
MAX_QUERY = 200
SCANNED_EVENTS = 20_000
_PAGE = 1_000
_ERROR = re.compile(r"(?i:\b(?:error|critical|fatal|panic|traceback|exception)\b)|[a-z](?:Error|Exception)\b")
_WARNING = re.compile(r"\bwarn(?:ing)?\b", re.IGNORECASE)
_DEBUG = re.compile(r"\b(?:debug|trace)\b", re.IGNORECASE)


def level_of(event: dict[str, Any]) -> str:
    """How serious an event reads. Standard error says nothing about that: many programs log everything there."""
    if event["kind"] != "line":
        return "info"
    text = event["text"][:1000]
    if _ERROR.search(text):
        return "error"
    if _WARNING.search(text):
        return "warning"
    return "debug" if _DEBUG.search(text) else "info"


@dataclass(frozen=True)
class LogPage:
    """Events that matched, and where to go on: the search looks at a bounded stretch of the log at a time."""

    events: list[dict[str, Any]]
    next_after: int
    last_seq: int
    state: str


def log_page(run_id: uuid.UUID, after: int, *, limit: int, query: str = "", level: str | None = None) -> LogPage | None:
    """Up to `limit` events after `after` that hold `query` in any case and are at least as serious as `level`.

    None when the run is gone. A page may hold fewer than `limit` events, or none, before the log's end is reached.
    """
    found: list[dict[str, Any]] = []
    needle = query.casefold()
    wanted = frozenset(LEVELS[LEVELS.index(level) :]) if level else frozenset(LEVELS)
    for _ in range(SCANNED_EVENTS // _PAGE):
        events, where = events_page(run_id, after, limit=_PAGE)
        if where is None:
            return None
        for event in events:
            after = event["seq"]
            event["level"] = level_of(event)
            if event["level"] in wanted and needle in event["text"].casefold():
                found.append(event)
                if len(found) == limit:
                    break
        if len(found) == limit or len(events) < _PAGE:
            break
    return LogPage(found, after, where.last_seq, where.state) if where else None


async def log_text(run_id: uuid.UUID, viewing: Viewing) -> AsyncIterator[bytes]:
    """Every line and step up to now as text with its time, a chunk at a time, while its reader may see it."""
    here = hub()
    where = await here.read(position, run_id)
    after = 0
    with viewing.watched():
        while where is not None and after < where.last_seq and not viewing.is_lost:
            read = functools.partial(frames_after, up_to=where.last_seq)
            frames = await here.read(read, run_id, after)
            if not frames:
                return
            for frame in frames:
                after = frame.last_seq
                yield _as_text(frame.body)
            await asyncio.sleep(0)


def _as_text(body: str) -> bytes:
    lines = []
    for event in json.loads(body):
        stream = event["stream"] if event["kind"] == "line" else event["kind"]
        detail = (event.get("data") or {}).get("reason", "")
        lines.append(f"{event['at']} {stream:<6} {event['text']}{' ' if detail else ''}{detail}\n")
    return "".join(lines).encode()
