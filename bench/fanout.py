"""One busy log to 50 viewers: how much arrives, what is lost, how late it is."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, percentile
from bench.installation import Installation
from bench.viewers import by_websocket, watch

VIEWERS, RATE, SECONDS = 50, 1_000, 5


def measure(installation: Installation) -> Iterator[Figure]:
    count = RATE * SECONDS
    seen = watch(installation, by_websocket, viewers=VIEWERS, count=count, rate=RATE)
    delays = [delay for one in seen for delay in one.delays]
    lasted = max(one.last_at for one in seen) - min(one.first_at for one in seen)
    how = f"{VIEWERS} WebSockets, {count:,} lines offered at {RATE:,}/s, viewers in one other process"
    yield Figure("Fan-out, lines delivered", len(delays), "lines", how)
    yield Figure("Fan-out, lines lost", sum(one.missing(count) for one in seen), "lines", how)
    yield Figure("Fan-out, gaps or disorder in the numbers", sum(one.misordered() for one in seen), "places", how)
    yield Figure("Fan-out, viewers without the end", sum(not one.ended for one in seen), "viewers", how)
    yield Figure("Fan-out, delay median", percentile(delays, 50), "ms", how)
    yield Figure("Fan-out, delay p99", percentile(delays, 99), "ms", how)
    yield Figure("Fan-out, rate that arrived", len(delays) / lasted, "lines/s", how)
