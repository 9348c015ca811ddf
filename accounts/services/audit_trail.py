"""Reading the audit trail: whose part of it somebody may see, what they look for, pages and exports."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from accounts import audit, credentials
from accounts.models import AuditEntry, User
from accounts.permissions import MANAGE, require_administrator, require_in
from accounts.tenancy import all_organisations, organisation_scope
from platform_site.lib.errors import InvalidRequest, NotFound
from platform_site.lib.identifiers import uuid7_floor
from platform_site.lib.pagination import Page, page_of, parse_id

ALL = "all"
CSV, JSONL = "csv", "jsonl"
FORMATS = [CSV, JSONL]
EXPORT_ROWS = 1_000
COLUMNS = (
    "id", "at", "organisation_id", "actor_id", "actor_email", "action", "target_type", "target_id", "target_name",
    "changes", "address", "user_agent", "credential", "request_id",
)  # fmt: skip
WORD = re.compile(r"[a-z][a-z0-9_]{0,79}(?:\.[a-z][a-z0-9_]{0,79})?")
# What spreadsheets take for the beginning of a formula, in either width.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CLOCK_SLACK = timedelta(minutes=1)
"""An entry's id and its time are taken one after the other."""


# --- What is looked for -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class AuditFilter:
    """What entries must be like; None asks for nothing.

    Args:
        action: `noun.verb`, or `noun` for everything done to such things.
        actor: an e-mail address or the id of a user.
        since: the first moment that counts.
        until: the first moment that does not count any more.
    """

    action: str | None = None
    actor: str | uuid.UUID | None = None
    target_type: str | None = None
    target_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def filter_read(parameters: Mapping[str, Any]) -> AuditFilter:
    """The filter that a query string asks for; what is empty is not asked for.

    Raises:
        InvalidRequest: naming the parameters that cannot be used.
    """
    values: dict[str, Any] = {}
    errors: dict[str, Sequence[str]] = {}
    for name, read in _READERS.items():
        try:
            values[name] = read(raw, name) if (raw := str(parameters.get(name) or "").strip()) else None
        except InvalidRequest as exc:
            errors |= exc.errors or {}
    if errors:
        raise InvalidRequest(f"The filter is not valid: {', '.join(errors)}.", errors=errors)
    return AuditFilter(**values)


def _word(raw: str, field: str) -> str:
    if not WORD.fullmatch(raw):
        raise _unusable(field, "Small letters, digits and underscores, such as `deployment.stop`.")
    return raw


def _actor(raw: str, field: str) -> str | uuid.UUID:
    if "@" in raw:
        return _printable(raw, field).lower()
    try:
        return uuid.UUID(raw)
    except ValueError as exc:
        raise _unusable(field, "An e-mail address, or the id of a user.") from exc


def _printable(raw: str, field: str) -> str:
    if len(raw) > 254 or not raw.isprintable():
        raise _unusable(field, "Up to 254 printable characters.")
    return raw


