"""Mail through an outbox: written with what it tells about, sent by a chore until the mail server took it."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.mail import BadHeaderError, EmailMessage
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import OutgoingMail
from platform_site.lib.errors import StewardError

logger = logging.getLogger(__name__)

GIVE_UP_AFTER = timedelta(days=2)
MAX_PAUSE = timedelta(hours=1)
BATCH = 50


def site_url(path: str) -> str:
    """The absolute address of a path of this site, for links in messages."""
    return urljoin(settings.SITE_URL.rstrip("/") + "/", path.lstrip("/"))


def mail_send(*, recipient: str, subject: str, template: str, context: dict[str, Any]) -> OutgoingMail:
    """Puts a message into the outbox, in the caller's transaction.

    Args:
        template: the name of a text template under `templates/mail/`, without `.txt`.
    """
    body = render_to_string(f"mail/{template}.txt", {"site_url": site_url("/"), **context})
    return OutgoingMail.objects.create(recipient=recipient, subject=" ".join(subject.split())[:200], body=body.strip())


def mail_deliver() -> None:
    """Sends what is due; what the mail server refuses is tried again, ever more slowly, for two days."""
    now = timezone.now()
    due = OutgoingMail.objects.filter(sent_at=None, failed_at=None, next_attempt_at__lte=now)
    for message_id in list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:BATCH]):
        try:
            _deliver(OutgoingMail.objects.get(pk=message_id))
        except StewardError as exc:  # no key opens it, which must not hold up the others
            logger.error("Mail %s cannot be read: %s", message_id, exc.detail)
            OutgoingMail.objects.filter(pk=message_id).update(failed_at=now, error="unreadable")


def _deliver(message: OutgoingMail) -> None:
    now = timezone.now()
    pause = min(MAX_PAUSE, timedelta(seconds=15) * 2 ** min(message.attempts, 10))
    claim = OutgoingMail.objects.filter(pk=message.pk, sent_at=None, attempts=message.attempts)
    if not claim.update(attempts=message.attempts + 1, next_attempt_at=now + pause):
        return
    try:
        EmailMessage(message.subject, message.body, settings.DEFAULT_FROM_EMAIL, [message.recipient]).send()
    except (OSError, SMTPException, BadHeaderError) as exc:
        logger.warning("Mail %s could not be sent: %s", message.pk, type(exc).__name__)
        given_up = now if now - message.created_at > GIVE_UP_AFTER else None
        OutgoingMail.objects.filter(pk=message.pk).update(error=type(exc).__name__, failed_at=given_up)
        return
    # A message that was sent has no use for its links any more.
    OutgoingMail.objects.filter(pk=message.pk).update(sent_at=timezone.now(), body="", error="")


def mail_forget() -> None:
    """Deletes messages that were sent or given up more than a month ago."""
    long_ago = timezone.now() - timedelta(days=30)
    OutgoingMail.objects.filter(Q(sent_at__lt=long_ago) | Q(failed_at__lt=long_ago)).delete()
