"""The event log of a run: numbered 1..N without gaps, stored in chunks, read by `after`.

Appending takes the run's row lock, so numbers are gapless with any number of writers. Chunks are written before the
row says how far the log reaches: where documents live in another database, a crash between the two leaves a chunk that
no reader sees and the next writer replaces.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.db import transaction

from accounts.tenancy import all_organisations
from observability import metrics
from platform_site.lib.secrets import redact
from platform_site.lib.text import clean_text
from runs import hints
from runs.models import EventChunk, Run
from runs.routers import documents_alias

CHUNK_EVENTS = 1_000
CHUNK_CHARACTERS = 256 * 1024
KINDS = frozenset({"line", "token", "state", "progress", "artifact"})


class LeaseLost(Exception):
    """The run was taken from this worker: it must stop and may write nothing more."""


@dataclass(frozen=True)
class EventDraft:
    """An event before it has a number. `text` is cleaned and redacted here, on the way in."""

    kind: str
    text: str = ""
    stream: str = ""
    data: dict[str, Any] | None = None
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    @classmethod
    def of(cls, kind: str, text: str = "", *, stream: str = "", data: dict[str, Any] | None = None) -> EventDraft:
        return cls(kind, redact(clean_text(text)), stream, _safe(data) if data else None)

    def render(self, seq: int) -> str:
        event: dict[str, Any] = {"seq": seq, "at": self.at, "kind": self.kind, "stream": self.stream, "text": self.text}
        if self.data:
            event["data"] = self.data
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _safe(value: Any) -> Any:
    """`value` as JSON can hold it, every text in it cleaned and redacted."""
    if isinstance(value, Mapping):
        return {str(name): _safe(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(clean_text(str(value)))


@dataclass(frozen=True)
class Frame:
    """Consecutive events as one JSON array, ready to be sent through any door."""

    first_seq: int
    last_seq: int
    body: str

    @cached_property
    def sse(self) -> bytes:
        return f"id: {self.last_seq}\nevent: events\ndata: {self.body}\n\n".encode()

    @cached_property
    def socket_message(self) -> str:
        return f'{{"events":{self.body}}}'

    def after(self, seq: int) -> Frame:
        """The part of this frame that follows `seq`."""
        if seq < self.first_seq:
            return self
        rest = [event for event in json.loads(self.body) if event["seq"] > seq]
        return Frame(seq + 1, self.last_seq, json.dumps(rest, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True)
class LogPosition:
    """How far a log reaches and whether it may still grow."""

    last_seq: int
    state: str
    is_terminal: bool


def events_append(run_id: uuid.UUID, drafts: Sequence[EventDraft], *, lease_token: int | None = None) -> int:
    """Adds events and answers the last number.

    Args:
        lease_token: the writer's fencing token; None for writers other than the run's worker.

    Raises:
        LeaseLost: the run has changed hands since the token was given out.
    """
    with all_organisations(), transaction.atomic():
        run = Run.objects.select_for_update().only("last_seq", "lease_token", "organisation_id").get(pk=run_id)
        if lease_token is not None and run.lease_token != lease_token:
            raise LeaseLost
        last_seq = write_locked(run, drafts)
    for draft in drafts:
        metrics.EVENTS_WRITTEN.labels(kind=draft.kind).inc()
    return last_seq


def write_locked(run: Run, drafts: Sequence[EventDraft]) -> int:
    """Adds events to a run whose row the caller has locked in an open transaction."""
    chunks = list(_chunks(run, drafts))
    if documents_alias() != "default":
        EventChunk.objects.filter(run_id=run.pk, first_seq__gt=run.last_seq).delete()
    EventChunk.objects.bulk_create(chunks)
    run.last_seq += len(drafts)
    Run.objects.filter(pk=run.pk).update(last_seq=run.last_seq)
    transaction.on_commit(lambda: hints.publish(run.pk))
    return run.last_seq


def _chunks(run: Run, drafts: Sequence[EventDraft]) -> Iterable[EventChunk]:
    rendered: list[str] = []
    size, seq = 0, run.last_seq
    for draft in drafts:
        seq += 1
        rendered.append(draft.render(seq))
        size += len(rendered[-1])
        if len(rendered) >= CHUNK_EVENTS or size >= CHUNK_CHARACTERS:
            yield _chunk(run.pk, run.organisation_id, seq, rendered)
            rendered, size = [], 0
    if rendered:
        yield _chunk(run.pk, run.organisation_id, seq, rendered)


def _chunk(run_id: uuid.UUID, organisation_id: uuid.UUID, last_seq: int, rendered: list[str]) -> EventChunk:
    return EventChunk(
        run_id=run_id,
        organisation_id=organisation_id,
        first_seq=last_seq - len(rendered) + 1,
        last_seq=last_seq,
        body="[" + ",".join(rendered) + "]",
    )


def position(run_id: uuid.UUID) -> LogPosition | None:
    """Where the log of a run stands, None when the run is gone."""
    with all_organisations():
        run = Run.objects.filter(pk=run_id).only("last_seq", "state").first()
    return LogPosition(run.last_seq, run.state, run.is_terminal) if run else None


def frames_after(run_id: uuid.UUID, after: int, *, up_to: int, chunks: int = 8) -> list[Frame]:
    """At most `chunks` frames that follow `after`, none beyond `up_to`, which the caller read from the run."""
    rows = EventChunk.objects.filter(run_id=run_id, last_seq__gt=after, first_seq__lte=up_to)
    rows = rows.order_by("first_seq").values_list("first_seq", "last_seq", "body")[:chunks]
    frames: list[Frame] = []
    for first, last, body in rows:
        if last > after:  # an overlapping chunk left by a compaction elsewhere is passed over
            frames.append(Frame(first, last, body).after(after))
            after = last
    return frames


def events_page(run_id: uuid.UUID, after: int, *, limit: int) -> tuple[list[dict[str, Any]], LogPosition | None]:
    """Up to `limit` events that follow `after`, and where the log stands."""
    where = position(run_id)
    if where is None:
        return [], None
    events: list[dict[str, Any]] = []
    while len(events) < limit and after < where.last_seq:
        frames = frames_after(run_id, after, up_to=where.last_seq)
        if not frames:
            break
        for frame in frames:
            events.extend(json.loads(frame.body))
        after = events[-1]["seq"]
    return events[:limit], where


def events_compact(run_id: uuid.UUID) -> None:
    """Joins the small chunks of a log into few large ones, so that a slow log is not one row a line.

    Only where chunks and run share a database, as the exchange must be atomic for readers.
    """
    if documents_alias() != "default":
        return
    with all_organisations(), transaction.atomic():
        run = Run.objects.select_for_update().only("organisation_id").filter(pk=run_id).first()
        if run is None:
            return
        group: list[EventChunk] = []
        events = characters = 0
        for chunk in EventChunk.objects.filter(run_id=run_id).order_by("first_seq").iterator(chunk_size=50):
            count, size = chunk.last_seq - chunk.first_seq + 1, len(chunk.body)
            if group and (events + count > CHUNK_EVENTS or characters + size > CHUNK_CHARACTERS):
                _join(run, group)
                group, events, characters = [], 0, 0
            group.append(chunk)
            events, characters = events + count, characters + size
        _join(run, group)


def _join(run: Run, group: list[EventChunk]) -> None:
    if len(group) < 2:
        return
    joined = "[" + ",".join(chunk.body[1:-1] for chunk in group) + "]"
    EventChunk.objects.filter(pk__in=[chunk.pk for chunk in group]).delete()
    EventChunk.objects.create(
        run_id=run.pk,
        organisation_id=run.organisation_id,
        first_seq=group[0].first_seq,
        last_seq=group[-1].last_seq,
        body=joined,
    )
