"""Lists in pages by cursor: keys are UUIDv7, so the key of the last row is the place to go on from."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict

from platform_site.lib.errors import InvalidRequest

Row = TypeVar("Row", bound=Model)
DEFAULT_LIMIT, MAX_LIMIT = 50, 200


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`items`, newest first, and the cursor of the next page, None on the last one."""

    items: list[Row]
    next_cursor: str | None


def page_of(queryset: QuerySet[Row], parameters: Mapping[str, Any]) -> Page[Row]:
    """The page that `?limit=` and `?cursor=` ask for, newest first; one query whatever the page.

    Raises:
        InvalidRequest: `limit` is not 1 to 200, or `cursor` did not come from a list.
    """
    limit = parse_limit(parameters.get("limit") or None, default=DEFAULT_LIMIT, maximum=MAX_LIMIT)
    rows = queryset.order_by("-pk")
    if cursor := parameters.get("cursor"):
        rows = rows.filter(pk__lt=parse_id(str(cursor), field="cursor"))
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].pk) if more else None)


def parse_limit(raw: str | None, *, default: int, maximum: int) -> int:
    """How many rows or events a query string asks for; `default` when it does not say.

    Raises:
        InvalidRequest: it is not a number from 1 to `maximum`.
    """
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) < 6 and 1 <= int(raw) <= maximum):
        raise InvalidRequest(f"`limit` must be 1 to {maximum}.", errors={"limit": [f"A number from 1 to {maximum}."]})
    return int(raw)


def parse_id(raw: str, *, field: str) -> uuid.UUID:
    """An id from a query string.

    Raises:
        InvalidRequest: it is not a UUID.
    """
    try:
        return uuid.UUID(raw)
    except ValueError as exc:
        raise InvalidRequest(f"`{field}` is not valid.", errors={field: ["Not a valid id."]}) from exc


def known_parameters(parameters: Mapping[str, Any], *known: str) -> None:
    """Refuses a query string with parameters that nothing reads, or with one twice: it asks for something else.

    Raises:
        InvalidRequest: naming them.
    """
    unknown = {name: ["There is no such parameter."] for name in parameters if name not in known}
    twice = {
        name: ["Give it once."]
        for name in parameters
        if name in known and isinstance(parameters, QueryDict) and len(parameters.getlist(name)) > 1
    }
    if errors := unknown | twice:
        names = ", ".join(f"`{name[:80]}`" for name in errors)
        raise InvalidRequest(f"The query cannot be understood: {names}.", errors=errors)


def choice_of(parameters: Mapping[str, Any], field: str, allowed: list[str]) -> str | None:
    """The value of a filter that takes one of a few words, None when it is not given.

    Raises:
        InvalidRequest: another word was given.
    """
    value = parameters.get(field) or None
    if value is not None and value not in allowed:
        raise InvalidRequest(f"`{field}` is not valid.", errors={field: [f"One of: {', '.join(allowed)}."]})
    return value
