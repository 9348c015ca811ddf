"""What was done by whom."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.db import models

from platform_site.lib.identifiers import uuid7


class AppendOnly(TypeError):
    """Somebody tried to change or delete an audit entry, which no code of the platform does."""

    def __init__(self, *_: Any) -> None:
        super().__init__("Audit entries are only ever added.")


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Reads and adds. The database refuses the rest too, for SQL that did not come through here."""

    def update(self, **_: Any) -> NoReturn:
        raise AppendOnly

    def bulk_update(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly

    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("update_conflicts"):
            raise AppendOnly
        return super().bulk_create(*args, **kwargs)


class AuditEntry(models.Model):
    """Who did what, when, from where and with which credential. Rows are only ever added."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Kept as values: an entry outlives the rows it speaks of.
    organisation_id = models.UUIDField(null=True, db_index=True)
    actor_id = models.UUIDField(null=True)
    actor_email = models.CharField(max_length=254, blank=True)
    action = models.CharField(max_length=80)
    target_type = models.CharField(max_length=80, blank=True)
    target_id = models.CharField(max_length=80, blank=True)
    target_name = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    credential = models.CharField(max_length=120, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects: ClassVar[Any] = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["organisation_id", "-id"], name="audit_of_organisation"),
            models.Index(fields=["organisation_id", "action", "-id"], name="audit_by_action"),
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
            models.Index(fields=["actor_email", "-id"], name="audit_by_email"),
            models.Index(fields=["target_id", "-id"], name="audit_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_email or 'the platform'}: {self.action} {self.target_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    @property
    def changed(self) -> list[tuple[str, str, str]]:
        """Field, value before and value after, as people read them; what was nothing is an empty text."""
        pairs = [(field, *_pair(value)) for field, value in self.changes.items()]
        return [(field.replace("_", " "), _shown(before), _shown(after)) for field, before, after in pairs]


def _pair(value: object) -> tuple[object, object]:
    return (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else (None, value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)
