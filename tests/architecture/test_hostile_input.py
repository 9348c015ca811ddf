"""Hostile input at every route of the URL conf: no 5xx, one error format, and nothing changed that may not be.

Bodies are made from the API's own schema, so that new routes and fields are tried without being named here.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from accounts.models import Membership, Organisation, PlatformRole, User
from accounts.services.families import tokens_issue
from platform_site.lib.http import StrictJSONParser
from tests.architecture.conftest import UNKNOWN, anonymous, filled, signed_in, with_token
from tests.architecture.routes import ROUTES, Door, http_routes

ONE_FORMAT = {"error", "detail", "status_code", "timestamp", "path", "request_id"}
OWN_FORMAT = {"api/v1/auth/token", "api/v1/auth/device"}
"""OAuth 2 says how its errors look (RFC 6749, section 5.2)."""
READS = sorted(route for route, entry in ROUTES.items() if route.startswith("api/v1/") and "GET" in entry.uses)
ENDLESS = [route for route in READS if route.endswith("/stream")]
WRITES = [
    (method, route)
    for route, entry in sorted(ROUTES.items())
    for method in ("POST", "PUT", "PATCH", "DELETE")
    if route.startswith("api/v1/") and method in entry.uses
]
FORMS = sorted(route for route, entry in ROUTES.items() if not route.startswith("api/") and "POST" in entry.uses)
NUL, SURROGATE = "a\0b", "a\ud800b"
LONG = "x" * 200_000


def client_of(route: str, user: Any) -> Any:
    return with_token(user) if ROUTES[route].door is not Door.PAGE else signed_in(user)


def send(user: Any, method: str, route: str, ids: dict[str, str], raw: bytes | str, **extra: Any) -> Any:
    """One request by somebody who signed in for it alone, so that none can end the others'."""
    kind = extra.pop("content_type", "application/json")
    return client_of(route, user).generic(method, filled(route, ids), raw, content_type=kind, **extra)


def assert_calm(answer: Any, route: str, said: object) -> None:
    """No failure, and an error that looks like all errors."""
    assert answer.status_code < 500, (route, said, answer.content[:500])
    if answer.status_code >= 400 and route.startswith("api/v1/") and route not in OWN_FORMAT:
        assert answer.headers["Content-Type"].startswith("application/json"), (route, said)
        assert set(answer.json()) >= ONE_FORMAT, (route, said, answer.content[:500])


@functools.cache
def schema() -> dict[str, Any]:
    return SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]


def fields_of(method: str, route: str) -> dict[str, Any]:
    """The properties of a route's JSON body by the schema."""
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
    operation = schema()["paths"].get(path, {}).get(method.lower(), {})
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in body:
        body = schema()["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    return body.get("properties", {})


def good_body(method: str, route: str, ids: dict[str, str]) -> dict[str, Any]:
    body = ROUTES[route].uses[method].body or {}
    return {name: value.format(**ids) if isinstance(value, str) else value for name, value in body.items()}


def test_the_schema_tells_the_fields_of_most_writes():
    assert len([one for one in WRITES if fields_of(*one[:2])]) > 15


# --- Bodies -------------------------------------------------------------------------------------------------------
OTHER_JSON = {
    "nothing": "",
    "an array": "[]",
    "a text": '"x"',
    "null": "null",
    "a number": "5",
    "true": "true",
    "names that mean something to Python": '{"__class__": {"__init__": 1}, "self": 1, "pk": 1, "_state": 1}',
}
NO_JSON = {
    "two values": "{}{}",
    "100,000 deep": "[" * 100_000 + "]" * 100_000,
    "deep in an object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "5,000 digits": '{"name": ' + "9" * 5_000 + "}",
    "twice": '{"name": "a", "name": "b", "email": "a@b.example", "email": "c@d.example"}',
    "NaN": '{"name": NaN}',
    "infinity": '{"name": -Infinity}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "a comment": '{"name": "x" /* y */}',
    "single quotes": "{'name': 'x'}",
    "a name of NUL": '{"\\u0000": "x"}',
    "a name of half a character": '{"\\ud800": "x"}',
    "half a character": '{"name": "\\udfff"}',
}
READ_ALIKE = [("POST", "api/v1/auth/login"), ("PATCH", "api/v1/users/me"), ("POST", "api/v1/generate")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "route"), WRITES)
def test_bodies_of_another_shape_are_taken_calmly(method, route, world, alice):
    for said, raw in OTHER_JSON.items():
        assert_calm(send(alice, method, route, world, raw), route, said)


@pytest.mark.parametrize("said", NO_JSON)
@pytest.mark.parametrize(("method", "route"), READ_ALIKE)
def test_what_is_no_json_is_refused(method, route, said, world, alice):
    answer = send(alice, method, route, world, NO_JSON[said])
    assert_calm(answer, route, said)
    assert answer.status_code == 400


