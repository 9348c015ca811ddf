"""The kinds of work that runs do. A room registers its kinds in its `tasks.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_site.lib.errors import StewardError

if TYPE_CHECKING:
    from runs.context import RunContext
    from runs.models import Run

Handler = Callable[["RunContext"], dict[str, Any] | None]
ON_CHANGE = Callable[["Run"], None]

WORK, SERVICE = "work", "service"
"""Pools: `work` ends by itself and takes one of a few slots; `service` lasts, such as a live application."""


@dataclass(frozen=True)
class RunKind:
    """How one kind of work is executed.

    `idempotent` work is started again when its worker died; other work ends as `interrupted`. `max_recoveries` bounds
    that, None is without bound. `on_change` is called in the transaction of every change of state, so that a domain
    row never contradicts its run.
    """

    name: str
    label: str
    handler: Handler
    idempotent: bool
    pool: str = WORK
    max_recoveries: int | None = 3
    on_change: ON_CHANGE | None = None


_KINDS: dict[str, RunKind] = {}


def run_kind(
    name: str,
    *,
    label: str,
    idempotent: bool,
    pool: str = WORK,
    max_recoveries: int | None = 3,
    on_change: ON_CHANGE | None = None,
) -> Callable[[Handler], Handler]:
    """Registers the decorated handler as the kind `name`."""

    def register(handler: Handler) -> Handler:
        _KINDS[name] = RunKind(name, label, handler, idempotent, pool, max_recoveries, on_change)
        return handler

    return register


def kind_get(name: str) -> RunKind:
    """The registered kind.

    Raises:
        StewardError: this version of the platform does not know it.
    """
    try:
        return _KINDS[name]
    except KeyError as exc:
        raise StewardError(f"This version of Steward does not know work of the kind '{name}'.") from exc


def kind_names() -> list[str]:
    return sorted(_KINDS)
