"""The housekeeping of accounts runs on an installation that has something of everything."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from accounts.models import OutgoingMail
from platform_site.lib.chores import chores
from runs.chores import chores_do
from runs.models import ChoreTurn


def test_accounts_have_their_chores():
    assert {"accounts.mail", "accounts.mail_forget"} <= set(chores)


def test_every_chore_of_the_installation_does_its_turn(db, alice, bob, administrator, alice_api, alice_pages, caplog):
    with caplog.at_level(logging.ERROR):
        chores_do()
    assert [record.getMessage() for record in caplog.records] == []
    assert set(ChoreTurn.objects.values_list("name", flat=True)) == set(chores)


def test_mail_waits_for_its_time_and_is_forgotten_later(db, alice, mailoutbox):
    OutgoingMail.objects.create(recipient=alice.email, subject="Later", body="x", next_attempt_at=in_days(1))
    OutgoingMail.objects.create(recipient=alice.email, subject="Now", body="x")
    OutgoingMail.objects.create(recipient=alice.email, subject="Long ago", body="x", sent_at=in_days(-400))
    chores_do()
    assert [mail.subject for mail in mailoutbox] == ["Now"]
    assert set(OutgoingMail.objects.values_list("subject", flat=True)) == {"Later", "Now"}


def in_days(days: int):
    return timezone.now() + timedelta(days=days)