def test_every_view_reads_bodies_with_the_strict_parser():
    found = {route: getattr(pattern.callback, "cls", None) for route, pattern in http_routes().items()}
    lenient = {route for route, view in found.items() if view and list(view.parser_classes) != [StrictJSONParser]}
    assert lenient <= OWN_FORMAT, "OAuth 2 wants forms"


TELLING: list[Any] = [NUL, SURROGATE, LONG, None, True, -1, 10**29, ["x"], {"a": {"b": []}}]
VALUES: list[Any] = [
    NUL, SURROGATE, LONG, "", " ", "\u202e\u200b", "%00", "../../etc/passwd", "{{7*7}}", "' OR 1=1 --",
    "x@y\r\nBcc: z@y.example",
    None, True, -1, 0, 2**63, 10**29, 1.5, -1e300, [], ["x"], [[[]]], {}, {"a": {"b": []}}, [NUL], {NUL: SURROGATE},
    f"{{{UNKNOWN}}}", f"urn:uuid:{UNKNOWN}", UNKNOWN.upper(), UNKNOWN.replace("-", ""), "0001-01-01T00:00:00-14:00",
    "9999-12-31T23:59:59.999999+14:00",
]  # fmt: skip


@pytest.mark.parametrize("values", [TELLING, pytest.param(VALUES, marks=pytest.mark.slow)], ids=["telling", "all"])
@pytest.mark.parametrize(("method", "route"), [one for one in WRITES if fields_of(*one)])
def test_every_field_takes_what_it_should_and_nothing_else_breaks_it(method, route, values, world, alice):
    good = good_body(method, route, world)
    for field in fields_of(method, route):
        for value in values:
            answer = send(alice, method, route, world, json.dumps(good | {field: value}))
            assert_calm(answer, route, (field, str(value)[:60]))
            if value in (NUL, SURROGATE):
                assert answer.status_code >= 400, (route, field, answer.content[:300])


@pytest.mark.slow
@pytest.mark.parametrize("route", FORMS)
def test_forms_take_the_same_calmly(route, world, alice):
    body = ROUTES[route].uses["POST"].body or {}
    for field in sorted({*body, "next", "name"}):
        for value in ("a%00b", "%ff%fe", "%ED%A0%80", "x" * 50_000, "", "//evil.example"):
            kept = {name: value_ for name, value_ in body.items() if name != field}
            raw = "&".join([f"{name}={text}" for name, text in kept.items()] + [f"{field}={value}"])
            answer = send(alice, "POST", route, world, raw, content_type="application/x-www-form-urlencoded")
            assert_calm(answer, route, (field, value[:40]))
            assert not answer.headers.get("Location", "").startswith(("//", "http", "\\")) or route.endswith("oidc"), (
                answer.headers["Location"]
            )


CONTENT_TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
    "application/xml",
    "application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=nonsense",
    "application/json;;;",
    "application/jsonx", "application/*", "*/*", "json", "", "application/json, text/plain", "application/json\x00",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("method", "route"), WRITES)
def test_only_json_is_read_as_json(method, route, world, alice):
    raw = json.dumps(good_body(method, route, world))
    for content_type in CONTENT_TYPES:
        answer = send(alice, method, route, world, raw, content_type=content_type)
        assert_calm(answer, route, content_type)
        if fields_of(method, route) and not content_type.startswith("application/json") and route not in OWN_FORMAT:
            assert answer.status_code >= 400, (route, content_type)


# --- Queries ------------------------------------------------------------------------------------------------------
QUERIES = [
    "user__password__startswith=a", "created_by__password__gt=a", "order_by=-password", "ordering=user__password",
    "sort=id;drop",
    "filter[role]=owner", "fields=password", "expand=user.password", "include=secrets", "format=html",
    "page=2&page_size=1000000",
    "organisation_id__in=1", "id=1&id=2", "__proto__=1", "%00=%00", "a=%ff%fe", "=", "&&&", "a" * 4_000, "$where=1",
    "q[$ne]=1",
]  # fmt: skip
STEADY = ("results", "id", "email", "role", "name", "files", "events")


