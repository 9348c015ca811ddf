"""Gives each registered chore its turn: the row of a chore is claimed by moving its next turn into the future."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.utils import timezone

from accounts.tenancy import all_organisations
from platform_site.lib.chores import Chore, chores
from runs.models import ChoreTurn

logger = logging.getLogger(__name__)


def chores_do() -> None:
    """Does every chore that is due and that no other process took."""
    now = timezone.now()
    known = dict(ChoreTurn.objects.values_list("name", "due_at"))
    for chore in list(chores.values()):
        if known.get(chore.name, now) <= now and _claim(chore, now, is_known=chore.name in known):
            _do(chore)


def _claim(chore: Chore, now: datetime, *, is_known: bool) -> bool:
    if not is_known:
        ChoreTurn.objects.get_or_create(name=chore.name, defaults={"due_at": now})
    due_at = now + timedelta(seconds=chore.every)
    return ChoreTurn.objects.filter(name=chore.name, due_at__lte=now).update(due_at=due_at) == 1


def _do(chore: Chore) -> None:
    try:
        with all_organisations():
            chore.do()
    except DatabaseError:
        raise
    except Exception:
        logger.exception("The chore %s failed; its next turn is in %s seconds", chore.name, chore.every)
