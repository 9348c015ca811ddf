"""The queue of runs: enqueue, claim with a lease, renew, finish, recover.

Every change of state happens here, in one transaction with the event that tells of it and with the domain's own
`on_change`. The row decides; brokers and hints only make it faster.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.tenancy import all_organisations, organisation_scope
from observability import metrics
from platform_site.lib.process import is_process_dead
from platform_site.lib.text import shorten
from runs import dispatch
from runs.events import EventDraft, write_locked
from runs.kinds import kind_get
from runs.models import TERMINAL_STATES, Run, RunState

logger = logging.getLogger(__name__)
LOST_HINT_SECONDS = 5


@transaction.atomic
def enqueue(
    kind: str,
    *,
    organisation_id: uuid.UUID,
    created_by: User | None = None,
    title: str = "",
    payload: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """A new queued run, handed to a worker after the transaction commits."""
    with organisation_scope(organisation_id):
        run = Run.objects.create(
            organisation_id=organisation_id,
            created_by=created_by,
            kind=kind,
            pool=kind_get(kind).pool,
            title=shorten(title, 200),
            payload=payload or {},
            idempotency_key=idempotency_key,
        )
        _changed(run)
    return run


def _changed(run: Run, **data: Any) -> None:
    """Records the state that `run` has just got: event, row, domain, and after the commit the dispatch."""
    details = {"run_state": run.state, "attempt": run.attempt, **data}
    if run.reason:
        details["reason"] = run.reason
    write_locked(run, [EventDraft.of("state", run.state, stream="run", data=details)])
    run.save()
    kind = kind_get(run.kind)
    if kind.on_change is not None:
        with organisation_scope(run.organisation_id):
            kind.on_change(run)
    if run.state == RunState.QUEUED:
        transaction.on_commit(lambda: dispatch.dispatch(run.pk, run.pool))


def _locked(run_id: uuid.UUID) -> Run | None:
    return Run.objects.select_for_update().filter(pk=run_id).first()


# --- Claiming -----------------------------------------------------------------------------------------------------
def claim(run_id: uuid.UUID, *, owner: str) -> Run | None:
    """Takes one queued run, None when it is not there to be taken."""
    with all_organisations(), transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state != RunState.QUEUED:
            return None
        return _take(run, owner)


def claim_next(pools: Iterable[str], *, owner: str) -> Run | None:
    """Takes the queued run that has waited longest in `pools`."""
    with all_organisations():
        queued = Run.objects.filter(state=RunState.QUEUED, pool__in=list(pools)).order_by("queued_at")
        if not queued.exists():  # a look without a lock: an idle worker never blocks a writer
            return None
        with transaction.atomic():
            skip = connection.features.has_select_for_update_skip_locked
            run = queued.select_for_update(skip_locked=skip).first()
            return _take(run, owner) if run is not None else None


def _take(run: Run, owner: str) -> Run:
    now = timezone.now()
    metrics.RUN_WAIT.labels(kind=run.kind).observe((now - run.queued_at).total_seconds())
    run.state = RunState.RUNNING
    run.attempt += 1
    run.reason = ""
    run.started_at, run.finished_at = now, None
    run.progress, run.progress_label = 0, ""
    run.lease_owner = owner
    run.lease_token += 1
    run.lease_expires_at = now + timedelta(seconds=settings.RUN_LEASE_SECONDS)
    _changed(run)
    return run


def renew(leases: dict[uuid.UUID, int]) -> set[uuid.UUID]:
    """Extends the leases `{run id: token}` and answers the runs that are held no longer."""
    expires = timezone.now() + timedelta(seconds=settings.RUN_LEASE_SECONDS)
    lost = set()
    with all_organisations():
        for run_id, token in leases.items():
            held = Run.objects.filter(pk=run_id, lease_token=token, state=RunState.RUNNING)
            if not held.update(lease_expires_at=expires):
                lost.add(run_id)
    return lost


def cancel_requested(run_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the runs that somebody asked to cancel."""
    with all_organisations():
        asked = Run.objects.filter(pk__in=list(run_ids), cancel_requested_at__isnull=False)
        return set(asked.values_list("pk", flat=True))


# --- Ending -------------------------------------------------------------------------------------------------------
def finish(run: Run, state: str, *, reason: str = "", result: dict[str, Any] | None = None) -> bool:
    """Ends the attempt that `run` was claimed for; False when the run has changed hands meanwhile."""
    with all_organisations(), transaction.atomic():
        current = _locked(run.pk)
        if current is None or current.lease_token != run.lease_token or current.state != RunState.RUNNING:
            return False
        current.result = result or {}
        _end(current, state, reason)
    return True


