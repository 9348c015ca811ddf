"""What some tests need: where it is missing they are skipped by name and reason, or fail with REQUIRE_SERVICES=1.

pytestmark = pytest.mark.needs("sandbox")     for a file, or as a decorator of one test; "node" likewise
url = require_service("redis")                inside a test or fixture
"""

from __future__ import annotations

import os
import shutil
import socket
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

URLS = {
    "postgresql": os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres"),
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
    "rabbitmq": os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}


def require_service(name: str) -> str:
    """The URL of a service that answers; skips the test, or fails it with REQUIRE_SERVICES=1, where it does not."""
    place = urlsplit(URLS[name])
    try:
        socket.create_connection((place.hostname or "127.0.0.1", place.port or 0), timeout=2).close()
    except OSError as exc:
        do_without(f"{name} does not answer at {place.hostname}:{place.port}: {exc}")
    return URLS[name]


def require(name: str) -> None:
    """Skips or fails a test that is marked with `needs(name)` where that is missing."""
    {"sandbox": require_sandbox, "node": require_node}[name]()


def require_sandbox() -> None:
    """For tests that run generated programs: nothing here runs them unconfined."""
    from platform_site.lib.sandbox import availability  # which reads the settings, and they are set up only now

    found = availability()
    if not (found.ok and found.confined):
        do_without(f"no sandbox here: {found.detail}")


def require_node() -> None:
    if shutil.which("node") is None:
        do_without("Node.js is not installed, so what is written in JavaScript cannot be run")


def do_without(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
