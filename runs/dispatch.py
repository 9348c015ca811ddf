"""Tells a worker that there is work. With a broker through Celery, embedded by waking the worker in this process.

A lost message loses nothing: the sweep of any worker dispatches the run again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from django.conf import settings

logger = logging.getLogger(__name__)
_local_workers: set[Callable[[], None]] = set()


def register_local_worker(wake: Callable[[], None]) -> None:
    """`wake` is called for every new run while the worker of this process is up."""
    _local_workers.add(wake)


def unregister_local_worker(wake: Callable[[], None]) -> None:
    _local_workers.discard(wake)


def dispatch(run_id: uuid.UUID, pool: str) -> None:
    """Hands a queued run to whoever works in `pool`."""
    if not settings.CELERY_BROKER_URL:
        for wake in list(_local_workers):
            wake()
        return
    from celery import current_app  # loads in 100 ms, and only where a broker is used
    from kombu.exceptions import OperationalError

    try:
        current_app.send_task("runs.execute", args=[str(run_id)], queue=pool, ignore_result=True, retry=False)
    except (OperationalError, OSError) as exc:
        logger.warning("The broker did not take run %s; the sweep will dispatch it: %s", run_id, exc)
