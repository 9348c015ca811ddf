"""What other rooms do when an organisation ends or a person goes. They register in their `closing.py`, as they know
accounts and accounts does not know them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

Hook = Callable[[uuid.UUID], None]

_closing: list[Hook] = []
_purging: list[Hook] = []
_leaving: list[Hook] = []


def when_organisation_closes(hook: Hook) -> Hook:
    """Calls the decorated function with the id of an organisation that closes, in that transaction."""
    _closing.append(hook)
    return hook


def when_organisation_is_purged(hook: Hook) -> Hook:
    """Calls the decorated function before the rows of an organisation are deleted, in that transaction.

    It deletes what no foreign key leads to, and whatever may only go before something else.
    """
    _purging.append(hook)
    return hook


def when_user_is_deleted(hook: Hook) -> Hook:
    """Calls the decorated function with the id of a user who is about to be deleted, in that transaction."""
    _leaving.append(hook)
    return hook


def tell_closing(organisation_id: uuid.UUID) -> None:
    for hook in _closing:
        hook(organisation_id)


def tell_purging(organisation_id: uuid.UUID) -> None:
    for hook in _purging:
        hook(organisation_id)


def tell_deleting(user_id: uuid.UUID) -> None:
    for hook in _leaving:
        hook(user_id)
