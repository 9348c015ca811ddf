"""Celery as the engine of runs where a broker is configured.

Start a worker with `celery -A platform_site.celery worker -P threads -Q work,service`. Threads, because work waits for
models and sandboxes, and because a sandbox must outlive no process: each is a child of the worker.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")

from celery import Celery, signals
from django.conf import settings
from django.db import close_old_connections


def transport_options(broker_url: str) -> dict[str, Any]:
    """What the transport of a broker needs beside its URL."""
    if broker_url.startswith("amqp"):
        return {}
    if not broker_url.startswith("filesystem"):
        return {"polling_interval": 0.1}
    folder = settings.STEWARD_VAR_DIR / "queue"
    (folder / "control").mkdir(parents=True, exist_ok=True)
    places = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}
    return {name: str(place) for name, place in places.items()} | {"polling_interval": 0.05}


app = Celery("steward")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL or "memory://",
    broker_connection_retry_on_startup=True,
    broker_transport_options=transport_options(settings.CELERY_BROKER_URL),
    task_default_queue="work",
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
)
app.set_default()


@app.task(name="runs.execute", ignore_result=True)
def execute_run(run_id: str) -> bool:
    """Claims and executes a queued run; a second delivery of the message finds nothing to claim."""
    from runs.execution import execute  # the models load after Celery set Django up

    close_old_connections()
    try:
        return execute(uuid.UUID(run_id))
    finally:
        close_old_connections()


_sweepers: list[Any] = []


@signals.worker_ready.connect
def start_sweeper(**_: Any) -> None:
    """Every worker recovers what dead workers left."""
    from runs.worker import Sweeper  # the models load after Celery set Django up

    sweeper = Sweeper()
    _sweepers.append(sweeper)
    sweeper.start()


@signals.worker_shutting_down.connect
def hand_back(**_: Any) -> None:
    """A stopping worker gives its runs back, so that another takes them up at once."""
    from runs.execution import keeper

    for sweeper in _sweepers:
        sweeper.stop()
    keeper.hand_back_all()
