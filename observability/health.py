"""Is the platform alive, and can it serve? Rooms above register what they depend on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from django.conf import settings
from django.core.cache import cache
from django.db import connections

from platform_site.lib import sandbox

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceState:
    """What a check found. `required` services make the platform not ready when they are down."""

    name: str
    status: str  # "up", "down" or "off" (not configured)
    detail: str
    required: bool
    milliseconds: float = 0.0


Check = Callable[[], tuple[str, str]]
_CHECKS: dict[str, tuple[Check, bool]] = {}


def register_check(name: str, check: Check, *, required: bool) -> None:
    """Adds a check: a function that answers (`up`/`down`/`off`, a sentence). It may raise."""
    _CHECKS[name] = (check, required)


def services_state() -> list[ServiceState]:
    """The state of every registered service, asked now."""
    return [_run_check(name, check, required) for name, (check, required) in _CHECKS.items()]


def _run_check(name: str, check: Check, required: bool) -> ServiceState:
    started = time.perf_counter()
    try:
        status, detail = check()
    except Exception as exc:  # a check may fail in any way the service's client knows
        logger.warning("Health check %s failed: %s", name, exc)
        status, detail = "down", f"{type(exc).__name__}: the service did not answer."
    return ServiceState(name, status, detail, required, round((time.perf_counter() - started) * 1000, 1))


def as_body(states: list[ServiceState]) -> dict[str, object]:
    """The body of `/health/ready` and `/api/v1/health`."""
    down = [state.name for state in states if state.required and state.status == "down"]
    return {
        "status": "unavailable" if down else "ready",
        "down": down,
        "version": settings.STEWARD_VERSION,
        "services": [asdict(state) for state in states],
    }


def _database() -> tuple[str, str]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
    return "up", connections["default"].vendor


def _cache() -> tuple[str, str]:
    if not settings.REDIS_URL:
        return "off", "In-process; set REDIS_URL to share it."
    cache.ping()  # type: ignore[attr-defined] # of lib/cache.py: its other operations do without Redis
    return "up", "Redis"


def _sandbox() -> tuple[str, str]:
    state = sandbox.availability()
    return ("up" if state.ok else "down"), state.detail


register_check("sandbox", _sandbox, required=False)
register_check("database", _database, required=True)
register_check("cache", _cache, required=False)
