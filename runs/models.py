"""A run is anything that takes time; its events are its durable, ordered log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import TenantModel, User
from accounts.tenancy import tenant_manager
from platform_site.lib.identifiers import uuid7


class RunState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    INTERRUPTED = "interrupted", "Interrupted"


TERMINAL_STATES = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED})
RETRYABLE_STATES = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED})


class RunQuerySet(models.QuerySet["Run"]):
    def newest_first(self) -> RunQuerySet:
        # The key is a UUIDv7: it sorts by time, and the primary key index serves it.
        return self.order_by("-id")

    def expired(self, now: datetime) -> RunQuerySet:
        """Running, with a lease that nobody renewed."""
        return self.filter(state=RunState.RUNNING, lease_expires_at__lt=now)


class Run(TenantModel):
    """One execution of one kind of work, possibly in several attempts; the row is the truth, the broker a hint.

    `lease_token` grows each time the run changes hands: whoever holds an older one can write nothing more.
    """

    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    kind = models.CharField(max_length=60, db_index=True)
    title = models.CharField(max_length=200, blank=True)
    payload = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)
    pool = models.CharField(max_length=20, default="work")
    state = models.CharField(max_length=20, choices=RunState, default=RunState.QUEUED)
    reason = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    recoveries = models.PositiveIntegerField(default=0)
    progress = models.PositiveSmallIntegerField(default=0)
    progress_label = models.CharField(max_length=120, blank=True)
    last_seq = models.PositiveBigIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_token = models.PositiveBigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=120, null=True, blank=True)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = tenant_manager(RunQuerySet)

    class Meta:
        indexes = [
            models.Index(fields=["state", "pool", "queued_at"], name="run_queue"),
            models.Index(fields=["state", "lease_expires_at"], name="run_lease"),
            models.Index(fields=["organisation", "-id"], name="run_of_organisation"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "kind", "idempotency_key"], name="run_idempotency"),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.kind} {self.pk}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def can_cancel(self) -> bool:
        return not self.is_terminal and self.cancel_requested_at is None

    @property
    def can_retry(self) -> bool:
        return self.state in RETRYABLE_STATES

    @property
    def duration_seconds(self) -> float | None:
        """Seconds of the current or last attempt, None before the first."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()


class EventChunk(models.Model):
    """A stretch of a run's events: `body` is the JSON array that readers get, numbered `first_seq` to `last_seq`.

    A document: it lives behind the alias `documents`, so it has no foreign key and its key is a UUIDv7.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False, db_column="_id")
    run_id = models.UUIDField()
    organisation_id = models.UUIDField()
    first_seq = models.PositiveBigIntegerField()
    last_seq = models.PositiveBigIntegerField()
    body = models.TextField()

    # Events are reached only through `runs.events`, which starts from a run that the caller could see.
    objects: models.Manager[Any] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run_id", "first_seq"], name="event_chunk_once")]
        indexes = [models.Index(fields=["run_id", "last_seq"], name="event_chunk_after")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.first_seq}-{self.last_seq}"


class ChoreTurn(models.Model):
    """When a chore is due next; whoever moves `due_at` on does it."""

    name = models.CharField(max_length=80, primary_key=True)
    due_at = models.DateTimeField()

    objects: models.Manager[Any] = models.Manager()

    def __str__(self) -> str:
        return self.name
