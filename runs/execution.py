"""Executes claimed runs in this process: the handler, its lease, its cancellation, its end."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from accounts.permissions import OPERATE, allowed
from accounts.tenancy import organisation_scope
from observability import logs, metrics
from platform_site.lib.errors import StewardError
from platform_site.lib.process import process_identity
from runs import hints, queue
from runs.context import RunCancelled, RunContext, RunFailed
from runs.events import events_compact
from runs.kinds import WORK, RunKind, kind_get
from runs.models import Run, RunState

logger = logging.getLogger(__name__)
HINT_SECONDS = 0.05
"""Hints of a busy log come by the hundred; this is how often they are followed at most."""


class LeaseKeeper:
    """Renews the leases of all runs of this process and passes on the wish to cancel, in one thread."""

    CANCEL_SECONDS = 0.5

    def __init__(self) -> None:
        self._held: dict[uuid.UUID, RunContext] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        hints.listen(self._on_hint)

    def hold(self, context: RunContext) -> None:
        with self._lock:
            self._held[context.run.pk] = context
            self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._keep_forever, name="leases", daemon=True)
                self._thread.start()

    def release(self, context: RunContext) -> None:
        with self._lock:
            self._held.pop(context.run.pk, None)

    def _on_hint(self, run_id: uuid.UUID) -> None:
        # Events of a run hint too, so this only looks sooner; `cancel_requested` decides.
        if run_id in self._held:
            self._wake.set()

    def _keep_forever(self) -> None:
        pause = min(self.CANCEL_SECONDS, settings.RUN_LEASE_SECONDS / 4)
        renewals = max(1, int(settings.RUN_LEASE_SECONDS / 4 / pause))
        rounds = 0
        while True:
            if not self._held:
                connections.close_all()
            self._wake.wait(pause if self._held else None)
            self._wake.clear()
            rounds += 1
            try:
                self.look(renew=rounds % renewals == 0)
            except DatabaseError as exc:
                logger.warning("Leases could not be renewed: %s", exc)
                connections.close_all()
            time.sleep(HINT_SECONDS)

    def look(self, *, renew: bool) -> None:
        """One round: renew if asked, then stop what was lost or cancelled."""
        with self._lock:
            held = dict(self._held)
        lost = queue.renew({run_id: context.run.lease_token for run_id, context in held.items()}) if renew else set()
        for run_id in lost:
            held[run_id].lose()
        for run_id in queue.cancel_requested(held):
            held[run_id].cancelled.set()

    def hand_back_all(self) -> None:
        """Gives up every run of this process, which is stopping: handlers end, another start takes the runs up."""
        with self._lock:
            held = list(self._held.values())
        for context in held:
            queue.hand_back(context.run)
            context.lose()


keeper = LeaseKeeper()


def execute(run_id: uuid.UUID) -> bool:
    """Claims and executes one queued run; False when another worker was first."""
    run = queue.claim(run_id, owner=process_identity())
    if run is None:
        return False
    execute_claimed(run)
    return True


def execute_claimed(run: Run) -> None:
    """Executes a run that this process holds the lease of. Never raises: every outcome becomes a state."""
    context = RunContext(run)
    keeper.hold(context)
    log_context = logs.run_id.set(str(run.pk))
    metrics.RUNS_ACTIVE.labels(kind=run.kind).inc()
    try:
        state, reason, result = _call_handler(context)
    finally:
        context.close()
        keeper.release(context)
        metrics.RUNS_ACTIVE.labels(kind=run.kind).dec()
        logs.run_id.reset(log_context)
    if not context.lost:
        _finish_persistently(run, state, reason, result)


def _call_handler(context: RunContext) -> tuple[str, str, dict[str, object]]:
    try:
        with organisation_scope(context.organisation_id):
            kind = kind_get(context.run.kind)
            _require_standing(context.run, kind)
            result = kind.handler(context)
    except RunCancelled:
        return RunState.CANCELLED, "Cancelled.", {}
    except RunFailed as exc:
        return RunState.FAILED, exc.detail, {}
    except StewardError as exc:
        if context.cancelled.is_set():
            return RunState.CANCELLED, "Cancelled.", {}
        return RunState.FAILED, exc.detail, {}
    except Exception:
        logger.exception("Run %s (%s) failed", context.run.pk, context.run.kind)
        return RunState.FAILED, "Something went wrong on our side; the log has the details.", {}
    return RunState.SUCCEEDED, "", result or {}


def _require_standing(run: Run, kind: RunKind) -> None:
    """Work is done only for people who still may ask for it; what lasts belongs to the organisation and goes on.

    Raises:
        RunFailed: whoever asked was removed, demoted or disabled while the run waited.
    """
    asker = run.created_by
    if kind.pool == WORK and asker is not None and not allowed(asker, OPERATE, run.organisation_id):
        raise RunFailed("The person who asked for this may not do it any more.")


def _finish_persistently(run: Run, state: str, reason: str, result: dict[str, object]) -> None:
    """Ends the run; while the database is away, tries again until the lease could belong to somebody else."""
    tries = int(settings.RUN_LEASE_SECONDS) * 4
    for attempt in range(tries):
        try:
            queue.finish(run, state, reason=reason, result=result)
            break
        except DatabaseError:
            logger.warning("Run %s cannot be ended yet (%d)", run.pk, attempt, exc_info=True)
            threading.Event().wait(0.25)
            close_old_connections()
    try:
        events_compact(run.pk)
    except DatabaseError:
        logger.warning("The log of run %s was not compacted", run.pk, exc_info=True)
