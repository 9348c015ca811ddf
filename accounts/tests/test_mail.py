"""The outbox: a message goes with what it tells about, once, whatever the mail server does."""

from __future__ import annotations

from datetime import timedelta
from smtplib import SMTPServerDisconnected

import pytest
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import OutgoingMail
from accounts.services.invitations import invitation_create
from accounts.services.mail import mail_deliver, mail_send
from accounts.services.organisations import organisation_create


class Away:
    """A mail server that is not there."""

    def __init__(self, *args, **options):
        pass

    def send_messages(self, messages):
        raise SMTPServerDisconnected("gone")


@pytest.fixture
def message(db):
    return OutgoingMail.objects.create(recipient="ann@home.example", subject="Hello", body="A link: https://x/secret")


def test_a_message_is_sent_once_and_keeps_no_link(message):
    mail_deliver()
    mail_deliver()
    assert [sent.body for sent in mail.outbox] == ["A link: https://x/secret"]
    message.refresh_from_db()
    assert (message.body, message.sent_at is not None) == ("", True)


def test_the_body_is_not_readable_in_the_database(message):
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM accounts_outgoingmail")
        assert "secret" not in cursor.fetchone()[0]


def test_a_server_that_is_away_delays_and_loses_nothing(message, settings):
    settings.EMAIL_BACKEND = "accounts.tests.test_mail.Away"
    mail_deliver()
    message.refresh_from_db()
    assert (message.attempts, message.sent_at, message.error) == (1, None, "SMTPServerDisconnected")
    assert message.next_attempt_at > timezone.now()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail_deliver()
    assert mail.outbox == [], "not before its time"
    OutgoingMail.objects.update(next_attempt_at=timezone.now())
    mail_deliver()
    assert len(mail.outbox) == 1


def test_after_two_days_it_is_given_up(message, settings):
    settings.EMAIL_BACKEND = "accounts.tests.test_mail.Away"
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(days=3))
    mail_deliver()
    message.refresh_from_db()
    assert message.failed_at is not None


def test_a_message_that_no_key_opens_does_not_hold_up_the_others(message):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_outgoingmail SET body = 'gAAAAA-not-ours'")
    OutgoingMail.objects.create(recipient="bea@home.example", subject="Next", body="x")
    mail_deliver()
    assert [sent.subject for sent in mail.outbox] == ["Next"]
    message.refresh_from_db(fields=["failed_at", "error"])
    assert message.error == "unreadable"


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_sends_nothing():
    with transaction.atomic():
        mail_send(recipient="ann@home.example", subject="x", template="second_factor_enabled", context={})
        transaction.set_rollback(True)
    mail_deliver()
    assert mail.outbox == []


def test_names_stand_as_they_were_written(alice, letters):
    organisation = organisation_create(name="O'Brien & <Sons>", owner=alice)
    invitation_create(organisation=organisation, email="new@home.example", role="member", actor=alice)
    letter = letters("new@home.example")[0]
    assert "O'Brien & <Sons>" in letter.text


def test_a_subject_cannot_add_headers(db):
    mail_send(recipient="a@home.example", subject="Hi\r\nBcc: all@x", template="second_factor_enabled", context={})
    mail_deliver()
    assert mail.outbox[0].subject == "Hi Bcc: all@x"
