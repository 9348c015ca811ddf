"""A provider that lies, a provider that dawdles, and browsers that bring back what they should not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from django.test import Client

from accounts.models import OidcIdentity, User
from accounts.oidc.provider import forget_provider
from accounts.tests.oidc_peer import CLIENT_ID, jwk_of, rsa_key
from accounts.tests.test_oidc_sign_in import CALLBACK, sign_in, user_of
from conftest import PASSWORD


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header, claims, key: bytes | None) -> str:
    """A token as an attacker's own program makes it, without a library's objections."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key is not None else b""
    return f"{signed}.{encoded(signature)}"


def public_pem() -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key("good").public_key().public_bytes(serialization.Encoding.PEM, kind)


def other_key(**headers):
    return lambda claims: jwt.encode(claims, rsa_key("other"), algorithm="RS256", headers=headers)


def own_key_inside(claims):
    """Signed with a key that the token brings along."""
    return other_key(jwk=jwk_of(rsa_key("other"), "good"), kid="good")(claims)


NOW = time.time()
SIGNATURES = {
    "none": lambda claims: by_hand({"alg": "none"}, claims, None),
    "none with a kid": lambda claims: by_hand({"alg": "none", "kid": "good"}, claims, None),
    "None": lambda claims: by_hand({"alg": "None", "kid": "good"}, claims, None),
    "no alg": lambda claims: by_hand({"kid": "good"}, claims, None),
    "HMAC with the public key as PEM": lambda claims: by_hand({"alg": "HS256", "kid": "good"}, claims, public_pem()),
    "HMAC with the public key as JWK": lambda claims: by_hand(
        {"alg": "HS256", "kid": "good"}, claims, json.dumps(jwk_of(rsa_key("good"), "good")).encode()
    ),
    "HMAC with the client's secret": lambda claims: by_hand({"alg": "HS256"}, claims, b"a secret of the client: 100%"),
    "HMAC with nothing": lambda claims: by_hand({"alg": "HS256", "kid": "good"}, claims, b""),
    "another key under the same id": other_key(kid="good"),
    "another key id": other_key(kid="other"),
    "a key of its own": own_key_inside,
    "a critical extension": lambda claims: jwt.encode(
        claims, rsa_key("good"), algorithm="RS256", headers={"kid": "good", "crit": ["exp"], "exp": 1}
    ),
    "a cut signature": lambda claims: (
        jwt.encode(claims, rsa_key("good"), algorithm="RS256", headers={"kid": "good"}).rpartition(".")[0] + "."
    ),
    "no token": lambda claims: None,
    "a number": lambda claims: 7,
    "text": lambda claims: "not.a.token",
    "a huge one": lambda claims: "a" * 200_000,
}
CLAIMS = {
    "another audience": {"aud": "somebody-else"},
    "no audience": {"aud": None},
    "an empty audience": {"aud": []},
    "an audience that is no text": {"aud": {CLIENT_ID: 1}},
    "several audiences and no party": {"aud": [CLIENT_ID, "other"]},
    "several audiences, another party": {"aud": [CLIENT_ID, "other"], "azp": "other"},
    "another party": {"azp": "other"},
    "another issuer": {"iss": "https://evil.example"},
    "the issuer with a slash": {"iss": "{issuer}/"},
    "no issuer": {"iss": None},
    "another nonce": {"nonce": "guessed"},
    "no nonce": {"nonce": None},
    "a nonce that is no text": {"nonce": ["x"]},
    "expired": {"exp": NOW - 120},
    "without end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "issued in the future": {"iat": NOW + 3600},
    "issued at no time": {"iat": None},
    "not valid yet": {"nbf": NOW + 3600},
    "of another access token": {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 12},
    "a subject too long": {"sub": "s" * 256},
    "a subject with a NUL": {"sub": "a\0b"},
}


def assert_turned_away(client, answer, status=502):
    assert answer.status_code == status, answer.content
    assert b"Sign in with your password" in answer.content
    assert user_of(client) is None
    assert not OidcIdentity.objects.exists() and not User.objects.exists()


