"""Messages that wait to be sent."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from platform_site.lib.identifiers import uuid7
from platform_site.lib.secrets import EncryptedTextField


class OutgoingMail(models.Model):
    """A message that is sent at least once, however often the mail server was away. The body holds links: encrypted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    recipient = models.EmailField(max_length=254)
    subject = models.CharField(max_length=200)
    body = EncryptedTextField(redacted=False)
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "outgoing mail"
        indexes = [models.Index(fields=["sent_at", "next_attempt_at"], name="mail_due")]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"
