"""`python -m bench`: all figures, with a server of its own in a folder of its own, in under three minutes."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.figures import Figure
from platform_site.demo.server import Server, environment


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="steward-bench-"))
    os.environ["THROTTLE_GENERATE"] = os.environ["THROTTLE_AUTH"] = os.environ["THROTTLE_WRITES"] = "100000/min"
    os.environ["RUN_WORKERS"] = "4"
    os.environ.update(environment(folder), DJANGO_SETTINGS_MODULE="platform_site.settings")
    began = time.monotonic()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite; load {load:.1f}")
    if load > 0.5:
        print("Something else is running here: the figures are worse than this machine's own.")
    try:
        _measure_all(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nTaken in {time.monotonic() - began:.0f} s.")


def _measure_all(folder: Path) -> None:
    import django

    from bench import check, start  # these know nothing of Django

    report("Start", start.measure(folder))
    report("manage.py check", check.measure())
    django.setup()
    from bench import delay, deploying, enqueueing, fanout, kinds, signing_in, throughput  # noqa: F401 - kinds registers itself
    from bench.installation import Installation

    server = Server(folder=folder, program=("-m", "bench.serve"))
    try:
        installation = Installation(server.wait_ready())
        report("Queue", enqueueing.measure(installation))
        report("Live logs", delay.measure(installation))
        report("Fan-out", fanout.measure(installation))
        report("Deployment", deploying.measure(installation))
        report("Requests", throughput.measure(installation))
        report("Signing in", signing_in.measure(installation))
    finally:
        server.discard()


def report(title: str, figures: Iterable[Figure]) -> None:
    """Prints figures as they are taken."""
    print(f"\n{title}")
    said = ""
    for figure in figures:
        if figure.how != said:
            said = figure.how
            print(f"  ({said})")
        print(f"  {figure.name:<46}{figure.shown():>22}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