def _moment(raw: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(raw)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise _unusable(field, "A date or a time as ISO 8601, such as 2026-11-21T10:00:00Z.") from exc


def _unusable(field: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"`{field}` is not valid.", errors={field: [rule]})


_READERS: dict[str, Callable[[str, str], Any]] = {
    "action": _word,
    "actor": _actor,
    "target_type": _word,
    "target_id": _printable,
    "since": _moment,
    "until": _moment,
}
FILTERS = tuple(_READERS)


# --- Whose part ---------------------------------------------------------------------------------------------------
def trail_scope(*, actor: User, wanted: str | None, default: uuid.UUID | None) -> uuid.UUID | None:
    """The organisation whose trail `actor` sees, None for that of the whole platform.

    Args:
        wanted: `all`, the id of an organisation, or nothing for the `default`, which None makes `all`.

    Raises:
        NotFound: they do not belong to the organisation.
        PermissionRefused: they do not manage it, or ask for all and are no platform Administrator.
        InvalidRequest: `wanted` is neither `all` nor an id.
    """
    credential = credentials.current.get()
    only = credential.organisation_id if credential else None
    chosen = default if not wanted else None if wanted == ALL else parse_id(wanted, field="organization")
    if only is not None and chosen != only:
        raise NotFound("There is no such organisation.")
    if chosen is None:
        require_administrator(actor)
    else:
        require_in(actor, MANAGE, chosen)
    return chosen


def _opened(organisation_id: uuid.UUID | None) -> AbstractContextManager[None]:
    return organisation_scope(organisation_id) if organisation_id else all_organisations()


def _entries(organisation_id: uuid.UUID | None, wanted: AuditFilter) -> QuerySet[AuditEntry]:
    found: QuerySet[AuditEntry] = AuditEntry.objects.all()
    if organisation_id is not None:
        found = found.filter(organisation_id=organisation_id)
    if wanted.action:
        exact = "." in wanted.action
        found = found.filter(action=wanted.action) if exact else found.filter(action__startswith=f"{wanted.action}.")
    if wanted.actor:
        by_id = isinstance(wanted.actor, uuid.UUID)
        found = found.filter(actor_id=wanted.actor) if by_id else found.filter(actor_email=wanted.actor)
    if wanted.target_type:
        found = found.filter(target_type=wanted.target_type)
    if wanted.target_id:
        found = found.filter(target_id=wanted.target_id)
    return _between(found, wanted.since, wanted.until)


def _between(entries: QuerySet[AuditEntry], since: datetime | None, until: datetime | None) -> QuerySet[AuditEntry]:
    # Ids carry their time, so the index that orders the list also finds where the time begins.
    if since is not None:
        entries = entries.filter(at__gte=since, pk__gte=uuid7_floor(_moved(since, -CLOCK_SLACK)))
    if until is not None:
        entries = entries.filter(at__lt=until, pk__lt=uuid7_floor(_moved(until, CLOCK_SLACK)))
    return entries


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


# --- Pages and exports --------------------------------------------------------------------------------------------
def trail_page(
    *, organisation_id: uuid.UUID | None, wanted: AuditFilter, parameters: Mapping[str, Any]
) -> Page[AuditEntry]:
    """A page of the trail that `trail_scope` allowed, newest first, by `limit` and `cursor`.

    Raises:
        InvalidRequest: `limit` or `cursor` is not valid.
    """
    with _opened(organisation_id):
        return page_of(_entries(organisation_id, wanted), parameters)


def trail_actions(*, organisation_id: uuid.UUID | None, latest: int = 500) -> list[str]:
    """The actions among the latest entries, to choose from."""
    with _opened(organisation_id):
        recent = _entries(organisation_id, AuditFilter()).order_by("-pk").values_list("action", flat=True)[:latest]
        return sorted(set(recent))


def trail_export(
    *, actor: User, organisation_id: uuid.UUID | None, wanted: AuditFilter, format: str
) -> AsyncIterator[bytes]:
    """Everything that the filter matches at this moment, newest first, some rows at a time. The trail tells of it.

    Whether `actor` may still see it is asked again for every part.
    """
    changes = {name: ["", str(value)] for name, value in vars(wanted).items() if value is not None}
    entry = audit.record(
        actor=actor, action="audit.export", organisation_id=organisation_id, changes={"format": ["", format], **changes}
    )

    def rows_before(before: uuid.UUID) -> list[dict[str, Any]]:
        still = User.objects.get(pk=actor.pk)
        require_in(still, MANAGE, organisation_id) if organisation_id else require_administrator(still)
        with _opened(organisation_id):
            return _some(_entries(organisation_id, wanted), before)

    return _written(rows_before, format=format, before=entry.pk)


def selection_export(*, actor: User, entries: QuerySet[AuditEntry]) -> AsyncIterator[bytes]:
    """These entries as CSV, for a platform Administrator. The trail tells of it.

    Raises:
        PermissionRefused: the actor is none.
    """
    require_administrator(actor)
    entry = audit.record(actor=actor, action="audit.export", changes={"format": ["", CSV], "selected": ["", "some"]})

    def rows_before(before: uuid.UUID) -> list[dict[str, Any]]:
        with all_organisations():
            return _some(entries, before)

    return _written(rows_before, format=CSV, before=entry.pk)


def _some(entries: QuerySet[AuditEntry], before: uuid.UUID) -> list[dict[str, Any]]:
    return list(entries.filter(pk__lt=before).order_by("-pk").values(*COLUMNS)[:EXPORT_ROWS])


async def _written(
    rows_before: Callable[[uuid.UUID], list[dict[str, Any]]], *, format: str, before: uuid.UUID
) -> AsyncIterator[bytes]:
    if format == CSV:
        yield as_csv([dict(zip(COLUMNS, COLUMNS, strict=True))])
    while rows := await sync_to_async(rows_before)(before):
        before = rows[-1]["id"]
        yield as_csv(rows) if format == CSV else as_jsonl(rows)


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    """Rows as JSON, one a line."""
    return "".join(json.dumps(row, default=_text, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """Rows by RFC 4180, safe to open in a spreadsheet: what would be a formula there begins with an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return buffer.getvalue().encode()


def _cell(value: Any) -> str:
    text = _text(value) if not isinstance(value, dict) else json.dumps(value, ensure_ascii=False) if value else ""
    return f"'{text}" if text.startswith(FORMULA) else text


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return "" if value is None else str(value)
