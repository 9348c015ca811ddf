"""What somebody's claim to watch is worth, as the database says, and the one watcher that asks."""

from __future__ import annotations

import asyncio
import gc
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.utils import timezone

from accounts import standing
from accounts.credentials import JWT, SESSION, TOKEN
from accounts.models import Membership, Organisation, PersonalAccessToken, Session, TokenFamily, User
from accounts.services.families import tokens_issue
from accounts.services.tokens import token_create
from accounts.standing import Claim, Viewing, claims_lost
from observability.metrics import STREAM_VIEWERS
from runs import queue
from runs.events import EventDraft, Frame, events_append
from runs.tail import tail_run
from runs.tests.test_runs import kind  # noqa: F401

WITHIN = 5.0


@pytest.fixture
def run(acme, kind):  # noqa: F811
    """A run of acme that has said something and goes on."""
    made = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    events_append(made.pk, [EventDraft.of("line", "hello")])
    return made


# --- What the database says ---------------------------------------------------------------------------------------
@pytest.fixture
def claims(acme, victor, alice, administrator):
    """One of each kind, all of which hold."""
    tokens_issue(user=victor)
    Client().force_login(alice)
    token, _ = token_create(user=alice, name="test", scopes=["read"], expires_at=None, organisation_id=None)
    tokens_issue(user=administrator)
    return {
        "family": Claim(JWT, TokenFamily.objects.get(user=victor).pk, victor.pk, acme.pk),
        "session": Claim(SESSION, Session.objects.get(user=alice).public_id, alice.pk, acme.pk),
        "token": Claim(TOKEN, token.pk, alice.pk, acme.pk),
        "guest": Claim(JWT, TokenFamily.objects.get(user=administrator).pk, administrator.pk, acme.pk),
    }


def test_what_holds_is_not_lost(claims):
    assert claims_lost(list(claims.values())) == set()


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda: TokenFamily.objects.update(expires_at=timezone.now()), {"family", "guest"}),
        (lambda: TokenFamily.objects.update(revoked_at=timezone.now()), {"family", "guest"}),
        (lambda: Session.objects.update(expire_date=timezone.now()), {"session"}),
        (lambda: Session.objects.all().delete(), {"session"}),
        (lambda: PersonalAccessToken.objects.update(expires_at=timezone.now()), {"token"}),
        (lambda: PersonalAccessToken.objects.update(revoked_at=timezone.now()), {"token"}),
        (lambda: User.objects.filter(email__startswith="alice").update(is_active=False), {"session", "token"}),
        (lambda: User.objects.filter(email__startswith="admin").update(role="user"), {"guest"}),
        (lambda: Membership.objects.all().delete(), {"family", "session", "token"}),
        (lambda: Organisation.objects.update(closed_at=timezone.now()), {"family", "session", "token", "guest"}),
        (lambda: Organisation.objects.all().delete(), {"family", "session", "token", "guest"}),
    ],
)
def test_each_loss_is_seen_and_nothing_else_is(claims, change, lost):
    change()
    assert claims_lost(list(claims.values())) == {claims[name] for name in lost}


def test_a_credential_counts_for_its_owner_only(claims, victor):
    stolen = Claim(SESSION, claims["session"].credential_id, victor.pk, claims["family"].organisation_id)
    assert claims_lost([stolen]) == {stolen}


def test_a_thousand_viewers_cost_a_handful_of_queries(claims, acme, django_assert_max_num_queries):
    many = [*claims.values()] * 100
    with django_assert_max_num_queries(6):
        claims_lost(many)
    strangers = [Claim(JWT, acme.pk, acme.pk, Organisation(name="x").pk) for _ in range(1_000)]
    with django_assert_max_num_queries(3 * 6):
        assert claims_lost([*strangers, *claims.values()]) == set(strangers)


# --- The watcher --------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
async def test_500_viewers_that_lose_their_standing_leave_nothing_behind(run, acme, monkeypatch):
    monkeypatch.setattr(standing, "CHECK_SECONDS", 0.2)

    def people():
        made = User.objects.bulk_create(User(email=f"viewer{number}@acme.example") for number in range(50))
        Membership.objects.bulk_create(Membership(user=user, organisation=acme, role="viewer") for user in made)
        later = timezone.now() + timedelta(days=1)
        return TokenFamily.objects.bulk_create(
            TokenFamily(user=user, current_jti="x", expires_at=later) for user in made
        )

    families = await sync_to_async(people)()
    before, tasks = STREAM_VIEWERS._value.get(), len(asyncio.all_tasks())

    watching = set()

    async def view(family):
        seen = set()
        viewing = Viewing(Claim(JWT, family.pk, family.user_id, acme.pk))
        async for item in tail_run(run.pk, 0, viewing):
            watching.add(id(viewing))
            seen.add(type(item))
        return viewing.is_lost, seen

    viewers = [asyncio.create_task(view(family)) for family in families for _ in range(10)]
    while len(watching) < 500:
        await asyncio.sleep(0.02)
    assert STREAM_VIEWERS._value.get() == before + 500
    watcher = standing._watcher()
    assert len(watcher._viewings) == 50, "ten tabs are one question"
    await asyncio.sleep(3 * standing.CHECK_SECONDS)
    assert not any(viewer.done() for viewer in viewers)

    began = time.monotonic()
    await sync_to_async(TokenFamily.objects.update)(revoked_at=timezone.now())
    ended = await asyncio.wait_for(asyncio.gather(*viewers), WITHIN)
    print(f"500 viewers: ended after {time.monotonic() - began:.2f} s")
    assert {(is_lost, *seen) for is_lost, seen in ended} == {(True, Frame)}
    assert (watcher._viewings, watcher._task) == ({}, None)
    assert STREAM_VIEWERS._value.get() == before
    del viewers, ended
    await asyncio.sleep(0.05)
    gc.collect()
    assert len(asyncio.all_tasks()) <= tasks + 1
    assert not [thing for thing in gc.get_objects() if type(thing) is Viewing]


@pytest.mark.django_db(transaction=True)
async def test_viewers_that_leave_by_themselves_stop_the_watcher(run, acme, alice):
    claim = Claim(JWT, acme.pk, alice.pk, acme.pk)
    streams = [tail_run(run.pk, 0, Viewing(claim)) for _ in range(20)]
    for stream in streams:
        await anext(stream)
    watcher = standing._watcher()
    task = watcher._task
    assert task is not None
    for stream in streams:
        await stream.aclose()
    await asyncio.sleep(0)
    assert task.cancelled() or task.done()
    assert (watcher._viewings, watcher._task) == ({}, None)
