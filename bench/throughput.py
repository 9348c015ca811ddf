"""Requests a second of a page that does nothing and of a list, over kept connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from bench.figures import Figure
from bench.installation import Installation

CONNECTIONS, SECONDS = 8, 4.0


def measure(installation: Installation) -> Iterator[Figure]:
    for path, rows in (("/health", ""), ("/api/v1/runs?limit=50", ", 50 rows")):
        name = f"GET {path.partition('?')[0]}{rows}"
        how = f"{CONNECTIONS} kept connections from one other process, {SECONDS:g} s, one serving process"
        yield Figure(name, asyncio.run(_load(installation, path, CONNECTIONS)), "requests/s", how)
        milliseconds = 1000 / asyncio.run(_load(installation, path, 1))
        yield Figure(f"{name}, one by one", milliseconds, "ms", f"mean on one kept connection, {SECONDS:g} s")


async def _load(installation: Installation, path: str, connections: int) -> float:
    began = time.monotonic()
    counts = await asyncio.gather(*(_ask(installation, path, began + SECONDS) for _ in range(connections)))
    return sum(counts) / (time.monotonic() - began)


async def _ask(installation: Installation, path: str, until: float) -> int:
    where = urlsplit(installation.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {installation.token}\r\n\r\n"
    count = 0
    while time.monotonic() < until:
        writer.write(head.encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"{path} answered {answer[:60]!r}")
        length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count
