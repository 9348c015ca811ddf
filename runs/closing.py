"""What becomes of runs when their organisation ends, or the person who asked for them goes."""

from __future__ import annotations

import uuid

from accounts.closing import when_organisation_closes, when_organisation_is_purged, when_user_is_deleted
from accounts.tenancy import all_organisations
from runs import queue
from runs.kinds import WORK
from runs.models import TERMINAL_STATES, EventChunk, Run


@when_organisation_closes
def runs_cancel_all(organisation_id: uuid.UUID) -> None:
    """Asks for the end of everything that is under way, live applications included."""
    # Whoever closes may stand in another scope, as an owner of several organisations does.
    with all_organisations():
        under_way = Run.objects.filter(organisation_id=organisation_id).exclude(state__in=TERMINAL_STATES)
        run_ids = list(under_way.values_list("pk", flat=True))
    for run_id in run_ids:
        queue.request_cancel(run_id)


@when_user_is_deleted
def work_cancel_of(user_id: uuid.UUID) -> None:
    """Asks for the end of work that a person asked for; what lasts belongs to the organisation and goes on."""
    under_way = Run.objects.filter(created_by_id=user_id, pool=WORK).exclude(state__in=TERMINAL_STATES)
    for run_id in list(under_way.values_list("pk", flat=True)):
        queue.request_cancel(run_id)


@when_organisation_is_purged
def events_delete_all(organisation_id: uuid.UUID) -> None:
    """Deletes the logs, which may live in another database and so have no foreign key."""
    EventChunk.objects.filter(organisation_id=organisation_id).delete()
