"""What people and programs hold to prove who they are: sessions, token families, personal access tokens, devices."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.sessions.base_session import AbstractBaseSession, BaseSessionManager
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.organisations import Organisation
from accounts.models.users import User
from platform_site.lib.identifiers import uuid7


class Session(AbstractBaseSession):
    """A browser's session. `public_id` names it to people; the key itself is a secret between it and the browser."""

    public_id = models.UUIDField(unique=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    method = models.CharField(max_length=20, blank=True)
    second_factor = models.BooleanField(default=False)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[Any] = BaseSessionManager()

    # What a later request may change; where and when a session began stays.
    CHANGING = ("session_data", "expire_date", "user", "method", "second_factor")

    def save(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("force_update"):
            kwargs["update_fields"] = self.CHANGING
        super().save(*args, **kwargs)

    @classmethod
    def get_session_store_class(cls) -> Any:
        from accounts.sessions import SessionStore  # which needs this model

        return SessionStore


class TokenFamily(models.Model):
    """All refresh tokens that follow from one sign-in. Only `current_jti` can be used, and using it replaces it.

    A token of the family that comes back after it was replaced was stolen from somebody, so the family is revoked.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="token_families")
    client = models.CharField(max_length=100, blank=True)
    method = models.CharField(max_length=20, blank=True)
    second_factor = models.BooleanField(default=False)
    current_jti = models.CharField(max_length=64)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    rotated_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=40, blank=True)

    class Meta:
        verbose_name_plural = "token families"
        indexes = [models.Index(fields=["user", "-id"], name="token_family_of_user")]

    def __str__(self) -> str:
        return f"{self.client or 'API'} of {self.user}"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()


class TokenQuerySet(models.QuerySet["PersonalAccessToken"]):
    def live(self, now: datetime | None = None) -> TokenQuerySet:
        """Neither revoked nor expired."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=now or timezone.now())
        return self.filter(unexpired, revoked_at=None)


class PersonalAccessToken(models.Model):
    """A token for programs, with a user's rights within `scopes`; kept as its SHA-256, as it is random and long.

    `organisation` narrows it to one organisation. `hint` is its beginning, by which people tell theirs apart.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="personal_access_tokens")
    organisation = models.ForeignKey(Organisation, null=True, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    last_used_address = models.CharField(max_length=45, blank=True)
    revoked_at = models.DateTimeField(null=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "-id"], name="token_of_user")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class DeviceStatus(models.TextChoices):
    PENDING = "pending", "Waiting"
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"
    USED = "used", "Used"


class DeviceAuthorisation(models.Model):
    """A command-line client that waits for its user to approve it in a browser (RFC 8628)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    user_code = models.CharField(max_length=12, unique=True, editable=False)
    client = models.CharField(max_length=100)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    second_factor = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=DeviceStatus, default=DeviceStatus.PENDING)
    address = models.CharField(max_length=45, blank=True)
    interval_seconds = models.PositiveSmallIntegerField(default=5)
    polled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.client} ({self.status})"
