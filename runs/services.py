"""What people can do with runs."""

from __future__ import annotations

import threading
import time
import uuid

from accounts import audit
from accounts.models import User
from accounts.permissions import OPERATE, require
from platform_site.lib.errors import Conflict, NotFound
from runs import events, hints, queue
from runs.models import Run

WAIT_POLL_SECONDS = 0.5


def run_find(run_id: uuid.UUID | str) -> Run:
    """The run with this id in the open scope.

    Raises:
        NotFound: it does not exist or belongs to another organisation; both look alike.
    """
    run = Run.objects.filter(pk=run_id).first()
    if not isinstance(run, Run):
        raise NotFound("There is no such run.")
    return run


def run_cancel(*, run: Run, actor: User) -> Run:
    """Asks for the end of a run; asking again changes nothing. It is cancelled once its process tree is gone.

    Raises:
        Conflict: the run has ended.
    """
    require(actor, OPERATE, run)
    if run.is_terminal:
        raise Conflict(f"This run has already ended: it is {run.get_state_display().lower()}.")
    audit.record(actor=actor, action="run.cancel", target=run, changes={"state": [str(run.state), "cancelled"]})
    return queue.request_cancel(run.pk) or run


def run_retry(*, run: Run, actor: User) -> Run:
    """Queues a failed, cancelled or interrupted run for another attempt.

    Raises:
        Conflict: the run is under way or succeeded.
    """
    require(actor, OPERATE, run)
    if not run.can_retry:
        raise Conflict(
            f"Only a run that did not succeed can be retried; this one is {run.get_state_display().lower()}."
        )
    audit.record(actor=actor, action="run.retry", target=run, changes={"state": [str(run.state), "queued"]})
    return queue.retry(run.pk) or run


def run_wait(run_id: uuid.UUID, *, seconds: float) -> bool:
    """Waits until the run has ended; False when it goes on after `seconds` or when this process is about to end."""
    changed = threading.Event()

    def on_hint(hinted: uuid.UUID) -> None:
        if hinted == run_id:
            changed.set()

    deadline = time.monotonic() + seconds
    hints.listen(on_hint)
    try:
        while not (where := events.position(run_id)) or not where.is_terminal:
            left = deadline - time.monotonic()
            if where is None or left <= 0 or hints.closing.is_set():
                return False
            changed.wait(min(WAIT_POLL_SECONDS, left))
            changed.clear()
    finally:
        hints.forget(on_hint)
    return True
