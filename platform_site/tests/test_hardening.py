"""What stands around every request: secrets, headers, cookies, CSRF, CORS, origins, hosts, limits of reception."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from django.conf import settings as configured
from django.test import Client, override_settings

from platform_site.env import PLACEHOLDERS
from platform_site.tests.test_settings import run_check
from tests.architecture.conftest import anonymous, ask, filled, make_world, signed_in, with_token
from tests.architecture.routes import ROUTES, Door, entry_of, http_routes

GOOD = {
    "SECRET_KEY": "a-long-random-value-" * 4,
    "JWT_SECRET": "another-long-random-value-" * 3,
    "ENCRYPTION_KEYS": "T0kZTm1rQ0pJd1J4b2h0ZVZ2bXpXdE5xYUxzR2pVcFk=",
    "ALLOWED_HOSTS": "steward.example",
    "DATABASE_URL": "postgres://steward:x@db.example:5432/steward",
    "REDIS_URL": "redis://cache.example:6379/0",
    "SITE_URL": "https://steward.example",
    "EMAIL_URL": "smtp+tls://steward:x@mail.example:587",
}


# --- Starting -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "a1b2c3d4e5f6g7h8"),
        ("SECRET_KEY", "django-insecure-" + "x1y2z3w4v5u6t7s8" * 3),
        ("SECRET_KEY", "changeme" * 8),
        ("SECRET_KEY", "secret" * 8),
        ("SECRET_KEY", "abab" * 16),
        ("JWT_SECRET", "please-change-me-please-change-me-0123456789"),
        ("JWT_SECRET", "${JWT_SECRET}" * 4),
        ("JWT_SECRET", GOOD["SECRET_KEY"]),
        ("ENCRYPTION_KEYS", "not-a-fernet-key-not-a-fernet-key-0123456789"),
        ("ENCRYPTION_KEYS", GOOD["ENCRYPTION_KEYS"] + ",second"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://app.example/path"),
        ("THROTTLE_AUTH", "many"),
        ("THROTTLE_WRITES", "0/min"),
    ],
)
def test_production_refuses_what_is_no_setting_and_names_it_without_its_value(name, value, tmp_path):
    refused = run_check(STEWARD_VAR_DIR=str(tmp_path), **GOOD | {name: value})
    assert refused.returncode != 0
    last = refused.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last and name in last, last
    if name.endswith(("KEY", "KEYS", "SECRET")):
        assert value not in refused.stderr


def test_secrets_as_the_runbook_makes_them_are_no_placeholders():
    import secrets

    from cryptography.fernet import Fernet

    for _ in range(200):
        for made in (secrets.token_urlsafe(48), secrets.token_hex(32), Fernet.generate_key().decode()):
            assert not PLACEHOLDERS.search(made)


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"REDIS_URL": ""}, "steward.W003"),
        ({"SITE_URL": "http://steward.example"}, "steward.W004"),
        ({"EMAIL_URL": "consolemail://"}, "steward.W005"),
        ({"ALLOWED_HOSTS": "*"}, "steward.W006"),
    ],
)
def test_the_deployment_check_warns_of_what_is_missing(changed, warning, tmp_path):
    assert warning in run_check(STEWARD_VAR_DIR=str(tmp_path), **GOOD | changed).stderr


# --- Headers and cookies ------------------------------------------------------------------------------------------
@pytest.fixture
def world(acme, alice):
    from accounts.tenancy import all_organisations

    with all_organisations():
        return {"organisation_id": str(acme.pk), **make_world(acme, alice)}


@pytest.fixture(autouse=True)
def unlimited(settings):
    settings.RATELIMIT_ENABLE = False


READ = [route for route, entry in ROUTES.items() if "GET" in entry.uses and "stream" not in route]
PAGES = [route for route in READ if not route.startswith(("api/v1", "health", "metrics", "api/schema"))]


def directives(answer) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    return {part[0]: part[1:] for part in parts}


@pytest.mark.parametrize("route", PAGES)
def test_every_page_runs_its_own_scripts_alone(route, world, alice):
    for client in (signed_in(alice), anonymous()):
        answer = client.get(filled(route, world))
        rules = directives(answer)
        assert "'unsafe-inline'" not in rules["script-src"] and "'unsafe-eval'" not in rules["script-src"]
        if route != "api/docs":  # Swagger UI sets styles on its elements
            assert rules["style-src"] == ["'self'"]
        assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]
        text = answer.content.decode() if not answer.streaming else ""
        inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", text)
        assert all("nonce=" in tag or 'type="application/json"' in tag for tag in inline), inline
        assert not re.search(r"<[a-z]+[^>]*\s(?:on[a-z]+|style)=", text), "handlers and styles on elements"


@pytest.mark.parametrize("route", sorted(READ))
def test_answers_carry_what_browsers_need_to_know(route, world, alice):
    client = with_token(alice) if ROUTES[route].door is Door.API else signed_in(alice)
    answer = client.get(filled(route, world))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] in ("same-origin", "strict-origin", "no-referrer")
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert "Server" not in answer.headers and "X-Powered-By" not in answer.headers
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_refusals_in_front_of_the_views_carry_them_too():
    for answer in (anonymous().get("/runs", headers={"Host": "evil.example"}), anonymous().get("/nothing")):
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "script-src" in answer.headers["Content-Security-Policy"]


def test_static_files_may_be_kept(live_asgi):
    import httpx

    answer = httpx.get(f"{live_asgi}/static/css/tokens.css", trust_env=False)
    assert answer.status_code == 200
    assert "no-store" not in answer.headers.get("Cache-Control", "")


def test_cookies_in_production_belong_to_this_host_alone(tmp_path):
    import os
    import subprocess
    import sys

    from platform_site.env import BASE_DIR

    wanted = ["SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SAMESITE",
              "SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH", "CSRF_COOKIE_NAME", "CSRF_COOKIE_SECURE",
              "CSRF_COOKIE_DOMAIN", "CSRF_COOKIE_PATH", "CSRF_COOKIE_SAMESITE", "SECURE_HSTS_SECONDS",
              "SECURE_SSL_REDIRECT", "USE_X_FORWARDED_HOST", "DEBUG"]  # fmt: skip
    code = (
        f"from django.conf import settings as s; import json; print(json.dumps({{n: getattr(s, n) for n in {wanted}}}))"
    )
    environment = {"PATH": os.environ["PATH"], "STEWARD_MODE": "production", "STEWARD_VAR_DIR": str(tmp_path), **GOOD,
                   "DJANGO_SETTINGS_MODULE": "platform_site.settings"}  # fmt: skip
    said = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True)
    found = json.loads(said.stdout)
    for cookie in ("SESSION", "CSRF"):
        assert found[f"{cookie}_COOKIE_NAME"].startswith("__Host-")
        assert found[f"{cookie}_COOKIE_SECURE"] is True
        assert found[f"{cookie}_COOKIE_DOMAIN"] is None
        assert found[f"{cookie}_COOKIE_PATH"] == "/"
        assert found[f"{cookie}_COOKIE_SAMESITE"] == "Lax"
    assert found["SESSION_COOKIE_HTTPONLY"] is True
    assert found["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert found["SECURE_SSL_REDIRECT"] is True
    assert found["USE_X_FORWARDED_HOST"] is found["DEBUG"] is False


# --- CSRF and CORS ------------------------------------------------------------------------------------------------
UNSAFE = [
    (method, route)
    for route in sorted(ROUTES)
    for method in ("POST", "PUT", "PATCH", "DELETE")
    if method in ROUTES[route].uses
    # No cookie counts at doors for devices, nor at the API's open ones.
    and ROUTES[route].door is not Door.DEVICE
    and not (route.startswith("api/") and ROUTES[route].door is Door.OPEN)
]


def without_csrf(user) -> Client:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.mark.parametrize(("method", "route"), UNSAFE, ids=lambda value: value or "root")
def test_a_cookie_alone_changes_nothing(method, route, world, alice):
    answer = ask(without_csrf(alice), method, filled(route, world), ROUTES[route].uses[method].body, world)
    assert answer.status_code == 403, answer.content


@pytest.mark.parametrize("route", sorted(r for r in ROUTES if ROUTES[r].door is Door.OPEN and r.startswith("api/v1")))
def test_open_doors_of_the_api_do_not_look_at_cookies(route):
    view = http_routes()[route].callback.cls
    assert list(view.authentication_classes) == []


@pytest.mark.django_db
def test_nobody_is_signed_in_by_another_site():
    answer = Client(enforce_csrf_checks=True).post("/sign-in", {"email": "a@b.example", "password": "x"})
    assert answer.status_code == 403


APP = "https://app.example"


@pytest.fixture
def cors(settings):
    settings.CORS_ALLOWED_ORIGINS = [APP]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil.example",
                                    "http://app.example", "https://app.example:444",
                                    "https://sub.app.example"])  # fmt: skip
def test_other_sites_read_nothing(origin, cors, alice):
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for answer in (
        anonymous().options("/api/v1/runs", headers=asked),
        with_token(alice).get("/api/v1/runs", headers=asked),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_named_sites_read_with_a_token_and_never_with_cookies(cors, alice):
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-organization, idempotency-key",
    }
    preflight = anonymous().options("/api/v1/runs", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == APP
    assert "x-organization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = with_token(alice).get("/api/v1/runs", headers={"Origin": APP})
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "Origin" in answer.headers["Vary"] or "origin" in answer.headers["Vary"]
    assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"]
    for one in (preflight, answer):
        assert "Access-Control-Allow-Credentials" not in one.headers
    assert "Access-Control-Allow-Origin" not in signed_in(alice).get("/runs", headers={"Origin": APP}).headers


# --- Sockets ------------------------------------------------------------------------------------------------------
def socket_code(origin: str | None, host: str = "steward.example", scheme: str = "wss", cookie: str = "") -> int:
    """The code that a socket to a run that nobody has closes with: 4403 foreign, 4401 unknown, 4404 signed in."""
    from channels.testing import WebsocketCommunicator

    from platform_site.asgi import application
    from tests.architecture.conftest import UNKNOWN

    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin is not None else [])]
    headers += [(b"cookie", cookie.encode())] if cookie else []

    async def code() -> int:
        asked = WebsocketCommunicator(application, f"/ws/runs/{UNKNOWN}", headers=headers)
        asked.scope["scheme"] = scheme
        connected, refused = await asked.connect(timeout=5)
        if not connected:
            return refused
        while (message := await asked.receive_output(timeout=5))["type"] != "websocket.close":
            pass
        return message["code"]

    return asyncio.run(code())


@pytest.fixture
def cookie(alice, transactional_db, settings):
    settings.ALLOWED_HOSTS = ["steward.example"]
    return f"{configured.SESSION_COOKIE_NAME}={signed_in(alice).cookies[configured.SESSION_COOKIE_NAME].value}"


OWN = "https://steward.example"


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "code"),
    [
        (OWN, "steward.example", "wss", 4404),
        (OWN, "STEWARD.example", "wss", 4404),
        ("HTTPS://Steward.Example", "steward.example", "wss", 4404),
        ("http://steward.example:8000", "steward.example:8000", "ws", 4404),
        (None, "steward.example", "wss", 4401),
        ("https://evil.example", "steward.example", "wss", 4403),
        ("null", "steward.example", "wss", 4403),
        ("", "steward.example", "wss", 4403),
        ("https://sub.steward.example", "steward.example", "wss", 4403),
        ("https://steward.example.evil.example", "steward.example", "wss", 4403),
        ("https://steward.example:444", "steward.example", "wss", 4403),
        ("https://steward.example@evil.example", "steward.example", "wss", 4403),
        ("https://evil.example@steward.example", "steward.example", "wss", 4403),
        ("http://steward.example", "steward.example", "wss", 4403),
        (f"{OWN}/", "steward.example", "wss", 4403),
        (f"{OWN} https://evil.example", "steward.example", "wss", 4403),
        ("https://evil.example", "evil.example", "wss", 4403),
    ],
)
def test_a_session_counts_on_sockets_of_this_site_alone(origin, host, scheme, code, cookie):
    assert socket_code(origin, host, scheme, cookie) == code


def test_a_site_that_may_bring_tokens_may_not_bring_cookies(cookie, settings):
    settings.CORS_ALLOWED_ORIGINS = [APP]
    assert socket_code(APP, cookie=cookie) == 4401


# --- Names and methods --------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "testserver@evil.example",
    "evil.example:80",
                                  "testserver,evil.example", "[::1", "testserver/x", "a b", "0",
                                  "localhost.evil.example"])  # fmt: skip
def test_an_unknown_host_is_refused_in_the_one_format(host):
    answer = anonymous().get("/api/v1/runs", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["status_code"] == 400
    assert "evil" not in answer.json()["detail"]
    page = anonymous().get("/sign-in", headers={"Host": host})
    assert page.status_code == 400
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@override_settings(SITE_URL="https://steward.example", ALLOWED_HOSTS=["*"])
def test_links_in_messages_lead_to_the_site_whatever_the_host(alice, mailoutbox):
    from accounts.services.mail import mail_deliver

    body = json.dumps({"email": alice.email})
    answer = anonymous().generic(
        "POST",
        "/api/v1/auth/password/forgotten",
        body,
        content_type="application/json",
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
    )
    assert answer.status_code < 300, answer.content
    mail_deliver()
    assert len(mailoutbox) == 1
    assert "https://steward.example/" in mailoutbox[0].body
    assert "evil.example" not in mailoutbox[0].body


def test_every_route_of_this_file_is_known():
    assert all(entry_of(route) for route in http_routes())
