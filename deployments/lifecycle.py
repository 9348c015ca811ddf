"""How a deployment's row follows its run and the application that the run keeps up.

Rows are locked in one order everywhere: app, run, deployment.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError, close_old_connections, transaction
from django.utils import timezone

from deployments.models import ENDED_STATUSES, App, Deployment, DeploymentStatus
from deployments.targets.base import Address, Instance, Placement, Target
from runs import queue
from runs.context import RunCancelled, RunContext
from runs.models import Run, RunState

logger = logging.getLogger(__name__)
RETRY_SECONDS = 0.5
Result = TypeVar("Result")

_STATUS_OF_RUN = {
    RunState.QUEUED: DeploymentStatus.QUEUED,
    RunState.RUNNING: DeploymentStatus.BUILDING,
    RunState.SUCCEEDED: DeploymentStatus.STOPPED,
    RunState.CANCELLED: DeploymentStatus.STOPPED,
    RunState.FAILED: DeploymentStatus.FAILED,
    RunState.INTERRUPTED: DeploymentStatus.INTERRUPTED,
}


def deployment_follow_run(run: Run) -> None:
    """Keeps a deployment's status true to its run; called in the transaction that changes the run."""
    deployment = Deployment.objects.select_for_update().filter(pk=run.payload.get("deployment_id")).first()
    if deployment is None:
        return
    was_stopping = deployment.status == DeploymentStatus.STOPPING
    deployment.status = _STATUS_OF_RUN[RunState(run.state)]
    if not (was_stopping and run.state == RunState.CANCELLED):  # then the reason already says who stopped it
        deployment.reason = run.reason
    deployment.stopped_at = timezone.now() if run.is_terminal else None
    if run.state == RunState.QUEUED:
        deployment.live_at = None
    deployment.save(update_fields=["status", "reason", "stopped_at", "live_at"])


def deployment_of(context: RunContext) -> Deployment:
    """The deployment that a run serves, with its release."""
    found: Deployment = Deployment.objects.select_related("app", "release").get(run_id=context.run.pk)
    return found


def deployment_advance(context: RunContext, status: DeploymentStatus, **fields: Any) -> None:
    """Sets the status, unless the run belongs to another worker or is to end.

    Raises:
        RunCancelled: it does.
    """

    def advance() -> None:
        with transaction.atomic():
            run = _held(context)
            Deployment.objects.filter(run_id=run.pk).update(status=status, **fields)

    persistently(context, advance)


def deployment_go_live(
    context: RunContext, deployment: Deployment, target: Target, placement: Placement, instance: Instance
) -> Address:
    """Leads the app's address to `instance`, marks its deployment live and asks all older ones of the app to stop.

    The newest deployment of an app wins: an older one that becomes ready later does not take the address from it.

    Raises:
        RunCancelled: the run is to end, belongs to another worker, or a newer deployment is live.
        StewardError: there is no address to be had.
    """

    def go_live() -> Address | None:
        # The stack is left after the commit, so that a commit that fails leads the address back too.
        with contextlib.ExitStack() as stack, transaction.atomic():
            app = App.objects.select_for_update().get(pk=deployment.app_id)
            run = _held(context)
            if _yields_to_newer(deployment):
                return None
            address = stack.enter_context(target.leading(placement, instance, app.port))
            App.objects.filter(pk=app.pk).update(port=address.port)
            Deployment.objects.filter(run_id=run.pk).update(
                status=DeploymentStatus.LIVE,
                reason="",
                address=address.host,
                port=address.port,
                live_at=timezone.now(),
            )
            _replace_older(deployment)
            return address

    address = persistently(context, go_live)
    if address is None:
        raise RunCancelled
    return address


def deployment_check_newest(deployment: Deployment) -> None:
    """Raises `RunCancelled` when a newer deployment of the app is live."""
    if _yields_to_newer(deployment):
        raise RunCancelled


def persistently(context: RunContext, action: Callable[[], Result]) -> Result:
    """What `action` answers, tried again while the database is away and the run is wanted."""
    while True:
        try:
            return action()
        except OperationalError as exc:
            logger.warning("Deployment of run %s waits for the database: %s", context.run.pk, exc)
            if context.cancelled.wait(RETRY_SECONDS):
                raise RunCancelled from exc
            close_old_connections()


def _held(context: RunContext) -> Run:
    """The run, locked in the open transaction, if this worker still holds it and nobody wants its end."""
    run: Run | None = Run.objects.select_for_update().filter(pk=context.run.pk).first()
    if run is None or run.lease_token != context.run.lease_token or run.state != RunState.RUNNING:
        context.lose()
        raise RunCancelled
    if run.cancel_requested_at is not None:
        raise RunCancelled
    return run


def _yields_to_newer(deployment: Deployment) -> bool:
    newer = Deployment.objects.filter(app_id=deployment.app_id, pk__gt=deployment.pk, status=DeploymentStatus.LIVE)
    number = newer.values_list("release__number", flat=True).first()
    if number is None:
        return False
    Deployment.objects.filter(pk=deployment.pk).update(
        status=DeploymentStatus.STOPPING, reason=f"Release {number} is live."
    )
    return True


def _replace_older(deployment: Deployment) -> None:
    older = Deployment.objects.active().filter(app_id=deployment.app_id, pk__lt=deployment.pk)
    for pk, run_id in list(older.values_list("pk", "run_id")):
        if run_id is not None:
            queue.request_cancel(run_id)
        replaced = Deployment.objects.filter(pk=pk)
        replaced.update(reason=f"Replaced by release {deployment.release.number}.")
        replaced.exclude(status__in=ENDED_STATUSES).update(status=DeploymentStatus.STOPPING)