@pytest.mark.parametrize("sign", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_a_token_that_the_provider_did_not_sign_opens_nothing(client, peer, sign):
    peer.lie(sign=sign)
    assert_turned_away(client, sign_in(client, peer))


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_token_for_something_else_opens_nothing(client, peer, claims):
    filled = {
        name: value.format(issuer=peer.issuer) if name == "iss" and value else value for name, value in claims.items()
    }
    peer.lie(id_claims=filled)
    assert_turned_away(client, sign_in(client, peer))


@pytest.mark.parametrize(
    "claims",
    [{"aud": [CLIENT_ID]}, {"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}, {"at_hash": None}],
    ids=str,
)
def test_what_the_standard_allows_is_taken(client, peer, claims):
    peer.lie(id_claims=claims)
    assert sign_in(client, peer).status_code == 302


@pytest.mark.parametrize("claim", [("exp", -30), ("iat", 30)], ids=["just expired", "a clock ahead"])
def test_clocks_may_differ_by_a_minute(client, peer, claim):
    name, seconds = claim
    peer.lie(id_claims={name: time.time() + seconds})
    assert sign_in(client, peer).status_code == 302


@pytest.mark.parametrize("userinfo", [{"sub": "somebody-else"}, {"email": "x@example.org"}, b"[]", b"\xff", b""])
def test_userinfo_of_somebody_else_opens_nothing(client, peer, userinfo):
    peer.lie(userinfo=userinfo)
    assert_turned_away(client, sign_in(client, peer))


@pytest.mark.parametrize(
    ("changes", "key", "status"),
    [
        ({}, "good", 302),
        ({"aud": "somebody-else"}, "good", 502),
        ({"iss": "https://evil.example"}, "good", 502),
        ({"sub": "somebody-else"}, "good", 502),
        ({}, "other", 502),
    ],
)
def test_signed_userinfo_is_verified_like_an_id_token(client, peer, changes, key, status):
    claims = {**peer.person, "iss": peer.issuer, "aud": CLIENT_ID, **changes}
    peer.lie(userinfo=jwt.encode(claims, rsa_key(key), algorithm="RS256", headers={"kid": "good"}).encode())
    assert sign_in(client, peer).status_code == status
    assert User.objects.exists() == (status == 302)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://example.org/token"},
        {"token_endpoint": "https://somebody@example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"jwks_uri": "http://keys.example/"},
        {"userinfo_endpoint": "ftp://127.0.0.1/"},
    ],
    ids=str,
)
def test_a_discovery_document_that_leads_elsewhere_is_not_followed(client, peer, document):
    peer.lie(discovery=document)
    assert_turned_away(client, client.get("/sign-in/oidc"))


# --- Keys ---------------------------------------------------------------------------------------------------------
def test_a_new_signing_key_is_found_and_looked_for_at_most_once_a_minute(client, peer, monkeypatch):
    sign_in(client, peer)
    assert peer.count("/keys") == 1
    client.logout()
    peer.lie(sign=other_key(kid="new"))
    for _ in range(3):
        assert sign_in(client, peer).status_code == 502
    assert peer.count("/keys") == 1, "it was read less than a minute ago"
    peer.keys.append(jwk_of(rsa_key("other"), "new"))
    real = time.monotonic
    monkeypatch.setattr("accounts.oidc.provider.time.monotonic", lambda: real() + 61)
    assert sign_in(client, peer).status_code == 302
    assert peer.count("/keys") == 2


def test_keys_that_are_no_signing_keys_are_not_used(client, peer):
    peer.keys[:] = [
        {"kty": "oct", "k": encoded(b"x" * 32), "kid": "good", "alg": "HS256"},
        {**peer.keys[0], "use": "enc"},
        {"kty": "RSA", "kid": "good", "n": "!", "e": "AQAB"},
        {"kty": "EC", "kid": "good"},
    ]
    assert_turned_away(client, sign_in(client, peer))


# --- What browsers bring back -------------------------------------------------------------------------------------
def test_an_answer_works_once(client, peer):
    back = peer.approve(client.get("/sign-in/oidc")["Location"])
    assert client.get(back).status_code == 302
    client.logout()
    assert client.get(back).status_code == 400
    assert user_of(client) is None


def test_an_answer_of_another_browser_signs_nobody_in(client, peer):
    back = peer.approve(Client().get("/sign-in/oidc")["Location"])
    assert_turned_away(client, client.get(back), 400)
    client.get("/sign-in/oidc")
    assert_turned_away(client, client.get(back), 400)
    assert peer.count("/token") == 0


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x&code=y", "?error=access_denied", "?state[]=x&code=y"])
def test_an_answer_without_a_state_is_refused(client, peer, query):
    assert_turned_away(client, client.get(CALLBACK + query), 400)


def test_an_answer_comes_too_late_after_ten_minutes(client, peer, monkeypatch):
    back = peer.approve(client.get("/sign-in/oidc")["Location"])
    real = time.time
    monkeypatch.setattr("accounts.oidc.flow.time.time", lambda: real() + 601)
    assert_turned_away(client, client.get(back), 400)


def test_sign_ins_that_were_only_begun_do_not_fill_the_session(client, peer, settings):
    settings.RATELIMIT_ENABLE = False
    for _ in range(55):
        client.get("/sign-in/oidc")
    assert len(client.session["oidc_states"]) == 50


@pytest.mark.parametrize(
    ("error", "status"), [("access_denied", 403), ("temporarily_unavailable", 503), ("<script>", 502)]
)
def test_an_error_of_the_provider_is_told_calmly(client, peer, error, status):
    state = parse_qs(urlsplit(client.get("/sign-in/oidc")["Location"]).query)["state"][0]
    answer = client.get(CALLBACK, {"error": error, "error_description": "<b>bad</b>", "state": state})
    assert_turned_away(client, answer, status)
    assert b"<b>bad" not in answer.content and b"<script>" not in answer.content
    assert client.get(CALLBACK, {"code": "x", "state": state}).status_code == 400


def test_an_answer_that_names_another_provider_is_refused(client, peer):
    back = peer.approve(client.get("/sign-in/oidc")["Location"])
    assert_turned_away(client, client.get(back + "&iss=https://evil.example"), 400)
    peer.lie(discovery={"authorization_response_iss_parameter_supported": True})
    forget_provider()
    assert_turned_away(client, sign_in(client, peer), 400)


def test_pkce_binds_the_code_to_the_browser_that_asked(client, peer):
    """A code that was stolen on its way and put into one's own answer."""
    stolen = parse_qs(urlsplit(peer.approve(client.get("/sign-in/oidc")["Location"])).query)["code"][0]
    thief = Client()
    state = parse_qs(urlsplit(thief.get("/sign-in/oidc")["Location"]).query)["state"][0]
    assert thief.get(CALLBACK, {"code": stolen, "state": state}).status_code == 403
    assert peer.problems == ["PKCE"]
    assert user_of(thief) is None


# --- Answers without end ------------------------------------------------------------------------------------------
def drip(handler, seconds=30.0):
    """One byte a second, without end."""
    handler.send_response(200)
    handler.end_headers()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.3)
    return True


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    return drip_raw(handler)


def drip_raw(handler):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.3)
    return True


