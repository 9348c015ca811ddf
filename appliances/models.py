"""Appliances: machines that report to Steward with a key of their own, and what they reported."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import TenantModel, User
from accounts.tenancy import tenant_manager

OFFLINE_AFTER = timedelta(minutes=3)
"""Without a heartbeat for this long an appliance counts as offline; the agent sends one a minute."""


class ApplianceState(models.TextChoices):
    PENDING = "pending", "Waiting for enrolment"
    ONLINE = "online", "Online"
    OFFLINE = "offline", "Offline"


class ApplianceQuerySet(models.QuerySet["Appliance"]):
    def enrolled(self) -> ApplianceQuerySet:
        return self.filter(key_hash__isnull=False)


class Appliance(TenantModel):
    """A machine. Codes and keys are random and long, so their SHA-256 is what is kept, under a unique index.

    `version`, `config_version` and `last_heartbeat_at` are what the machine reported; `desired_config` and
    `desired_version` are what people want of it.
    """

    name = models.CharField(max_length=80)
    address = models.CharField(max_length=253, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    enrolment_code_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)
    enrolment_expires_at = models.DateTimeField(null=True, editable=False)
    key_hash = models.CharField(max_length=64, null=True, unique=True, editable=False)
    enrolled_at = models.DateTimeField(null=True, editable=False)
    version = models.CharField(max_length=40, blank=True)
    config_version = models.PositiveIntegerField(null=True)
    last_heartbeat_at = models.DateTimeField(null=True)
    desired_config = models.JSONField(default=dict, blank=True)
    desired_version = models.PositiveIntegerField(default=1)

    objects: ClassVar[Any] = tenant_manager(ApplianceQuerySet)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="appliance_name_once")]
        indexes = [models.Index(fields=["organisation", "-id"], name="appliance_of_organisation")]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """Told from the clock whenever it is asked for, so that it is never out of date."""
        return self.state_at(timezone.now())

    def state_at(self, now: datetime) -> str:
        if self.key_hash is None:
            return ApplianceState.PENDING
        heard = self.last_heartbeat_at is not None and now - self.last_heartbeat_at < OFFLINE_AFTER
        return ApplianceState.ONLINE if heard else ApplianceState.OFFLINE

    @property
    def config_body(self) -> bytes:
        """The desired configuration as the appliance gets it, byte for byte."""
        document = {"version": self.desired_version, "config": self.desired_config}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def config_etag(self) -> str:
        """A strong validator of `config_body` (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.sha256(self.config_body).hexdigest()[:32]}"'


class Heartbeat(TenantModel):
    """One report of an appliance. `beat_id` is the appliance's own name for it: what is sent twice is kept once."""

    appliance = models.ForeignKey(Appliance, on_delete=models.CASCADE, related_name="heartbeats")
    beat_id = models.UUIDField(null=True)
    measured_at = models.DateTimeField(null=True)
    version = models.CharField(max_length=40)
    uptime_seconds = models.FloatField()
    config_version = models.PositiveIntegerField(null=True)
    metrics = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["appliance", "beat_id"], name="heartbeat_once")]
        indexes = [models.Index(fields=["appliance", "-id"], name="heartbeat_of_appliance")]

    def __str__(self) -> str:
        return f"{self.appliance_id} at {self.created_at:%Y-%m-%d %H:%M:%S}"
