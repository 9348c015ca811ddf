"""What a handler gets: its run, a voice in the log, and the word when it must stop."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from accounts.tenancy import all_organisations
from platform_site.lib.errors import StewardError
from runs.events import EventDraft
from runs.models import Run
from runs.writer import EventWriter

PROGRESS_SECONDS = 0.5


class RunCancelled(Exception):
    """Raised in a handler at the point where it noticed the wish to cancel."""


class RunFailed(StewardError):
    """The work was done and its outcome is a failure; `detail` is the reason that people see."""


class RunContext:
    """The handler's side of a run.

    `cancelled` is set when somebody asked to stop or when the run was given to another worker: long waits watch it,
    and everything that was started must be ended before the handler returns.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.cancelled = threading.Event()
        self.lost = False
        self._writer = EventWriter(run.pk, run.lease_token, self.lose)
        self._progress_at = 0.0

    @property
    def organisation_id(self) -> uuid.UUID:
        return self.run.organisation_id

    def line(self, text: str, *, stream: str = "stdout") -> None:
        """A line of a program's output."""
        self._writer.write(EventDraft.of("line", text, stream=stream))

    def token(self, text: str, *, stream: str = "answer") -> None:
        """A piece of a model's answer."""
        self._writer.write(EventDraft.of("token", text, stream=stream))

    def state(self, text: str, **data: Any) -> None:
        """A step of the domain, such as `checking`."""
        self._writer.write(EventDraft.of("state", text, data=data))

    def artifact(self, name: str, **data: Any) -> None:
        """Something that was made, such as a file."""
        self._writer.write(EventDraft.of("artifact", name, data=data))

    def progress(self, percent: int, label: str = "") -> None:
        """How far the work is, 0 to 100; stored in the row at most twice a second."""
        percent = max(0, min(100, percent))
        self._writer.write(EventDraft.of("progress", label, data={"percent": percent}))
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_SECONDS or percent == 100:
            self._progress_at = now
            with all_organisations():
                held = Run.objects.filter(pk=self.run.pk, lease_token=self.run.lease_token)
                held.update(progress=percent, progress_label=label[:120])

    def check_cancelled(self) -> None:
        """Raises `RunCancelled` when the work should stop here."""
        if self.cancelled.is_set():
            raise RunCancelled

    def flush(self) -> None:
        """Returns when everything said so far is stored."""
        self._writer.flush()

    def lose(self) -> None:
        """The run belongs to somebody else now: stop, and say nothing more."""
        self.lost = True
        self.cancelled.set()

    def close(self) -> None:
        self._writer.close()
