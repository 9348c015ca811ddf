"""The walls between organisations: one module opens the scope for pages, REST, sockets, admin, tasks and streams.

Every tenant-owned model uses `tenant_manager`, its only manager. Outside a scope a query raises `ScopeError`; inside,
it sees one organisation. What happens across organisations says so with `all_organisations`.

`wall` says the same to PostgreSQL (`accounts.postgresql`), which then keeps other organisations' rows from SQL that no
manager wrote.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from django_scopes import ScopedManager, scope, scopes_disabled
from django_scopes import state as scope_state
from django_scopes.exceptions import ScopeError
from django_scopes.manager import DisabledQuerySet

# Two doors the library leaves open without a scope.
for _method in ("exclude", "exists", "contains", "in_bulk", "bulk_create", "bulk_update"):
    setattr(DisabledQuerySet, _method, DisabledQuerySet.error)

wall: ContextVar[str | None] = ContextVar("wall", default=None)
"""The organisation whose rows the database shows: its id, "" for none; None outside of scopes, as in commands."""


def tenant_manager(queryset: type[models.QuerySet[Any]] = models.QuerySet) -> Any:
    """A manager over `queryset` that sees only the organisation whose scope is open."""
    for name in vars(queryset):  # without a scope its own methods are refused like all others, and not unknown
        if not name.startswith("_") and not hasattr(DisabledQuerySet, name):
            setattr(DisabledQuerySet, name, DisabledQuerySet.error)
    return ScopedManager(organisation="organisation", _manager_class=models.Manager.from_queryset(queryset))


@contextmanager
def organisation_scope(organisation_id: uuid.UUID) -> Iterator[None]:
    """Everything inside sees the rows of one organisation."""
    with scope(organisation=organisation_id), _walled(str(organisation_id)):
        yield


@contextmanager
def all_organisations() -> Iterator[None]:
    """Everything inside sees the rows of all organisations: for the platform's own work and its Administrators."""
    with scopes_disabled(), _walled(None):
        yield


@contextmanager
def _walled(organisation: str | None) -> Iterator[None]:
    outer = wall.get()
    wall.set(organisation)
    try:
        yield
    finally:
        wall.set(outer)


@contextmanager
def request_scope() -> Iterator[None]:
    """A closed scope around one request; signing in opens it through `enter`."""
    outer = scope_state.state.get()
    scope_state.state.set({})
    try:
        with _walled(""):
            yield
    finally:
        scope_state.state.set(outer)


def enter(organisation_id: uuid.UUID | None) -> None:
    """Opens the scope of `organisation_id` until the surrounding `request_scope` ends."""
    scope_state.state.set({} if organisation_id is None else {"organisation": organisation_id, "_enabled": True})
    wall.set("" if organisation_id is None else str(organisation_id))


def current_organisation() -> uuid.UUID:
    """The organisation whose scope is open.

    Raises:
        ScopeError: none is, or all are.
    """
    organisation_id = scope_state.get_scope().get("organisation")
    if not isinstance(organisation_id, uuid.UUID):
        raise ScopeError("Exactly one organisation needs to be chosen here.")
    return organisation_id
