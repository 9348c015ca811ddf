"""The audit trail: services write here in the transaction of what they record."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import Any

from django.db import models

from accounts.models import AuditEntry, User

client_address: ContextVar[str] = ContextVar("client_address", default="")
"""Where the current request came from; set by the tenancy middleware."""


def record(
    *,
    actor: User | None,
    action: str,
    target: models.Model | None = None,
    organisation_id: uuid.UUID | None = None,
    changes: dict[str, Any] | None = None,
) -> AuditEntry:
    """Adds an entry. `changes` is `{field: [before, after]}` and never holds secrets; `actor` None is the platform."""
    return AuditEntry.objects.create(
        organisation_id=organisation_id or getattr(target, "organisation_id", None),
        actor_id=actor.pk if actor else None,
        actor_email=actor.email if actor else "",
        action=action,
        target_type=target._meta.model_name or "" if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        target_name=str(target)[:200] if target is not None else "",
        changes=changes or {},
        address=client_address.get(),
    )
