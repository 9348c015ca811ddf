"""Walks every route and socket as everybody: each role, outsiders, programs, appliances, strangers, dead tokens."""

from __future__ import annotations

import itertools

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from accounts.models import AuditEntry
from accounts.services.families import tokens_issue
from accounts.tenancy import all_organisations
from aigen.models import Generation
from appliances.models import Appliance
from deployments.models import App
from tests.architecture.conftest import (
    UNKNOWN,
    anonymous,
    ask,
    bearing,
    device_key,
    expired_token,
    filled,
    has_id,
    personal_token,
    revoked_personal_token,
    revoked_token,
    signed_in,
    told,
    undone,
    with_token,
)
from tests.architecture.routes import ADMIN, ROUTES, SOCKETS, Door, entry_of, http_routes, methods_of

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
        return answer.status_code == 302 and answer.url.startswith(f"/{ADMIN}login/")
    return answer.status_code < 500


DEAD = {"expired": expired_token, "revoked": revoked_token, "revoked program": revoked_personal_token}


@pytest.mark.parametrize("kind", ["anonymous", "nonsense", *DEAD])
def test_strangers_and_dead_credentials_get_in_nowhere(kind, world, member):
    client = anonymous() if kind == "anonymous" else bearing(DEAD.get(kind, lambda _user: "no.token.atall")(member))
    assert let_in(client, world, set(Door)) == []


def test_programs_get_into_no_page(world, alice):
    assert let_in(bearing(personal_token(alice)), world, {Door.PAGE, Door.ADMIN, Door.DEVICE}) == []


def test_appliances_get_in_where_appliances_belong_and_nowhere_else(world, alice):
    assert let_in(bearing(device_key(alice)), world, set(Door) - {Door.DEVICE}) == []


def let_in(client, world, doors):
    """Where a caller was not turned away who should be everywhere."""
    found = []
    for route in (route for route, entry in ENTRIES.items() if entry.door in doors):
        for method in methods_of(ALL[route], route):
            for body in bodies(route, method):
                answer = ask(client, method, filled(route, world), body, world)
                if not is_turned_away(ENTRIES[route].door, answer):
                    found.append((method, route, answer.status_code))
    return found


@pytest.mark.parametrize("route", [route for route in ENTRIES if not route.startswith(ADMIN)])
def test_each_role_may_what_the_table_says(route, world, member, victor, organisation_administrator, alice):
    people = {"viewer": victor, "member": member, "administrator": organisation_administrator, "owner": alice}
    for method, use in ENTRIES[route].uses.items():
        for role, user in people.items():
            with undone():
                answer = ask(client_for(route, user), method, filled(route, world), use.body, world)
            assert use.fits(role, answer.status_code), (method, role, told(answer))


def test_methods_that_the_table_does_not_name_are_refused(world, member):
    taken = []
    for route in PEOPLE:
        client = client_for(route, member)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(ENTRIES[route].uses):
            answer = ask(client, method, filled(route, world), {}, world)
            if answer.status_code != 405:
                taken.append((method, route, told(answer)))
    assert taken == []


@pytest.fixture
def outsiders(bob, administrator):
    """What everybody outside comes with, by the doors that let them in at all."""
    device = bearing(device_key(bob))
    return {
        "owner elsewhere": {Door.API: with_token(bob), Door.PAGE: signed_in(bob)},
        "program": {Door.API: bearing(personal_token(bob))},
        "appliance": {Door.API: device, Door.DEVICE: device},
        "platform administrator": {Door.API: with_token(administrator), Door.PAGE: signed_in(administrator)},
    }


