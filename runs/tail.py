"""Follows the event logs of runs for any number of viewers: one reader per process and run.

The reader asks the database for what is new, keeps the last stretch of the log in memory and wakes its viewers. A
viewer takes frames at its own pace: what has left memory it reads from the database itself, so a slow viewer slows
nobody, and memory is bounded per run whatever the number of viewers.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from accounts.standing import Viewing
from observability import metrics
from runs import events, hints
from runs.events import Frame, LogPosition

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
RING_CHARACTERS = 1024 * 1024
Result = TypeVar("Result")


@dataclass(frozen=True)
class End:
    """The log is complete: the run ended in `state`."""

    state: str
    last_seq: int


@dataclass(frozen=True)
class Heartbeat:
    """Nothing new; the connection is alive."""


class Tail:
    """The one reader of one run's log in one event loop."""

    def __init__(self, run_id: uuid.UUID, start: LogPosition, read: Callable[..., asyncio.Future[object]]) -> None:
        self.run_id = run_id
        self.viewers = 0
        self.head = start.last_seq
        self.end: End | None = None
        self.gone = False
        self.hinted = asyncio.Event()
        self._read = read
        self._ring: deque[Frame] = deque()
        self._ring_characters = 0
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    def stop(self) -> None:
        self._task.cancel()

    async def changed(self, timeout: float) -> bool:
        """Waits for something new; False after `timeout` seconds without."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return False
        return True

    def frame_after(self, seq: int) -> Frame | None:
        """The frame in memory that continues after `seq`, None when it is not in memory."""
        if not self._ring or seq < self._ring[0].first_seq - 1:
            return None
        # Viewers that keep up ask for one of the last frames.
        found = None
        for frame in reversed(self._ring):
            if frame.last_seq <= seq:
                break
            found = frame
        return found.after(seq) if found else None

    async def _follow(self) -> None:
        pause = 0.0
        while self.end is None and not self.gone:
            if pause:
                await self._wait_for_hint(pause)
            try:
                await self._advance()
                pause = POLL_SECONDS
            except DatabaseError as exc:
                logger.warning("The log of run %s cannot be read: %s", self.run_id, exc)
                pause = 2 * POLL_SECONDS
            except Exception:
                logger.exception("The log of run %s cannot be read; its reader goes on", self.run_id)
                pause = 4 * POLL_SECONDS

    async def _wait_for_hint(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self.hinted.wait(), timeout)
        except TimeoutError:
            return
        self.hinted.clear()

    async def _advance(self) -> None:
        where = await self._read(events.position, self.run_id)
        if not isinstance(where, LogPosition):
            self.leave()
            return
        while self.head < where.last_seq:
            frames = await self._read(_frames, self.run_id, self.head, where.last_seq)
            if not isinstance(frames, list) or not frames:
                break
            for frame in frames:
                self._remember(frame)
            self._notify()
        if where.is_terminal and self.head >= where.last_seq:
            self.end = End(where.state, where.last_seq)
            self._notify()

    def _remember(self, frame: Frame) -> None:
        self._ring.append(frame)
        self._ring_characters += len(frame.body)
        self.head = frame.last_seq
        while len(self._ring) > 1 and self._ring_characters > RING_CHARACTERS:
            self._ring_characters -= len(self._ring.popleft().body)

    def wake(self) -> None:
        """Lets every viewer look up from waiting, whether or not there is something new."""
        self._notify()

    def leave(self) -> None:
        """Sends the viewers away; they find the rest of the log wherever they come back."""
        self.gone = True
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _frames(run_id: uuid.UUID, after: int, up_to: int) -> list[Frame]:
    return events.frames_after(run_id, after, up_to=up_to)


class Hub:
    """The tails of one event loop, and the hints that wake them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tails: dict[uuid.UUID, Tail] = {}
        # Log reads have threads of their own: they neither wait for page views nor hold theirs up.
        self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="tail")
        self._layer_task: asyncio.Task[None] | None = None
        hints.listen(self._on_hint)
        if settings.REDIS_URL:
            self._layer_task = asyncio.create_task(self._listen_to_layer())

    def tails(self) -> Iterable[Tail]:
        return self._tails.values()

    def read(self, function: Callable[..., Result], *args: object) -> asyncio.Future[Result]:
        return self._loop.run_in_executor(self._readers, _with_connection, function, *args)

    def _on_hint(self, run_id: uuid.UUID) -> None:
        if run_id in self._tails and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, run_id)

    def _wake(self, run_id: uuid.UUID) -> None:
        if tail := self._tails.get(run_id):
            tail.hinted.set()

    async def _listen_to_layer(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(hints.GROUP, channel)
                while True:
                    message = await layer.receive(channel)
                    for run_id in message["runs"]:
                        hints.receive(uuid.UUID(run_id))
            except Exception as exc:  # Redis may fail in many ways; the tails poll meanwhile
                logger.warning("Hints are not received: %s", exc)
                await asyncio.sleep(2)

    def close(self) -> None:
        """Forgets an event loop that has ended."""
        hints.forget(self._on_hint)
        self._readers.shutdown(wait=False)

    async def acquire(self, run_id: uuid.UUID) -> Tail | None:
        """The tail of a run, started for its first viewer; None when the run is gone."""
        tail = self._tails.get(run_id)
        if tail is None or tail.end is not None or tail.gone:
            where = await self.read(events.position, run_id)
            if where is None:
                return None
            tail = self._tails.get(run_id)
            if tail is None or tail.end is not None or tail.gone:
                tail = self._tails[run_id] = Tail(run_id, where, self.read)
        tail.viewers += 1
        metrics.STREAM_VIEWERS.inc()
        return tail

    def release(self, tail: Tail) -> None:
        tail.viewers -= 1
        metrics.STREAM_VIEWERS.dec()
        if tail.viewers == 0:
            tail.stop()
            if self._tails.get(tail.run_id) is tail:
                del self._tails[tail.run_id]


def _with_connection(function: Callable[..., Result], *args: object) -> Result:
    try:
        return function(*args)
    finally:
        close_old_connections()  # an idle thread keeps none of the pool's connections


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _hubs if known.is_closed()]:
        _hubs.pop(closed).close()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def end_streams() -> None:
    """Ends every stream of the running event loop, which is about to stop: readers reconnect and resume elsewhere."""
    for tail in list(hub().tails()):
        tail.leave()


async def tail_run(run_id: uuid.UUID, after: int, viewing: Viewing) -> AsyncIterator[Frame | Heartbeat | End]:
    """Exactly the events of a run that follow `after`, as they come, then `End`.

    The caller has checked that the viewer may see the run. Without an `End` it ends when they may not any more
    (`viewing.is_lost`), when the run is gone, and when this process is about to stop.
    """
    here = hub()
    tail = await here.acquire(run_id)
    if tail is None:
        return
    try:
        with viewing.watched(tail.wake):
            while not tail.gone and not viewing.is_lost:
                frame = tail.frame_after(after)
                if frame is not None:
                    after = frame.last_seq
                    yield frame
                elif after < tail.head:
                    for older in await here.read(_frames, run_id, after, tail.head):
                        if viewing.is_lost:
                            return
                        after = older.last_seq
                        yield older
                elif tail.end is not None:
                    yield tail.end
                    return
                elif not await tail.changed(HEARTBEAT_SECONDS):
                    yield Heartbeat()
    finally:
        here.release(tail)
