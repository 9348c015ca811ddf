"""Work that the platform does by itself every so often. A room registers its chores in its `tasks.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Chore:
    """A short piece of housekeeping, done by one process of the installation at a time.

    Args:
        name: stable; the time of the next turn is stored under it.
        every: seconds between the beginnings of two turns.
        do: the work; it may be cut off and is done again in the next turn.
    """

    name: str
    every: float
    do: Callable[[], None]


chores: dict[str, Chore] = {}


def chore(name: str, *, every: float) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Registers the decorated function to be called every `every` seconds."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        chores[name] = Chore(name, every, function)
        return function

    return register