def flood(handler):
    """A hundred megabytes."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1600):
        handler.wfile.write(b" " * 65536)
    return True


def redirect(handler):
    handler.send(302, {}, Location="http://127.0.0.1:9/keys")
    return True


def squeeze(handler):
    handler.send(200, b"\x1f\x8b", Content_Encoding="gzip")
    return True


def only(path, misbehave):
    def answer(handler):
        try:
            return handler.path == path and misbehave(handler)
        except OSError:  # the client hung up
            return True

    return answer


@pytest.mark.parametrize("path", ["/token", "/userinfo", "/keys"])
@pytest.mark.parametrize(
    ("misbehave", "status"),
    [(drip, 503), (drip_headers, 503), (flood, 502), (redirect, 502), (squeeze, 502)],
    ids=["drips", "drips headers", "floods", "redirects", "compresses"],
)
def test_a_provider_that_misbehaves_is_cut_off(client, peer, monkeypatch, path, misbehave, status):
    monkeypatch.setattr("accounts.oidc.flow.TOTAL_SECONDS", 0.5)
    peer.lie(answer=only(path, misbehave))
    began = time.monotonic()
    assert_turned_away(client, sign_in(client, peer), status)
    assert time.monotonic() - began < 3


@pytest.mark.slow
def test_the_whole_sign_in_ends_before_ten_seconds(client, peer):
    peer.lie(answer=only("/token", drip_headers))
    began = time.monotonic()
    assert_turned_away(client, sign_in(client, peer), 503)
    assert 7 < time.monotonic() - began < 10


def test_a_provider_that_fails_does_not_block_passwords(client, peer, alice):
    peer.lie(answer=lambda handler: handler.send(500, {}) or True)
    answer = client.get("/sign-in/oidc?next=/runs")
    assert answer.status_code == 503
    assert b"/sign-in?next=/runs" in answer.content
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD})
    assert user_of(client) == alice


def test_what_was_published_is_used_on_during_an_outage(client, peer, monkeypatch):
    sign_in(client, peer)
    client.logout()
    real = time.monotonic
    monkeypatch.setattr("accounts.oidc.provider.time.monotonic", lambda: real() + 4000)
    peer.lie(answer=lambda handler: handler.path in ("/keys", "/.well-known/openid-configuration")
             and (handler.send(503, {}) or True))  # fmt: skip
    assert sign_in(client, peer).status_code == 302
    assert peer.count("/.well-known/openid-configuration") == 2, "it was asked again, and once only"
