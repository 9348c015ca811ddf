"""From enqueueing a run to the first line of its handler, in the embedded worker."""

from __future__ import annotations

from collections.abc import Iterable

from bench.figures import Figure, median_and_p99
from bench.installation import Installation

COUNT = 200


def measure(installation: Installation) -> Iterable[Figure]:
    run_id = installation.enqueue("bench.enqueue", count=COUNT)
    waits = installation.result_of(run_id, seconds=60)["milliseconds"]
    how = f"before enqueue() to the handler's first line, {COUNT} runs one by one, same process, SQLite"
    return median_and_p99("Enqueue to start", waits, how)
