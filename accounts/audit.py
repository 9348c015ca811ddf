"""The audit trail: services write here in the transaction of what they record."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from accounts import credentials
from accounts.models import AuditEntry, Organisation, User
from observability import logs
from platform_site.lib import origin


def record(
    *,
    actor: User | None,
    action: str,
    target: models.Model | None = None,
    organisation_id: uuid.UUID | None = None,
    changes: dict[str, Any] | None = None,
) -> AuditEntry:
    """Adds an entry. `changes` is `{field: [before, after]}` and never holds secrets; `actor` None is the platform."""
    credential = credentials.current.get()
    came_from = origin.current.get()
    return AuditEntry.objects.create(
        organisation_id=organisation_id or _organisation_of(target),
        actor_id=actor.pk if actor else None,
        actor_email=actor.email if actor else "",
        action=action,
        target_type=target._meta.model_name or "" if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        target_name=str(target)[:200] if target is not None else "",
        changes=changes or {},
        address=came_from.address[:45],
        user_agent=came_from.user_agent,
        credential=credential.label[:120] if credential else "",
        request_id=logs.request_id.get(),
    )


def _organisation_of(target: models.Model | None) -> uuid.UUID | None:
    return target.pk if isinstance(target, Organisation) else getattr(target, "organisation_id", None)