def what_it_says(answer: Any) -> Any:
    """The parts of an answer that stay the same from call to call."""
    if answer.streaming or not answer.headers["Content-Type"].startswith("application/json"):
        return None
    body = answer.json()
    return {name: body[name] for name in STEADY if name in body} if isinstance(body, dict) else body


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in READS if route not in ENDLESS])
def test_parameters_that_nothing_reads_change_nothing(route, world, alice):
    client = client_of(route, alice)
    plain = client.get(filled(route, world))
    for query in QUERIES:
        answer = client.get(f"{filled(route, world)}?{query}")
        assert_calm(answer, route, query)
        if answer.status_code == plain.status_code == 200 and "audit" not in route:
            assert what_it_says(answer) == what_it_says(plain), (route, query)


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in READS if route not in ENDLESS])
def test_numbers_and_cursors_that_are_none_are_refused_calmly(route, world, alice):
    numbers = ["1e9", "-1", "0", "NaN", "9" * 400, "1.5", "0x10", "+5", "٣", "1%00", "1%0a", "true", "1;2", "[1]"]
    client, path = client_of(route, alice), filled(route, world)
    for value in numbers:
        assert_calm(client.get(path, {"limit": value}), route, value[:40])
    for value in ["-1", "9" * 400, f"urn:uuid:{UNKNOWN}", "\ud7ff", "'"]:
        for name in ("after", "cursor", "since", "status", "kind", "level", "actor", "organization", "q"):
            assert_calm(client.get(path, {name: value}), route, (name, value[:40]))


@pytest.mark.slow
@pytest.mark.parametrize("route", [route for route in READS if ROUTES[route].door is Door.API])
def test_tokens_in_addresses_and_forms_are_no_tokens(route, world, alice):
    raw = tokens_issue(user=alice)["access"]
    for query in ("access_token", "token", "jwt", "auth", "api_key", "Authorization", "bearer"):
        assert anonymous().get(filled(route, world), {query: raw}).status_code == 401
    for header in ("X-Access-Token", "X-Auth-Token", "X-Api-Key", "X-Authorization", "Proxy-Authorization"):
        assert anonymous().get(filled(route, world), headers={header: f"Bearer {raw}"}).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "bearer  ", "Bearer a b", "Bearer \x80\xff", "Basic YTpi",
    "Bearer " + "x" * 20_000,
                                    "Bearer null", "Bearer ..", "Bearer eyJhbGciOiJub25lIn0.e30.", "Digest x",
                                    "Bearer a,Bearer b"])  # fmt: skip
def test_authorisations_that_are_none(header, db):
    answer = anonymous().get("/api/v1/runs", headers={"Authorization": header})
    assert answer.status_code == 401
    assert_calm(answer, "api/v1/runs", header)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


# --- Addresses ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("route", [route for route in READS if "<uuid:" in route and ROUTES[route].door is Door.API])
def test_ids_are_spelled_in_one_way(route, world, alice):
    for spell in (str.upper, lambda text: f"{{{text}}}", lambda text: f"urn:uuid:{text}",
    lambda text: text.replace("-", ""),
                  lambda text: text + "%00", lambda text: text + "/..", lambda text: f" {text}",
                  lambda text: text + "."):  # fmt: skip
        ids = {name: spell(value) for name, value in {**world, "user_id": str(alice.pk)}.items()}
        answer = with_token(alice).get(filled(route, ids))
        assert answer.status_code in (400, 404), (filled(route, ids), answer.status_code)
        assert_calm(answer, "api/v1/", route)


PATHS = [
    "/api/v1//users/me", "//api/v1/users/me", "/api//v1/users/me", "/api/v1/./users/me", "/api/v1/runs/../users/me",
    "/api/v1/%2e%2e/v1/users/me",
    "/api/v1/users/me%20", "/api/v1/users/me;x=y", "/api/v1/users/me.json", "/API/V1/users/me", "/api/v2/users/me",
    "/static/../platform_site/settings.py", "/static/%2e%2e/manage.py", "/static/..%2fmanage.py", "/static/%00",
    "/.env", "/.git/config",
    "/api/v1/users/\ufeffme", "/%ff", "/api/v1/%c0%ae%c0%ae/", "/api/v1/" + "a/" * 2_000, "/\\evil.example",
    "/api/v1/users/me%0d%0aX: y",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_other_spellings_of_an_address_lead_nowhere(path, member):
    for client in (with_token(member), signed_in(member), anonymous()):
        answer = client.get(path)
        assert answer.status_code in (400, 404), (path, answer.status_code)
        assert "SECRET" not in answer.content.decode(errors="replace") if not answer.streaming else True


@pytest.mark.parametrize(
    "path", ["//evil.example/", "//evil.example//", "/%2f%2fevil.example/", "/\\\\evil.example/", "///"]
)
def test_no_address_leads_to_another_site(path, member):
    for client in (signed_in(member), anonymous()):
        answer = client.get(path)
        assert answer.status_code < 500
        location = answer.headers.get("Location", "/")
        assert location.startswith("/") and not location.startswith(("//", "/\\"))


@pytest.mark.parametrize("forged", ["abcdefgh\r\nSet-Cookie: a=b", "abcdefgh\nX: y", "abcdefgh\0", "ÿÿÿÿÿÿÿÿ",
    "a" * 65, "../../etc/passwd",
                                    '{"a":"bcdefgh"}', "abc defgh", "%0d%0aX: y12"])  # fmt: skip
def test_request_ids_carry_nothing_into_headers_or_logs(forged, db):
    answer = anonymous().get("/health", headers={"X-Request-ID": forged})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])
    assert "Set-Cookie" not in answer.headers


