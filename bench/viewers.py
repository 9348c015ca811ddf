"""Viewers of a run's log over server-sent events and WebSockets, cheap enough to be many in one process."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import websockets

from bench.installation import Installation


@dataclass
class Seen:
    """What one viewer got: delays in milliseconds, and the numbers of all events and lines in the order they came."""

    delays: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    ended: bool = False
    first_at: float = 0.0
    last_at: float = 0.0

    def take(self, events: list[dict]) -> None:
        now = time.time()
        for event in events:
            self.numbers.append(event["seq"])
            if event["kind"] == "line":
                said, number, _ = event["text"].split(" ", 2)
                self.lines.append(int(number))
                self.delays.append((now - float(said)) * 1000)
                self.first_at = self.first_at or now
                self.last_at = now

    def missing(self, count: int) -> int:
        return count - len(set(self.lines))

    def misordered(self) -> int:
        return sum(second != first + 1 for first, second in zip([0, *self.numbers], self.numbers, strict=False))


@lru_cache(maxsize=512)
def parsed(message: str) -> Any:
    """A message as JSON. Viewers of one log get the same frames, and it is the server that is measured here."""
    return json.loads(message)


View = Callable[[Installation, uuid.UUID, Seen], Awaitable[None]]


async def by_sse(installation: Installation, run_id: uuid.UUID, seen: Seen) -> None:
    where = urlsplit(installation.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=16 * 1024 * 1024)
    writer.write(
        f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: {where.netloc}\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {installation.token}\r\n\r\n".encode()
    )
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"the stream answered {status!r}")
    name = b""
    while line := await reader.readline():
        if line.startswith(b"event: "):
            name = line[7:].strip()
        elif line.startswith(b"data: ") and name == b"events":
            seen.take(parsed(line[6:].decode()))
        elif line.startswith(b"data: ") and name == b"end":
            seen.ended = True
            break
    writer.close()


async def by_websocket(installation: Installation, run_id: uuid.UUID, seen: Seen) -> None:
    url = installation.url.replace("http", "ws", 1) + f"/ws/runs/{run_id}?after=0"
    headers = {"Authorization": f"Bearer {installation.token}"}
    options = {"additional_headers": headers, "max_size": None, "proxy": None, "compression": None}
    async with websockets.connect(url, **options) as socket:
        async for message in socket:
            body = parsed(message)
            if "events" in body:
                seen.take(body["events"])
            elif "end" in body:
                seen.ended = True


def watch(installation: Installation, view: View, *, viewers: int, count: int, rate: int) -> list[Seen]:
    """What `viewers` saw of a run that says `count` lines at `rate` lines a second."""
    run_id = installation.enqueue("bench.lines", count=count, rate=rate, delay_seconds=1.5)
    seen = [Seen() for _ in range(viewers)]

    async def all_of_them() -> None:
        views = [view(installation, run_id, one) for one in seen]
        await asyncio.wait_for(asyncio.gather(*views), timeout=30 + 3 * count / rate)

    asyncio.run(all_of_them())
    return seen
