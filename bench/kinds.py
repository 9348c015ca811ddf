"""Kinds of runs that measure: one prints lines with the time in them, one enqueues others and sees when they start."""

from __future__ import annotations

import threading
import time
from typing import Any

from runs import queue
from runs.context import RunContext
from runs.kinds import run_kind

_started: dict[str, float] = {}
_starts = threading.Condition()


@run_kind("bench.lines", label="Lines with the time in them", idempotent=False)
def lines(context: RunContext) -> dict[str, Any]:
    """Prints `count` lines at `rate` lines a second; each begins with the time it was said at."""
    count, rate = context.run.payload["count"], context.run.payload["rate"]
    time.sleep(context.run.payload["delay_seconds"])
    began = time.monotonic()
    for number in range(count):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        context.line(f"{time.time():.6f} {number} {'x' * 60}")
    return {"seconds": time.monotonic() - began}


@run_kind("bench.nothing", label="Nothing", idempotent=False)
def nothing(context: RunContext) -> None:
    with _starts:
        _started[str(context.run.pk)] = time.monotonic()
        _starts.notify_all()


@run_kind("bench.enqueue", label="Enqueue and see the start", idempotent=False)
def enqueue(context: RunContext) -> dict[str, Any]:
    """Enqueues `count` runs one after the other, each when the one before has started."""
    waits = []
    for _ in range(context.run.payload["count"]):
        asked = time.monotonic()
        run = queue.enqueue("bench.nothing", organisation_id=context.organisation_id)
        with _starts:
            _starts.wait_for(lambda key=str(run.pk): key in _started, timeout=10)
        waits.append((_started[str(run.pk)] - asked) * 1000)
        time.sleep(0.02)  # the run before has ended; its slot is free
    return {"milliseconds": waits}