# --- Methods ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("route", [route for route in sorted(ROUTES) if "DELETE" in ROUTES[route].uses])
def test_methods_are_not_overridden(route, world, alice):
    before = sensitive()
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"):
        answer = with_token(alice).get(filled(route, world), headers={name: "DELETE"})
        assert answer.status_code in (200, 403, 405)
        with_token(alice).post(
            filled(route, world) + "?_method=DELETE", "{}", content_type="application/json", headers={name: "DELETE"}
        )
    assert sensitive() == before


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "PROPFIND", "get", "DELETE ", "X" * 300])
def test_unusual_methods_do_nothing(method, world, member):
    for route in ("api/v1/runs", "runs", "api/v1/users/me"):
        answer = client_of(route, member).generic(method, filled(route, world))
        assert answer.status_code < 500
        assert answer.status_code == 405 or method.upper() == "GET", (route, answer.status_code)


# --- Promotion ----------------------------------------------------------------------------------------------------
PROMOTIONS: dict[str, Any] = {
    "role": "administrator", "platform_role": "administrator", "is_staff": True, "is_superuser": True,
    "is_active": True,
    "is_administrator": True, "role_source": "local", "source": "oidc", "quota": 10**6,
    "email_verified_at": "2020-01-01T00:00:00Z",
    "organisation": UNKNOWN, "user": UNKNOWN, "user_id": UNKNOWN, "id": UNKNOWN, "pk": UNKNOWN, "permissions": ["*"],
    "memberships": [{"role": "owner"}], "groups": ["administrators"], "owner": True,
    "created_at": "2000-01-01T00:00:00Z",
}  # fmt: skip


def sensitive() -> dict[str, Any]:
    """What nobody changes for themselves or others by naming a field."""
    return {
        "users": {
            user["pk"]: user
            for user in User.objects.order_by("pk").values(
                "pk", "email", "role", "role_source", "is_active", "password", "email_verified_at", "created_at"
            )
        },
        "memberships": {
            one["pk"]: one
            for one in Membership.objects.order_by("pk").values("pk", "user_id", "organisation_id", "role")
        },
        "organisations": {
            one["pk"]: one for one in Organisation.objects.order_by("pk").values("pk", "name", "slug", "closed_at")
        },
    }


MEMBER = "api/v1/organizations/<uuid:organisation_id>/members/<uuid:membership_id>"
LEAVING = {("POST", "api/v1/organizations/<uuid:organisation_id>/leave"), ("DELETE", MEMBER)}
"""Where somebody ends their own membership, which is theirs to end."""


@pytest.mark.parametrize("role", ["viewer", "member"])
@pytest.mark.parametrize(("method", "route"), [one for one in WRITES if one not in LEAVING])
def test_nobody_promotes_themselves(method, route, role, world, alice, member, victor, acme):
    person = {"viewer": victor, "member": member}[role]
    before = sensitive()
    good = good_body(method, route, world | {"user_id": str(person.pk)})
    named = {
        **PROMOTIONS,
        "organization_id": str(acme.pk),
        "organisation_id": str(acme.pk),
        "password": "another long password 1",
    }
    own = str(person.memberships.get().pk)
    for ids in (world, world | {"membership_id": own, "user_id": str(person.pk)}):
        for body in (good | named, named, good | {"role": "administrator"}, good | {"role": "owner"}):
            assert_calm(send(person, method, route, ids, json.dumps(body)), route, list(body))
    after = sensitive()
    for kind, rows in before.items():
        kept = {key: after[kind].get(key) for key in rows}
        assert kept == rows, (route, kind)
    new = User.objects.exclude(pk__in=before["users"])
    assert not new.filter(role=PlatformRole.ADMINISTRATOR).exists()
    assert not new.exclude(email_verified_at=None).exists()
    gained = Membership.objects.filter(user=person, organisation__in=before["organisations"]).exclude(pk=own)
    assert not gained.exists()


def test_the_owner_alone_is_not_more_than_an_owner(world, alice):
    for method, route in WRITES:
        if fields_of(method, route):
            send(alice, method, route, world, json.dumps(good_body(method, route, world) | PROMOTIONS))
    assert not User.objects.filter(role=PlatformRole.ADMINISTRATOR).exists()


def test_every_write_of_the_url_conf_is_tried():
    views = {
        route
        for route, pattern in http_routes().items()
        if route.startswith("api/v1/") and hasattr(pattern.callback, "cls")
    }
    assert views == {route for route in ROUTES if route.startswith("api/v1/")}
