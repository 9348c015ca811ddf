"""`manage.py check` beside that of a bare Django project with the admin, alternating."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from platform_site.env import BASE_DIR

TIMES = 7


def measure() -> Iterator[Figure]:
    how = f"wall time of `manage.py check`, median of {TIMES}, the two alternating"
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name)
        subprocess.run([sys.executable, "-m", "django", "startproject", "bare", name], check=True)
        ours, theirs = [], []
        for _ in range(TIMES + 1):
            ours.append(_check(BASE_DIR, "platform_site.settings"))
            theirs.append(_check(bare, "bare.settings"))
    own, peer = statistics.median(ours[1:]), statistics.median(theirs[1:])  # the first ones wrote bytecode
    yield Figure("manage.py check, Steward", own * 1000, "ms", how)
    yield Figure("manage.py check, bare Django + admin", peer * 1000, "ms", how)
    yield Figure("manage.py check, ratio", own / peer, "times", "the two above")


def _check(folder: Path, settings: str) -> float:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": settings}
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - began
