"""Where the work of this thread or task came from: set once per request, read by whoever records something."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

MAX_USER_AGENT = 200


@dataclass(frozen=True)
class Origin:
    """The peer's address and what its program calls itself; both empty for the platform's own work."""

    address: str = ""
    user_agent: str = ""


NOWHERE = Origin()
current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)
