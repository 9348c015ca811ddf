"""Walks every route and socket as everybody: members, viewers, outsiders, administrators, strangers, old tokens."""

from __future__ import annotations

import itertools

import pytest
from channels.testing import WebsocketCommunicator

from accounts.services.families import tokens_issue
from tests.architecture.conftest import (
    UNKNOWN,
    anonymous,
    ask,
    filled,
    has_id,
    signed_in,
    told,
    with_expired_token,
    with_token,
)
from tests.architecture.routes import ROUTES, SOCKETS, Door, entry_of, http_routes, methods_of

ALL = http_routes()
ENTRIES = {route: entry for route in sorted(ALL) if (entry := entry_of(route))}
PEOPLE = [route for route, entry in ENTRIES.items() if entry.door in (Door.API, Door.PAGE)]
WITH_ID = [route for route in PEOPLE if has_id(route)]


def test_every_route_is_in_the_table():
    assert sorted(route for route in ALL if entry_of(route) is None) == [], "say in routes.py who may use these"
    assert sorted(set(ROUTES) - set(ALL)) == [], "these are gone"


def bodies(route, method):
    """The bodies that a method is tried with: the one of the table, and none."""
    use = ENTRIES[route].uses.get(method)
    return [use.body, {}] if use and use.body else [{}]


def client_for(route, user):
    return with_token(user) if ENTRIES[route].door in (Door.API, Door.DEVICE) else signed_in(user)


def is_turned_away(door, answer):
    """Whether somebody who is not known was refused as the door says."""
    if door in (Door.API, Door.DEVICE):
        return answer.status_code == 401
    if door is Door.PAGE:
        return answer.status_code == 302 and answer.url.startswith("/sign-in?next=")
    if door is Door.ADMIN:
        return answer.status_code == 302 and answer.url.startswith("/admin/login/")
    return answer.status_code < 500


@pytest.mark.parametrize("client_of", [lambda user: anonymous(), with_expired_token], ids=["anonymous", "expired"])
def test_strangers_and_old_tokens_get_in_nowhere(client_of, world, member):
    client, let_in = client_of(member), []
    for route in ENTRIES:
        for method in methods_of(ALL[route], route):
            for body in bodies(route, method):
                answer = ask(client, method, filled(route, world), body, world)
                if not is_turned_away(ENTRIES[route].door, answer):
                    let_in.append((method, route, answer.status_code))
    assert let_in == []


@pytest.mark.parametrize("route", [route for route in ENTRIES if not route.startswith("admin/")])
def test_members_and_viewers_may_what_the_table_says(route, world, member, victor):
    for method, use in ENTRIES[route].uses.items():
        for user, expected in ((victor, use.viewer), (member, use.member)):
            answer = ask(client_for(route, user), method, filled(route, world), use.body, world)
            assert answer.status_code == expected, (method, user.email, told(answer))


def test_methods_that_the_table_does_not_name_are_refused(world, member):
    taken = []
    for route in PEOPLE:
        client = client_for(route, member)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(ENTRIES[route].uses):
            answer = ask(client, method, filled(route, world), {}, world)
            if answer.status_code != 405:
                taken.append((method, route, told(answer)))
    assert taken == []


