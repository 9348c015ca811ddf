"""What a personal access token may do: what its scopes say, and never what belongs to people who signed in."""

from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator

from accounts.credentials import SCOPES
from accounts.services.tokens import token_create
from tests.architecture.conftest import ask, filled, make_world
from tests.architecture.routes import Door, entry_of, http_routes, methods_of

ALL = http_routes()
API = sorted(route for route in ALL if (entry := entry_of(route)) and entry.door is Door.API)
SAFE = {"GET", "HEAD", "OPTIONS"}


def view_of(route):
    callback = ALL[route].callback
    return getattr(callback, "view_class", None) or callback.cls


INTERACTIVE = {
    "api/v1/invitations/accept",
    "api/v1/tokens",
    "api/v1/tokens/<uuid:token_id>",
    "api/v1/users/me/password",
    "api/v1/users/me/second-factor",
    "api/v1/users/me/second-factor/confirm",
    "api/v1/users/me/second-factor/recovery-codes",
    "api/v1/users/me/sessions",
    "api/v1/users/me/sessions/<uuid:session_id>",
}
"""Where no token gets in, whatever its scopes. Routes that are added here later stay so."""


@pytest.fixture
def world(acme, alice):
    from accounts.tenancy import all_organisations

    with all_organisations():
        return {"organisation_id": str(acme.pk), **make_world(acme, alice)}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch, settings):
    monkeypatch.setattr("aigen.api.WAIT_SECONDS", 0)
    settings.RATELIMIT_ENABLE = False


def holder(user, *scopes, **values):
    from django.test import Client

    raw = token_create(user=user, name="Test", scopes=scopes, **values)[1]
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {raw}"})


def answers(client, world, *, safe):
    """The statuses of every route of the API that people may use, by method and route; in a fixed order."""
    found = {}
    for route in API:
        for method in methods_of(ALL[route], route):
            if (method in SAFE) == safe:
                use = entry_of(route).uses.get(method)
                found[method, route] = ask(client, method, filled(route, world), use and use.body, world).status_code
    return found


def test_a_token_that_only_reads_changes_nothing(alice, world):
    found = answers(holder(alice, "read"), world, safe=False)
    assert len(found) > 10
    assert {key: status for key, status in found.items() if status != 403} == {}


def test_a_token_that_only_writes_sees_nothing(alice, world):
    found = answers(holder(alice, "write"), world, safe=True)
    assert len(found) > 20
    assert {key: status for key, status in found.items() if status != 403} == {}


def test_a_token_that_reads_sees_what_takes_no_more(alice, world):
    found = answers(holder(alice, "read"), world, safe=True)
    refused = {route for (_, route), status in found.items() if status == 403}
    assert refused == {route for route in API if ("GET", route) in found and takes_more_than_reading(route)}


def takes_more_than_reading(route):
    view = view_of(route)
    scope = getattr(view, "scope", None)
    named = scope.get("GET") if isinstance(scope, dict) else scope
    return getattr(view, "interactive_only", False) or named not in (None, "read")


def test_no_token_makes_tokens_or_changes_how_somebody_signs_in(alice, world):
    every_scope, let_in = holder(alice, *SCOPES), {}
    for route in sorted(INTERACTIVE & set(API)):
        for method in methods_of(ALL[route], route):
            answer = ask(every_scope, method, filled(route, world), {"name": "Another"}, world)
            if answer.status_code != 403 or "Sign in instead" not in answer.json()["detail"]:
                let_in[method, route] = answer.status_code
    assert let_in == {}


def test_every_interactive_route_is_named_above():
    found = {route for route in API if getattr(view_of(route), "interactive_only", False)}
    assert found == INTERACTIVE & set(API), "say above which routes no token may use"


def test_managing_takes_its_own_scope(alice, world):
    managing = {route for route in API if "manage" in str(getattr(view_of(route), "scope", ""))}
    plain, manager = holder(alice, "read", "write", "models"), holder(alice, "manage")
    for route in managing:
        scope = view_of(route).scope
        for method in methods_of(ALL[route], route):
            if (scope if isinstance(scope, str) else scope.get(method)) == "manage":
                refused = ask(plain, method, filled(route, world), {}, world)
                assert (refused.status_code, "`manage`" in refused.json()["detail"]) == (403, True), (method, route)
                let_in = ask(manager, method, filled(route, world), {}, world)
                assert let_in.streaming or "the scope" not in let_in.content.decode(), (method, route)


def test_a_refusal_names_the_scope(alice):
    body = holder(alice, "read").post("/api/v1/conversations", {}, content_type="application/json").json()
    assert (body["status_code"], body["detail"]) == (403, "This token does not have the scope `write`.")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_methods_that_a_route_does_not_have_are_refused_too(alice, method):
    assert holder(alice, "read").generic(method, "/api/v1/runs").status_code in (403, 405)


def test_people_who_signed_in_have_every_scope(alice, alice_api, alice_pages):
    for client in (alice_api, alice_pages):
        assert client.get("/api/v1/tokens").status_code == 200
        assert client.get("/api/v1/runs").status_code == 200
    assert alice_api.post("/api/v1/conversations", {}).status_code == 201


# --- WebSockets ---------------------------------------------------------------------------------------------------
async def closing_code(path, raw):
    from platform_site.asgi import application

    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer {raw}".encode())]
    socket = WebsocketCommunicator(application, path, headers=headers)
    await socket.connect(timeout=5)
    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    return message.get("code")


@pytest.mark.django_db(transaction=True)
async def test_sockets_take_the_scope_for_reading(alice, world):
    from asgiref.sync import sync_to_async

    def raw_of(*scopes):
        return token_create(user=alice, name="Test", scopes=scopes)[1]

    path = f"/ws/runs/{world['run_id']}"
    assert await closing_code(path, await sync_to_async(raw_of)("read")) == 1000, "its log has ended"
    assert await closing_code(path, await sync_to_async(raw_of)("write", "models")) == 4403
