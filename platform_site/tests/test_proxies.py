"""Who calls, behind proxies: only named proxies are believed, read from the right, for HTTP and WebSockets alike."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from platform_site.lib.asgi import behind_proxies
from platform_site.lib.http import client_address

PROXIES = ["10.0.0.1", "10.1.0.0/16", "2001:db8::1"]
CALLER = "203.0.113.9"


async def seen_by(kind: str, peer: object, *headers: tuple[str, str]) -> dict:
    """The scope that Django or Channels get of a request."""
    seen: dict = {}

    async def inner(scope, receive, send):
        seen.update(scope)

    scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": peer,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    await behind_proxies(inner)(scope, None, None)  # type: ignore[arg-type]
    return seen


@pytest.fixture(autouse=True)
def proxies(settings):
    settings.TRUSTED_PROXIES = PROXIES


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", CALLER, CALLER),
        ("10.1.200.3", CALLER, CALLER),
        ("::ffff:10.0.0.1", CALLER, CALLER),
        ("2001:db8:0:0::1", CALLER, CALLER),
        ("10.0.0.1", f"{CALLER}, 10.1.2.3", CALLER),
        ("10.0.0.1", f"6.6.6.6, 10.0.0.1, {CALLER}", CALLER),
        ("10.0.0.1", f"' OR 1=1 --, {CALLER}", CALLER),
        ("10.0.0.1", f"{CALLER}:51234", CALLER),
        ("10.0.0.1", "[2001:db8:9::9]:51234", "2001:db8:9::9"),
        ("10.0.0.1", "2001:DB8:9::9", "2001:db8:9::9"),
        ("10.0.0.1", "::ffff:203.0.113.9", CALLER),
        ("10.0.0.1", "10.1.0.7", "10.1.0.7"),
        ("10.0.0.1", f"{CALLER}, garbage", "10.0.0.1"),
        ("10.0.0.1", f"{CALLER}, ", "10.0.0.1"),
        ("10.0.0.1", f"{CALLER}, 999.1.1.1", "10.0.0.1"),
        ("10.0.0.1", f"{CALLER}, unknown", "10.0.0.1"),
        ("10.0.0.1", "x" * 10_000, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("198.51.100.1", CALLER, "198.51.100.1"),
        ("10.2.0.1", CALLER, "10.2.0.1"),
        ("127.0.0.1", CALLER, "127.0.0.1"),
    ],
)
async def test_the_caller_is_the_first_from_the_right_that_is_no_proxy(kind, peer, forwarded, expected):
    scope = await seen_by(kind, (peer, 4321), ("X-Forwarded-For", forwarded))
    assert scope["client"][0] == expected


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_several_header_lines_are_one_list(kind):
    lines = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", CALLER), ("X-Forwarded-For", "10.1.0.2")]
    assert (await seen_by(kind, ("10.0.0.1", 1), *lines))["client"][0] == CALLER


@pytest.mark.parametrize(
    ("kind", "peer", "proto", "scheme"),
    [
        ("http", "10.0.0.1", "https", "https"),
        ("websocket", "10.0.0.1", "https", "wss"),
        ("websocket", "10.0.0.1", "wss", "wss"),
        ("http", "10.0.0.1", "ftp", "http"),
        ("http", "10.0.0.1", "https, http", "http"),
        ("http", "198.51.100.1", "https", "http"),
        ("websocket", "198.51.100.1", "https", "ws"),
    ],
)
async def test_the_scheme_is_believed_of_proxies_alone(kind, peer, proto, scheme):
    assert (await seen_by(kind, (peer, 1), ("X-Forwarded-Proto", proto)))["scheme"] == scheme


@pytest.mark.parametrize("peer", ["10.0.0.1", "198.51.100.1"])
async def test_nobody_behind_the_edge_sees_what_was_forwarded(peer):
    lies = [
        (name, "evil.example")
        for name in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "Forwarded",
                     "X-Real-IP", "X-Forwarded-Prefix", "X-Forwarded-Scheme", "X-Client-IP")
    ]  # fmt: skip
    scope = await seen_by("http", (peer, 1), ("Host", "steward.example"), *lies)
    assert scope["headers"] == [(b"host", b"steward.example")]


@pytest.mark.parametrize("peer", [None, (), ("", 0), ("/run/steward.sock", 0), ("garbage", 1)])
async def test_a_peer_without_an_address_is_nobody(peer):
    assert (await seen_by("http", peer, ("X-Forwarded-For", CALLER)))["client"] is None


async def test_without_proxies_nobody_is_believed(settings):
    settings.TRUSTED_PROXIES = []
    scope = await seen_by("http", ("127.0.0.1", 1), ("X-Forwarded-For", CALLER), ("X-Forwarded-Proto", "https"))
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")


def test_django_reads_no_forwarding_headers_itself(settings):
    request = RequestFactory().get(
        "/",
        headers={"X-Forwarded-For": CALLER, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"},
    )
    assert client_address(request) == "127.0.0.1"
    assert not request.is_secure()
    assert request.get_host() == "testserver"
    assert settings.SECURE_PROXY_SSL_HEADER is None


def test_the_whole_application_stands_behind_the_edge(live_asgi, alice):
    import httpx

    from accounts.models import AuditEntry

    body = {"email": alice.email, "password": "wrong"}
    lies = {"X-Forwarded-For": CALLER, "X-Real-IP": CALLER, "Forwarded": f"for={CALLER}", "X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{live_asgi}/api/v1/auth/login", json=body, headers=lies, trust_env=False)
    assert answer.status_code == 401
    assert AuditEntry.objects.get(action="account.sign_in_refused").address == "127.0.0.1"
