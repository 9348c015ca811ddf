"""Writes the events of one running attempt: buffered, in groups, in order, never lost while the process lives."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, close_old_connections, connections

from runs.events import EventDraft, LeaseLost, events_append, events_compact

logger = logging.getLogger(__name__)

GROUP_SECONDS = 0.015
MAX_BUFFERED_EVENTS = 4_000
MAX_BUFFERED_CHARACTERS = 4 * 1024 * 1024
COMPACT_EVERY = 128
RETRY_SECONDS = 0.5


class EventWriter:
    """One writer per attempt. `write` returns at once unless the buffer is full, in which case it waits.

    A database that is away delays events; the buffer's bound then slows the producer, and nothing is dropped.
    `on_lost` is called once when the run turns out to belong to another worker.
    """

    def __init__(self, run_id: uuid.UUID, lease_token: int, on_lost: Callable[[], None]) -> None:
        self._run_id = run_id
        self._lease_token = lease_token
        self._on_lost = on_lost
        self._buffer: list[EventDraft] = []
        self._characters = 0
        self._changed = threading.Condition()
        self._closing = False
        self._lost = False
        self._flushing = False
        self._thread = threading.Thread(target=self._flush_forever, name=f"events-{run_id}", daemon=True)
        self._thread.start()

    def write(self, draft: EventDraft) -> None:
        with self._changed:
            while self._is_full() and not self._lost:
                self._changed.wait()
            if self._lost:
                return
            self._add(draft)
            self._changed.notify_all()

    def _add(self, draft: EventDraft) -> None:
        last = self._buffer[-1] if self._buffer else None
        if last is not None and draft.kind == last.kind == "token" and draft.stream == last.stream:
            # Pieces of an answer that leave in the same group are one event.
            self._buffer[-1] = EventDraft("token", last.text + draft.text, last.stream, None, last.at)
        else:
            self._buffer.append(draft)
        self._characters += len(draft.text)

    def _is_full(self) -> bool:
        return len(self._buffer) >= MAX_BUFFERED_EVENTS or self._characters >= MAX_BUFFERED_CHARACTERS

    def flush(self) -> None:
        """Waits until everything written so far is stored (or the lease is lost)."""
        with self._changed:
            while (self._buffer or self._flushing) and not self._lost:
                self._changed.wait(0.5)

    def close(self) -> None:
        """Stores what is left and ends the writer's thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _flush_forever(self) -> None:
        flushes = 0
        try:
            while (group := self._next_group()) is not None:
                self._store(group)
                flushes += 1
                if flushes % COMPACT_EVERY == 0:
                    events_compact(self._run_id)
                with self._changed:
                    self._flushing = False
                    self._changed.notify_all()
        except LeaseLost:
            self._give_up()
        except Exception:
            # Not a database that is away, so trying again would not help; the run must not go on without its log.
            logger.exception("The log of run %s cannot be written", self._run_id)
            self._give_up()
        finally:
            connections.close_all()

    def _give_up(self) -> None:
        with self._changed:
            self._lost = True
            self._buffer.clear()
            self._changed.notify_all()
        self._on_lost()

    def _next_group(self) -> list[EventDraft] | None:
        with self._changed:
            while not self._buffer and not self._closing:
                self._changed.wait()
            if not self._closing and not self._is_full():
                self._changed.wait(GROUP_SECONDS)
            if not self._buffer:
                return None if self._closing else []
            group, self._buffer, self._characters = self._buffer, [], 0
            self._flushing = True
            self._changed.notify_all()
            return group

    def _store(self, group: list[EventDraft]) -> None:
        while group:
            try:
                events_append(self._run_id, group, lease_token=self._lease_token)
                return
            except (OperationalError, InterfaceError) as exc:
                logger.warning("Events of run %s wait for the database: %s", self._run_id, exc)
                threading.Event().wait(RETRY_SECONDS)
                close_old_connections()