def _end(run: Run, state: str, reason: str) -> None:
    run.state = state
    run.reason = shorten(reason, 500)
    run.finished_at = timezone.now()
    run.lease_owner, run.lease_expires_at, run.cancel_requested_at = "", None, None
    if state == RunState.SUCCEEDED:
        run.progress = 100
    metrics.RUNS_FINISHED.labels(kind=run.kind, state=state).inc()
    _changed(run)


def request_cancel(run_id: uuid.UUID) -> Run | None:
    """Cancels a queued run at once and asks the worker of a running one to stop; None when it is gone."""
    with all_organisations(), transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state in TERMINAL_STATES or run.cancel_requested_at is not None:
            return run
        if run.state == RunState.QUEUED:
            run.lease_token += 1
            _end(run, RunState.CANCELLED, "Cancelled before it started.")
            return run
        run.cancel_requested_at = timezone.now()
        write_locked(run, [EventDraft.of("state", "cancelling", stream="run", data={"run_state": "running"})])
        run.save(update_fields=["cancel_requested_at"])
    return run


def requeue(run: Run, *, reason: str = "") -> None:
    """Puts a locked run back into the queue, out of reach of whoever held it."""
    run.state = RunState.QUEUED
    run.reason = reason
    run.lease_token += 1
    run.lease_owner, run.lease_expires_at, run.cancel_requested_at = "", None, None
    run.queued_at = timezone.now()
    run.finished_at = None
    _changed(run)


def hand_back(run: Run) -> None:
    """Gives up a run that this process holds because the process is stopping: queued again, or interrupted."""
    with all_organisations(), transaction.atomic():
        current = _locked(run.pk)
        if current is None or current.lease_token != run.lease_token or current.state != RunState.RUNNING:
            return
        current.lease_token += 1
        if current.cancel_requested_at is None and kind_get(current.kind).idempotent:
            requeue(current, reason="Steward was stopped; this goes on after the next start.")
        elif current.cancel_requested_at is None:
            _end(current, RunState.INTERRUPTED, "Steward was stopped while it ran. Retry to start it again.")
        else:
            _end(current, RunState.CANCELLED, "Cancelled.")


def retry(run_id: uuid.UUID) -> Run | None:
    """Queues an ended run for another attempt, with fresh recoveries; None when it is gone."""
    with all_organisations(), transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state not in TERMINAL_STATES:
            return run
        run.recoveries = 0
        requeue(run)
    return run


# --- Recovery -----------------------------------------------------------------------------------------------------
def sweep() -> int:
    """Resolves what ran on a dead worker and dispatches again what was queued and lost; answers how many of the first.

    A worker is dead when its lease ran out, or when its process provably ended on this host.
    """
    now = timezone.now()
    with all_organisations():
        expired = set(Run.objects.expired(now).values_list("pk", flat=True))
        owners = Run.objects.filter(state=RunState.RUNNING).values_list("pk", "lease_owner", "lease_token")
        for run_id, owner, _token in owners:
            if run_id not in expired and is_process_dead(owner):
                expired.add(run_id)
        recovered = sum(_recover(run_id) for run_id in expired)
        lost = Run.objects.filter(state=RunState.QUEUED, queued_at__lt=now - timedelta(seconds=LOST_HINT_SECONDS))
        for run_id, pool in lost.values_list("pk", "pool")[:500]:
            dispatch.dispatch(run_id, pool)
    return recovered


def _recover(run_id: uuid.UUID) -> bool:
    with transaction.atomic():
        run = _locked(run_id)
        if run is None or run.state != RunState.RUNNING or not _is_abandoned(run):
            return False
        kind = kind_get(run.kind)
        logger.warning("Run %s (%s) was on a worker that is gone", run.pk, run.kind)
        run.lease_token += 1
        if run.cancel_requested_at is not None:
            _end(run, RunState.CANCELLED, "Cancelled; its worker had ended.")
        elif kind.idempotent and (kind.max_recoveries is None or run.recoveries < kind.max_recoveries):
            run.recoveries += 1
            requeue(run, reason="Its worker ended; it is started again.")
        else:
            _end(run, RunState.INTERRUPTED, "Its worker ended while it ran. Retry to start it again.")
        return True


def _is_abandoned(run: Run) -> bool:
    expired = run.lease_expires_at is None or run.lease_expires_at < timezone.now()
    return expired or bool(is_process_dead(run.lease_owner))
