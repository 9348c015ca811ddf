"""Services that some tests need: skipped by name and reason where one is missing, failed with REQUIRE_SERVICES=1."""

from __future__ import annotations

import os
import socket
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
        reason = f"{name} does not answer at {place.hostname}:{place.port}: {exc}"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return URLS[name]
