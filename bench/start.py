"""Seconds to start: with an empty data folder, and again with what is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.figures import Figure
from platform_site.demo.server import Server


def measure(folder: Path) -> Iterator[Figure]:
    how = "process start to the answer of GET /sign-in, once"
    yield Figure("Start, cold (empty data folder)", _start(folder), "s", how)
    yield Figure("Start, second", _start(folder), "s", how)


def _start(folder: Path) -> float:
    began = time.monotonic()
    server = Server(folder=folder)
    try:
        httpx.get(server.wait_ready() + "/sign-in", trust_env=False).raise_for_status()
        seconds = time.monotonic() - began
        server.stop()
    finally:
        server.discard()
    return seconds
