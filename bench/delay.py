"""From a line being said by the work to a reader having it, over both live doors."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, median_and_p99
from bench.installation import Installation
from bench.viewers import by_sse, by_websocket, watch

RATE, SECONDS = 100, 4


def measure(installation: Installation) -> Iterator[Figure]:
    for viewers in (1, 50):
        for name, view in (("SSE", by_sse), ("WebSocket", by_websocket)):
            seen = watch(installation, view, viewers=viewers, count=RATE * SECONDS, rate=RATE)
            delays = [delay for one in seen for delay in one.delays]
            how = f"{RATE} lines/s for {SECONDS} s, stored before they are shown, viewers in one other process"
            yield from median_and_p99(f"Line to reader, {name}, {viewers} viewer{'s'[: viewers - 1]}", delays, how)