@pytest.mark.parametrize("outsider", ["bob", "administrator"])
def test_foreign_id_and_random_id_are_answered_alike(outsider, world, request):
    """For everybody outside, platform administrators included, over every method, with and without a body."""
    user, unknown, different = request.getfixturevalue(outsider), dict.fromkeys(world, UNKNOWN), []
    clients = {Door.API: with_token(user), Door.PAGE: signed_in(user)}
    variants = ({}, {"X-Organization": world["organisation_id"]}, {"Accept": "text/event-stream"})
    for route in WITH_ID:
        client = clients[ENTRIES[route].door]
        for method in methods_of(ALL[route], route):
            for body, headers in itertools.product(bodies(route, method), variants):
                foreign, random_one = (
                    told(ask(client, method, filled(route, ids), body, ids, **headers)) for ids in (world, unknown)
                )
                if foreign != random_one or foreign[0] not in (404, 405, 406):
                    different.append((method, route, headers, foreign, random_one))
    assert different == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/deployments", {"generation_id": "{generation_id}", "name": "Counter"}, 404),
        ("GET", "/api/v1/deployments?app={app_id}", None, 200),
        ("GET", "/api/v1/deployments?cursor={deployment_id}", None, 200),
        ("GET", "/api/v1/runs?cursor={run_id}", None, 200),
        ("GET", "/api/v1/generations?cursor={generation_id}", None, 200),
        ("POST", "/organisation/switch", {"organisation": "{organisation_id}"}, 404),
    ],
)
def test_foreign_ids_in_bodies_and_queries_tell_nothing(method, path, body, status, world, bob):
    unknown = dict.fromkeys(world, UNKNOWN)
    client = with_token(bob) if path.startswith("/api/") else signed_in(bob)
    foreign, random_one = (told(ask(client, method, path.format(**ids), body, ids)) for ids in (world, unknown))
    assert foreign == random_one
    assert foreign[0] == status


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/generations", "/api/v1/conversations", "/api/v1/apps",
                                  "/api/v1/deployments", "/api/v1/appliances"])  # fmt: skip
def test_lists_hold_what_is_ones_own(path, world, alice, bob, administrator):
    assert with_token(alice).get(path).json()["results"]
    choosing = {"X-Organization": world["organisation_id"]}
    for outsider in (bob, administrator):
        assert with_token(outsider).get(path).json()["results"] == []
        assert with_token(outsider).get(path, headers=choosing).json()["results"] == []


def test_admin_is_for_administrators(world, alice, administrator):
    owner, desk, wrong = signed_in(alice), signed_in(administrator), []
    for route in (route for route in ENTRIES if ENTRIES[route].door is Door.ADMIN):
        ids = world | {"object_id": world["run_id"] if "/runs/" in route else UNKNOWN}
        for method in ("GET", "POST"):
            refused = ask(owner, method, filled(route, ids), {}, ids)
            shown = ask(desk, method, filled(route, ids), {}, ids)
            if not is_turned_away(Door.ADMIN, refused) or shown.status_code >= 500:
                wrong.append((method, route, refused.status_code, shown.status_code))
    assert wrong == []


# --- WebSockets ---------------------------------------------------------------------------------------------------
def test_every_socket_is_in_the_table():
    from platform_site.routing import websocket_routes

    assert {str(route.pattern) for route in websocket_routes} == SOCKETS


async def first_word(path: str, token: str | None) -> tuple[object, object]:
    """What a socket says first, or the code that it closes with."""
    from platform_site.asgi import application

    headers = [(b"host", b"testserver")] + ([(b"authorization", f"Bearer {token}".encode())] if token else [])
    socket = WebsocketCommunicator(application, path, headers=headers)
    connected, code = await socket.connect(timeout=5)
    if not connected:
        return "refused", code
    message = await socket.receive_output(timeout=5)
    closed = await socket.receive_output(timeout=5) if message["type"] == "websocket.send" else message
    await socket.disconnect()
    return message.get("text"), closed.get("code")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("route", sorted(SOCKETS - {"^.*$"}))
async def test_sockets_tell_outsiders_nothing(route, world, member, bob, victor, administrator):
    from asgiref.sync import sync_to_async

    def token_of(user) -> str:
        return tokens_issue(user=user)["access"]

    real, unknown = filled(route, world), filled(route, {})
    for outsider in (bob, administrator):
        token = await sync_to_async(token_of)(outsider)
        foreign = await first_word(real, token)
        assert foreign == await first_word(unknown, token)
        assert foreign[1] == 4404
    for nobody in (None, "no.token.atall"):
        assert await first_word(real, nobody) == await first_word(unknown, nobody)
        assert (await first_word(real, nobody))[1] == 4401
    for insider in (member, victor):
        assert (await first_word(real, await sync_to_async(token_of)(insider)))[1] == 1000, "its log has ended"
    assert (await first_word("/ws/elsewhere", None))[1] == 4404
