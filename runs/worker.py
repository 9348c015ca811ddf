"""The embedded worker: the same execution as under Celery, in threads of the serving process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connections

from platform_site.lib.process import process_identity
from runs import dispatch, queue
from runs.chores import chores_do
from runs.execution import execute_claimed, keeper
from runs.kinds import SERVICE, WORK
from runs.models import Run

logger = logging.getLogger(__name__)
IDLE_SECONDS = 1.0
SERVICE_SLOTS = 64


class Sweeper:
    """Recovers lost runs every few seconds and does the chores that are due, in two threads of every worker process.

    Chores have a thread of their own: one that waits for a mail server must not delay a recovery.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(turn,), name=name, daemon=True)
            for name, turn in (("sweep", recover), ("chores", chores_do))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _repeat(self, turn: Callable[[], None]) -> None:
        while True:
            try:
                turn()
            except DatabaseError as exc:
                logger.warning("The sweep waits for the database: %s", exc)
                connections.close_all()
            except Exception:
                logger.exception("The sweep failed; it goes on")
            if self._stop.wait(settings.RUN_SWEEP_SECONDS):
                break
        connections.close_all()


def recover() -> None:
    # This process's own leases first: after an outage of the database they are late, not abandoned.
    keeper.look(renew=True)
    queue.sweep()


class InProcessWorker:
    """Claims queued runs and executes each in a thread: a few slots for work, many for services that last."""

    def __init__(self, *, work_slots: int | None = None) -> None:
        self._slots = {WORK: work_slots or settings.RUN_WORKERS, SERVICE: SERVICE_SLOTS}
        self._busy: dict[str, int] = dict.fromkeys(self._slots, 0)
        self._runs: dict[threading.Thread, Run] = {}
        self._changed = threading.Condition()
        self._woken = False
        self._stopping = False
        self._thread = threading.Thread(target=self._claim_forever, name="worker", daemon=True)
        self._sweeper = Sweeper()

    def start(self) -> None:
        dispatch.register_local_worker(self.wake)
        self._sweeper.start()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to claim."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def stop(self, *, grace_seconds: float = 8.0) -> None:
        """Claims nothing more, interrupts what runs so that the next start takes it up, and waits for its end."""
        dispatch.unregister_local_worker(self.wake)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._sweeper.stop()
        keeper.hand_back_all()
        for thread in list(self._runs):
            thread.join(timeout=grace_seconds)

    def _claim_forever(self) -> None:
        owner = process_identity()
        while self._wait_for_work():
            try:
                while (pools := self._free_pools()) and (run := queue.claim_next(pools, owner=owner)):
                    self._begin(run)
            except DatabaseError as exc:
                logger.warning("The worker waits for the database: %s", exc)
                connections.close_all()
            except Exception:
                logger.exception("A run could not be claimed; the worker goes on")
        connections.close_all()

    def _wait_for_work(self) -> bool:
        with self._changed:
            if not self._woken and not self._stopping:
                self._changed.wait(IDLE_SECONDS)
            self._woken = False
            return not self._stopping

    def _free_pools(self) -> list[str]:
        with self._changed:
            return [] if self._stopping else [pool for pool, slots in self._slots.items() if self._busy[pool] < slots]

    def _begin(self, run: Run) -> None:
        thread = threading.Thread(target=self._execute, args=(run,), name=f"run-{run.pk}", daemon=True)
        with self._changed:
            self._busy[run.pool] += 1
            self._runs[thread] = run
        thread.start()

    def _execute(self, run: Run) -> None:
        try:
            execute_claimed(run)
        finally:
            connections.close_all()
            with self._changed:
                self._busy[run.pool] -= 1
                self._runs.pop(threading.current_thread(), None)
                self._woken = True
                self._changed.notify_all()
