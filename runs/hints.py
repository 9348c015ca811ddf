"""Hints that something about a run changed. They make readers and workers look sooner; losing one delays, never loses.

Inside the process a hint is a function call. With Redis it also travels through the channel layer, joined into one
message per few milliseconds, so that other processes look at the database too.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

logger = logging.getLogger(__name__)
GROUP = "steward.hints"
JOIN_SECONDS = 0.01

closing = threading.Event()
"""Set when this process is about to end: whoever waits for a run stops waiting."""

Listener = Callable[[uuid.UUID], None]
_listeners: set[Listener] = set()


def listen(listener: Listener) -> None:
    """Calls `listener(run_id)` in the publishing thread for every hint; it must return at once."""
    _listeners.add(listener)


def forget(listener: Listener) -> None:
    """Ends what `listen` began."""
    _listeners.discard(listener)


def publish(run_id: uuid.UUID) -> None:
    """Says that the run has new events or another state."""
    receive(run_id)
    if settings.REDIS_URL:
        _publisher.add(run_id)


def receive(run_id: uuid.UUID) -> None:
    """Hands a hint to the listeners of this process."""
    for listener in list(_listeners):
        listener(run_id)


class _Publisher:
    """Sends the hints of this process to the others from one background thread."""

    def __init__(self) -> None:
        self._pending: set[str] = set()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, run_id: uuid.UUID) -> None:
        with self._lock:
            self._pending.add(str(run_id))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_forever, name="hints", daemon=True)
                self._thread.start()
        self._wake.set()

    def _send_forever(self) -> None:
        while True:
            self._wake.wait()
            threading.Event().wait(JOIN_SECONDS)
            self._wake.clear()
            with self._lock:
                runs, self._pending = sorted(self._pending), set()
            try:
                async_to_sync(get_channel_layer().group_send)(GROUP, {"type": "hint", "runs": runs})
            except Exception as exc:  # Redis may fail in many ways; readers poll meanwhile
                logger.warning("Hints were not sent: %s", exc)


_publisher = _Publisher()