@pytest.mark.parametrize("kind", ["owner elsewhere", "program", "appliance", "platform administrator"])
def test_foreign_id_and_random_id_are_answered_alike(kind, outsiders, world):
    """Over every method, with and without a body; platform administrators as long as they name no organisation."""
    unknown, different = dict.fromkeys(world, UNKNOWN), []
    for route in (route for route in ENTRIES if has_id(route) and ENTRIES[route].door in outsiders[kind]):
        client = outsiders[kind][ENTRIES[route].door]
        if kind == "platform administrator" and "organisation_id" in route:
            continue
        for method in methods_of(ALL[route], route):
            for body, headers in itertools.product(bodies(route, method), variants(kind, world)):
                with undone():
                    foreign = told(ask(client, method, filled(route, world), body, world, **headers))
                    random_one = told(ask(client, method, filled(route, unknown), body, unknown, **headers))
                if foreign != random_one or foreign[0] not in (401, 403, 404, 405, 406):
                    different.append((method, route, headers, foreign, random_one))
    assert different == []


def variants(kind, world):
    chosen = [] if kind == "platform administrator" else [{"X-Organization": world["organisation_id"]}]
    return [{}, {"Accept": "text/event-stream"}, *chosen]


@pytest.mark.parametrize("kind", ["owner elsewhere", "program", "appliance", "anonymous"])
def test_outsiders_read_no_byte_of_it(kind, outsiders, world, alice):
    """No name, address or id that they did not bring themselves is in any answer, whatever they ask."""
    doors = outsiders.get(kind) or dict.fromkeys(Door, anonymous())
    secret, leaks, choosing = words_of(world, alice), [], {"X-Organization": world["organisation_id"]}
    for route in (route for route in ENTRIES if ENTRIES[route].door in {*doors, Door.OPEN}):
        client = doors.get(ENTRIES[route].door) or doors[Door.API]
        path = filled(route, world)
        for method in methods_of(ALL[route], route):
            for body, headers in itertools.product(bodies(route, method), [{}, choosing]):
                with undone():
                    answer = ask(client, method, path, body, world, **headers)
                    read = everything(answer).replace(path, "")
                leaks += [(method, route, word) for word in secret if word in read and word not in str(headers)]
    assert leaks == []


def words_of(world, alice):
    """What acme's rows are called, beside their ids."""
    with all_organisations():
        rows = [model.objects.get(pk=world[key]) for key, model in
                (("app_id", App), ("appliance_id", Appliance), ("generation_id", Generation))]  # fmt: skip
        named = [rows[0].name, rows[1].name, rows[2].prompt]
    return [*named, "Acme", "acme", alice.email, str(alice.pk), *world.values()]


def everything(answer):
    """Status line, headers and body as one text."""
    body = b"".join(answer)
    return body.decode(errors="replace") + str(dict(answer.headers))


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
    for outsider in (bob, administrator):
        assert with_token(outsider).get(path).json()["results"] == []
    choosing = {"X-Organization": world["organisation_id"]}
    assert with_token(bob).get(path, headers=choosing).status_code == 404
    entered = with_token(administrator).get(path, headers=choosing)
    assert entered.json()["results"], "platform administrators may enter an organisation; its trail tells of it"
    assert AuditEntry.objects.filter(action="organisation.enter", organisation_id=world["organisation_id"]).exists()


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
async def test_sockets_tell_outsiders_nothing(
    route, world, member, bob, victor, administrator, organisation_administrator, alice
):
    def token_of(user) -> str:
        return tokens_issue(user=user)["access"]

    async def made(make, user) -> str:
        return await sync_to_async(make)(user)

    real, unknown = filled(route, world), filled(route, {})
    for make, outsider in ((token_of, bob), (token_of, administrator), (personal_token, bob)):
        token = await made(make, outsider)
        foreign = await first_word(real, token)
        assert foreign == await first_word(unknown, token)
        assert foreign[1] == 4404
    dead = [await made(make, member) for make in (expired_token, revoked_token, revoked_personal_token, device_key)]
    for nobody in (None, "no.token.atall", *dead, await made(device_key, bob)):
        assert await first_word(real, nobody) == await first_word(unknown, nobody)
        assert (await first_word(real, nobody))[1] == 4401
    for insider in (member, victor, organisation_administrator, alice):
        assert (await first_word(real, await made(token_of, insider)))[1] == 1000, "its log has ended"
    assert (await first_word(real, await made(personal_token, alice)))[1] == 1000
    assert (await first_word("/ws/elsewhere", None))[1] == 4404
