"""People who may not see something any more are refused at once, and what they watch ends within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time

import httpx
import pytest
import websockets
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from accounts import standing
from accounts.models import Membership, Organisation, Session, TokenFamily, User
from accounts.services.families import family_revoke, tokens_issue
from accounts.services.sessions import sign_in_end, sign_out_everywhere
from accounts.services.tokens import token_create, token_revoke
from accounts.services.users import user_disable
from accounts.tenancy import all_organisations
from runs import queue
from runs.events import EventDraft, events_append
from runs.tests.test_runs import kind  # noqa: F401
from tests.architecture.conftest import make_conversation, make_deployment, make_generation

WITHIN = 5.0
ME = "/api/v1/users/me"


def bearer(user):
    return {"Authorization": "Bearer " + tokens_issue(user=user)["access"]}


def cookies_of(user):
    client = Client()
    client.force_login(user)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


@pytest.fixture(autouse=True)
def pace(request, monkeypatch):
    """Checks come ten times as fast, but where the real pace is what is measured."""
    if "real_pace" not in request.fixturenames:
        monkeypatch.setattr(standing, "CHECK_SECONDS", standing.CHECK_SECONDS / 10)


@pytest.fixture
def real_pace():
    """The watcher checks as often as it does in use."""


@pytest.fixture
def run(acme, kind):  # noqa: F811
    """A run of acme that has said something and goes on."""
    made = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    events_append(made.pk, [EventDraft.of("line", "hello")])
    return made


# --- Requests -----------------------------------------------------------------------------------------------------
def ways_to_lose():
    """What happens to alice (an owner, holding a token and a session), by name."""

    def disabled(alice, root):
        user_disable(user=alice, actor=root)

    def deleted(alice, root):
        User.objects.filter(pk=alice.pk).delete()

    def signed_out(alice, root):
        sign_out_everywhere(user=alice, actor=root, reason="test")

    return [disabled, deleted, signed_out]


@pytest.mark.parametrize("lose", ways_to_lose(), ids=lambda lose: lose.__name__)
def test_over_http_they_are_refused_at_once(lose, alice, alice_api, alice_pages, administrator):
    assert alice_api.get(ME).status_code == 200
    assert alice_pages.get("/runs").status_code == 200
    lose(alice, administrator)
    assert alice_api.get(ME).status_code == 401
    assert alice_pages.get("/runs").status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lose", ways_to_lose(), ids=lambda lose: lose.__name__)
def test_over_http_another_thread_sees_it_within_a_second(lose, live_asgi, alice, administrator):
    headers, seen, stop = bearer(alice), [], threading.Event()

    def ask():
        with httpx.Client(base_url=live_asgi, headers=headers, timeout=10) as client:
            while not stop.is_set():
                began = time.monotonic()
                seen.append((began, client.get(ME).status_code))

    asking = threading.Thread(target=ask)
    asking.start()
    while not seen:
        time.sleep(0.01)
    lose(alice, administrator)
    lost_at = time.monotonic()
    time.sleep(1.2)
    stop.set()
    asking.join()
    assert seen[0][1] == 200
    assert {status for began, status in seen if began > lost_at} == {401}, "not a single call later on"


def test_a_removed_member_finds_nothing_any_more(run, victor, victor_api):
    path = f"/api/v1/runs/{run.pk}"
    assert victor_api.get(path).status_code == 200
    Membership.objects.filter(user=victor).delete()
    assert victor_api.get(path).status_code in (403, 404)


# --- Open streams and sockets -------------------------------------------------------------------------------------
def stream_over_sse(base, path, headers, opened, message=None):
    accept = headers | {"Accept": "text/event-stream"}
    method = "GET" if message is None else "POST"
    with httpx.stream(method, base + path, headers=accept, json=message, timeout=30) as response:
        assert response.status_code == 200, response.read()
        lines = response.iter_lines()
        while not next(lines).startswith("data: "):
            pass
        opened.set()
        rest = list(lines)
    return [line for line in rest if line.startswith("event: ")]


def stream_over_socket(base, path, headers, opened):
    async def watch():
        async with websockets.connect(base.replace("http", "ws") + path, additional_headers=headers) as socket:
            assert "events" in json.loads(await socket.recv())
            opened.set()
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await socket.recv()
            return socket.close_code

    return asyncio.run(watch())


class Watching(threading.Thread):
    """Follows a stream until it ends; `ended_with` is the SSE events that came after the first, or the close code."""

    def __init__(self, follow, *args) -> None:
        super().__init__(daemon=True)
        self.opened, self.ended_at, self.ended_with = threading.Event(), 0.0, None
        self._follow, self._args = follow, args
        self.start()

    def run(self) -> None:
        self.ended_with = self._follow(*self._args, self.opened)
        self.ended_at = time.monotonic()

    def seconds_after(self, moment, limit=15):
        self.join(limit)
        assert self.ended_at, "it is still open"
        return self.ended_at - moment


@pytest.fixture
def doors(live_asgi, run):
    """Both ways of watching the run, as `(follow, base, path)`."""
    return {
        "sse": (stream_over_sse, live_asgi, f"/api/v1/runs/{run.pk}/events"),
        "socket": (stream_over_socket, live_asgi, f"/ws/runs/{run.pk}"),
    }


def watch_all(doors, headers):
    watching = {name: Watching(*door, headers) for name, door in doors.items()}
    for name, one in watching.items():
        assert one.opened.wait(10), name
    return watching


def assert_ended_in_time(watching, lost_at):
    for name, one in watching.items():
        seconds = one.seconds_after(lost_at)
        print(f"{name}: ended after {seconds:.2f} s")
        assert seconds < WITHIN, name
    assert "event: end" not in watching["sse"].ended_with, "the run did not end, only the stream, and cleanly"
    assert watching["socket"].ended_with == 4401


def revoke_family(user, root):
    family_revoke(family=TokenFamily.objects.get(user=user), reason="test", actor=root)


def remove_membership(user, root):
    Membership.objects.filter(user=user).delete()


def close_organisation(user, root):
    Organisation.objects.filter(memberships__user=user).update(closed_at=timezone.now())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "lose", [*ways_to_lose(), revoke_family, remove_membership, close_organisation], ids=lambda lose: lose.__name__
)
def test_open_streams_and_sockets_end(lose, doors, victor, alice, administrator):
    watching = watch_all(doors, bearer(victor))
    others = watch_all(doors, bearer(administrator) | {"X-Organization": str(victor.memberships.get().organisation_id)})
    lose(victor, administrator)
    assert_ended_in_time(watching, time.monotonic())
    if lose is not close_organisation:
        assert all(one.is_alive() for one in others.values()), "the others see on"
    close_organisation(alice, None)
    for one in others.values():
        one.join(10)


@pytest.mark.django_db(transaction=True)
def test_at_the_real_pace_they_end_within_five_seconds(real_pace, doors, victor, administrator):
    watching = watch_all(doors, bearer(victor))
    user_disable(user=victor, actor=administrator)
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lose", ["ended", "expired"])
def test_streams_of_a_browser_end_with_its_session(lose, doors, live_asgi, victor):
    headers = {"Cookie": cookies_of(victor), "Origin": live_asgi}
    watching = watch_all(doors, headers)
    session = Session.objects.get(user=victor)
    if lose == "ended":
        sign_in_end(user=victor, sign_in_id=session.public_id)
    else:
        Session.objects.update(expire_date=timezone.now())
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
def test_streams_of_a_personal_access_token_end_with_it(doors, victor):
    token, raw = token_create(user=victor, name="test", scopes=["read"], expires_at=None, organisation_id=None)
    watching = watch_all(doors, {"Authorization": f"Bearer {raw}"})
    token_revoke(token=token, actor=victor)
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
def test_streams_of_a_demoted_administrator_end(doors, acme, administrator):
    watching = watch_all(doors, bearer(administrator) | {"X-Organization": str(acme.pk)})
    User.objects.filter(pk=administrator.pk).update(role="user")
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
def test_a_member_who_is_demoted_to_viewer_sees_on(doors, victor):
    Membership.objects.update(role="member")
    watching = watch_all(doors, bearer(victor))
    Membership.objects.update(role="viewer")
    time.sleep(2.5 * standing.CHECK_SECONDS)
    assert all(one.is_alive() for one in watching.values())
    remove_membership(victor, None)
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
def test_logs_of_deployments_end_too(live_asgi, run, acme, alice, victor):
    with all_organisations():
        deployment = make_deployment(acme, alice, make_generation(acme, alice))[1]
        deployment.run = run
        deployment.save()
    doors = {
        "sse": (stream_over_sse, live_asgi, f"/api/v1/deployments/{deployment.pk}/logs/stream"),
        "socket": (stream_over_socket, live_asgi, f"/ws/deployments/{deployment.pk}/logs"),
    }
    watching = watch_all(doors, bearer(victor))
    remove_membership(victor, None)
    assert_ended_in_time(watching, time.monotonic())


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_streams_ends_too(live_asgi, acme, alice, victor):
    with all_organisations():
        conversation = make_conversation(acme, alice)
    Membership.objects.filter(user=victor).update(role="member")

    def ask(headers, opened):
        path = f"/api/v1/conversations/{conversation.pk}/messages"
        return stream_over_sse(live_asgi, path, headers, opened, message={"message": "Hello"})

    watching = Watching(ask, bearer(victor))
    assert watching.opened.wait(10)
    remove_membership(victor, None)
    assert watching.seconds_after(time.monotonic()) < WITHIN
    assert "event: end" not in watching.ended_with


@pytest.mark.django_db(transaction=True)
def test_a_stream_that_has_much_to_say_ends_too(doors, run, victor):
    watching, stop = watch_all(doors, bearer(victor)), threading.Event()

    def talk():
        while not stop.is_set():
            events_append(run.pk, [EventDraft.of("line", "more")] * 20)
            time.sleep(0.02)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        remove_membership(victor, None)
        lost_at = time.monotonic()
        assert all(one.seconds_after(lost_at) < WITHIN for one in watching.values())
    finally:
        stop.set()
        talking.join()
    assert watching["socket"].ended_with == 4401


@pytest.mark.django_db(transaction=True)
def test_an_outage_of_the_database_ends_nothing(doors, victor, monkeypatch, caplog):
    watching = watch_all(doors, bearer(victor))

    def away(claims):
        raise DatabaseError("the connection was refused")

    with monkeypatch.context() as outage, caplog.at_level("WARNING", logger="accounts.standing"):
        outage.setattr(standing, "claims_lost", away)
        time.sleep(2.5 * standing.CHECK_SECONDS)
        assert all(one.is_alive() for one in watching.values())
        assert len([record for record in caplog.records if record.name == "accounts.standing"]) == 1, "said once"
    remove_membership(victor, None)
    assert_ended_in_time(watching, time.monotonic())
