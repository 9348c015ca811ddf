"""What a deployment target is: it starts applications and gives them an address. Policy stays with the caller."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

OnOutput = Callable[[str, bytes], None]
"""Called with the stream (`stdout` or `stderr`) and a piece of output, from one thread, in order."""


@dataclass(frozen=True)
class Placement:
    """What to start.

    Attributes:
        source: the release's files; the application must not be able to change them.
        data: the app's own directory, which outlives releases.
        command: argv; `$PORT` and `$DATA_DIR` in it are filled in by the target.
    """

    app_id: uuid.UUID
    deployment_id: uuid.UUID
    source: Path
    data: Path
    command: Sequence[str]


class Instance(Protocol):
    """A started application."""

    def is_alive(self) -> bool: ...

    def probe(self, seconds: float) -> int:
        """The HTTP status of `GET /`, asked directly. Raises OSError: there was no answer within `seconds`."""

    def end_reason(self) -> str:
        """Why it ended, as a sentence; only after it did."""

    def stop(self, grace_seconds: float) -> bool:
        """Ends it, by force after the grace, and says whether it is proved that nothing of it is left."""


@dataclass(frozen=True)
class Address:
    """Where people reach an app."""

    host: str
    port: int


class Target(Protocol):
    """Somewhere applications run. Methods may be called from any thread."""

    def start(self, placement: Placement, on_output: OnOutput) -> Instance:
        """Starts an application that nobody reaches yet.

        Raises:
            StewardError: it cannot be started here; the detail says why.
        """

    def leading(
        self, placement: Placement, instance: Instance, wanted_port: int | None
    ) -> AbstractContextManager[Address]:
        """Leads the app's address to `instance`, away from whoever had it; `wanted_port` if it can be had.

        When the block fails, the address leads where it led before.

        Raises:
            StewardError: there is no address to be had.
        """

    def withdraw(self, placement: Placement) -> bool:
        """Closes the app's address if it leads to this deployment; False when it leads elsewhere or was never open."""
