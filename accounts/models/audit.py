"""What was done by whom."""

from __future__ import annotations

from django.db import models

from platform_site.lib.identifiers import uuid7


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

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["organisation_id", "-id"], name="audit_of_organisation")]

    def __str__(self) -> str:
        return f"{self.actor_email or 'the platform'}: {self.action} {self.target_name}"
