"""Access and refresh tokens: what is refused, who wins a race, what happens to copies, and how keys are replaced."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry, TokenFamily
from accounts.services import families
from accounts.services.families import tokens_issue, tokens_refresh, tokens_revoke
from accounts.signing import MAX_TOKEN_CHARACTERS, AccessToken, RefreshToken
from platform_site.lib.errors import NotAuthenticated

ME = "/api/v1/users/me"


@pytest.fixture(autouse=True)
def gathering(monkeypatch, request):
    """Only the tests of many calls at once wait for others to arrive."""
    if "live_asgi" not in request.fixturenames:
        monkeypatch.setattr(families, "GATHER", timedelta())


def status_with(client, access):
    return client.get(ME, headers={"Authorization": f"Bearer {access}"}).status_code


def refresh(client, raw):
    return client.post("/api/v1/auth/refresh", {"refresh": raw}, content_type="application/json")


def now():
    return datetime.now(UTC)


@pytest.fixture
def pair(alice):
    return tokens_issue(user=alice, client="test")


@pytest.fixture
def claims(pair):
    return AccessToken(pair["access"]).payload


@pytest.fixture
def sign(settings):
    """Signs claims by hand, with what an attacker may choose."""

    def signed(claims, key=None, algorithm="HS256", headers=None):
        return jwt.api_jws.encode(json.dumps(claims).encode(), key or settings.JWT_SECRET, algorithm, headers)

    return signed


# --- What is refused ----------------------------------------------------------------------------------------------
def test_an_access_token_lives_for_half_an_hour(pair, claims):
    assert pair["expires_in"] == 1800
    assert 1798 <= claims["exp"] - claims["iat"] <= 1800, "the clock may tick in between"


def test_each_kind_of_token_is_refused_as_the_other(client, pair):
    assert status_with(client, pair["refresh"]) == 401
    assert refresh(client, pair["access"]).status_code == 401
    assert status_with(client, pair["access"]) == 200, "and trying ended nothing"


def test_claims_that_we_signed_are_the_only_ones_that_count(client, claims, sign):
    assert status_with(client, sign(claims)) == 200, "signed by hand, it is the same token"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "someone"},
        {"iss": None},
        {"iss": ["steward"]},
        {"aud": "other"},
        {"aud": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 4_000_000_000},
        {"jti": None},
        {"token_type": "refresh"},
        {"token_type": None},
        {"fam": None},
        {"fam": "not-a-family"},
        {"fam": "01890000-0000-7000-8000-000000000000"},
        {"fam": {"a": 1}},
        {"user_id": "01890000-0000-7000-8000-000000000000"},
        {"user_id": None},
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(client, claims, sign, wrong):
    changed = {name: value for name, value in (claims | wrong).items() if value is not None}
    assert status_with(client, sign(changed)) == 401


def unsigned(claims, header):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims)}."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 0])
def test_a_token_without_signature_is_refused(client, claims, algorithm):
    assert status_with(client, unsigned(claims, {"alg": algorithm, "typ": "JWT"})) == 401


def test_a_token_signed_by_another_key_or_algorithm_is_refused(client, claims, sign, settings):
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert status_with(client, sign(claims, key="x" * 64)) == 401
    assert status_with(client, sign(claims, key=foreign, algorithm="RS256")) == 401
    assert status_with(client, sign(claims, algorithm="HS512")) == 401, "our key, but not our algorithm"
    body = sign(claims).split(".")[1]
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').rstrip(b"=").decode()
    assert status_with(client, f"{header}.{body}.{sign(claims).split('.')[2]}") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'x"},
        {"kid": "x" * 500},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"jwk": {"kty": "oct", "k": "eHh4"}},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_what_a_header_says_about_keys_is_not_looked_at(client, claims, sign, headers):
    assert status_with(client, sign(claims, headers=headers)) == 200, "signed by us"
    assert status_with(client, sign(claims, key="x" * 64, headers=headers)) == 401
    assert status_with(client, unsigned(claims, {"alg": "HS256", "kid": 7})) == 401


def test_a_token_of_4_096_characters_is_read_and_a_longer_one_is_not(client, claims, sign, monkeypatch):
    def of_length(length):
        room = 0
        while len(longer := sign(claims | {"x": "a" * (room + 1)})) <= length:
            room += max(1, (length - len(longer)) * 3 // 4)
        return sign(claims | {"x": "a" * room})

    fits = of_length(MAX_TOKEN_CHARACTERS)
    assert MAX_TOKEN_CHARACTERS - 1 <= len(fits) <= MAX_TOKEN_CHARACTERS
    assert status_with(client, fits) == 200
    parsed = []
    monkeypatch.setattr(jwt.api_jws.PyJWS, "_load", lambda *args: parsed.append(args))
    assert status_with(client, fits + "a" * 2) == 401
    assert status_with(client, "a" * 20_000) == 401
    assert parsed == [], "nothing looked into it"


@pytest.mark.parametrize("raw", ["", ".", "..", "a.b.c", "....", "é.é.é", "\0", "e30.e30.e30", "[" * 4000])
def test_what_is_no_token_is_a_401(client, db, raw):
    assert status_with(client, raw) == 401
    assert refresh(client, raw).status_code in (400, 401)


def test_deeply_nested_headers_are_a_401(client, db):
    deep = base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode()
    assert status_with(client, f"{deep}.e30.x") == 401


def test_tokens_of_a_deleted_user_are_refused(client, pair, alice):
    assert status_with(client, pair["access"]) == 200
    alice.delete()
    assert status_with(client, pair["access"]) == 401
    assert refresh(client, pair["refresh"]).status_code == 401


def test_tokens_of_a_disabled_user_are_refused_even_where_nothing_was_revoked(client, pair, alice):
    alice.is_active = False
    alice.save()
    assert status_with(client, pair["access"]) == 401
    assert refresh(client, pair["refresh"]).status_code == 401
    alice.is_active = True
    alice.save()
    assert refresh(client, pair["refresh"]).status_code == 200, "the refusal used nothing up"


def test_an_expired_family_gives_no_tokens(client, pair):
    TokenFamily.objects.update(expires_at=timezone.now())
    assert refresh(client, pair["refresh"]).status_code == 401


# --- Rotation -----------------------------------------------------------------------------------------------------
def test_a_chain_of_refreshes_goes_on(client, pair):
    family = TokenFamily.objects.get()
    for _ in range(5):
        answer = refresh(client, pair["refresh"])
        assert answer.status_code == 200, answer.json()
        pair = answer.json()
        assert status_with(client, pair["access"]) == 200
    again = TokenFamily.objects.get()
    assert again.pk == family.pk
    assert again.expires_at > family.expires_at


def test_an_old_refresh_token_that_comes_back_ends_the_family_at_once(client, pair, alice):
    other = tokens_issue(user=alice)
    second = refresh(client, pair["refresh"]).json()
    third = refresh(client, second["refresh"]).json()
    assert status_with(client, third["access"]) == 200
    for old in (pair["refresh"], second["refresh"]):
        assert refresh(client, old).status_code == 401
    for one in (pair, second, third):
        assert status_with(client, one["access"]) == 401
        assert refresh(client, one["refresh"]).status_code == 401
    assert status_with(client, other["access"]) == 200, "other sign-ins go on"
    entry = AuditEntry.objects.get(action="tokens.revoke")
    assert entry.changes["reason"] == ["", "a used refresh token came back"]
    assert pair["refresh"] not in str(entry.changes)


def test_calls_that_were_under_way_when_the_token_was_replaced_lose_and_end_nothing(pair):
    before = now()
    _, winner = tokens_refresh(pair["refresh"], arrived_at=before)
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            tokens_refresh(pair["refresh"], arrived_at=before)
    assert tokens_refresh(winner["refresh"], arrived_at=now())


def test_the_grace_moves_the_border_and_no_token_works_twice(pair, settings):
    settings.REFRESH_REUSE_GRACE_SECONDS = 2
    _, winner = tokens_refresh(pair["refresh"], arrived_at=now())
    with pytest.raises(NotAuthenticated):
        tokens_refresh(pair["refresh"], arrived_at=now() + timedelta(seconds=1))
    assert TokenFamily.objects.get().is_live
    with pytest.raises(NotAuthenticated):
        tokens_refresh(pair["refresh"], arrived_at=now() + timedelta(seconds=3))
    assert not TokenFamily.objects.get().is_live
    with pytest.raises(NotAuthenticated):
        tokens_refresh(winner["refresh"], arrived_at=now())


def test_signing_out_ends_the_access_token_too(client, pair):
    answer = client.post("/api/v1/auth/logout", {"refresh": pair["refresh"]}, content_type="application/json")
    assert answer.status_code == 204
    assert status_with(client, pair["access"]) == 401
    assert refresh(client, pair["refresh"]).status_code == 401


def test_a_replaced_token_signs_out_too(client, pair):
    fresh = refresh(client, pair["refresh"]).json()
    tokens_revoke(pair["refresh"])
    assert status_with(client, fresh["access"]) == 401
    with pytest.raises(NotAuthenticated):
        tokens_revoke(fresh["refresh"])


# --- Many at once -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_of_20_concurrent_refreshes_one_wins_and_its_pair_works(client, alice):
    pair = tokens_issue(user=alice)
    arrived, gate, won, lost = now(), threading.Barrier(20), [], []

    def call():
        gate.wait()
        try:
            won.append(tokens_refresh(pair["refresh"], arrived_at=arrived)[1])
        except NotAuthenticated as exc:
            lost.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 19)
    assert status_with(client, won[0]["access"]) == 200
    assert refresh(client, won[0]["refresh"]).status_code == 200
    assert refresh(client, pair["refresh"]).status_code == 401, "used later, it is a copy"
    assert status_with(client, won[0]["access"]) == 401


async def sent_at_once(base, raw, count):
    """The answers to `count` refreshes of one token, each over a connection of its own that stands ready."""
    limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=30) as client:
        await asyncio.gather(*(client.get("/health") for _ in range(count)))
        return await asyncio.gather(*(client.post("/api/v1/auth/refresh", json={"refresh": raw}) for _ in range(count)))


def test_the_winner_waits_for_those_who_were_sent_with_it(pair, monkeypatch):
    monkeypatch.setattr(families, "GATHER", timedelta(milliseconds=200))
    began = now()
    _, winner = tokens_refresh(pair["refresh"], arrived_at=began)
    assert timedelta(milliseconds=200) <= now() - began < timedelta(seconds=2)
    with pytest.raises(NotAuthenticated):
        tokens_refresh(pair["refresh"], arrived_at=began + timedelta(milliseconds=150))
    assert TokenFamily.objects.get().is_live
    began = now()
    assert tokens_refresh(winner["refresh"], arrived_at=began - timedelta(seconds=5))
    assert now() - began < timedelta(milliseconds=150), "one that waited elsewhere does not wait again"


@pytest.mark.django_db(transaction=True)
def test_of_20_clients_that_refresh_at_once_one_wins_and_its_pair_works(live_asgi, alice):
    pair = tokens_issue(user=alice)
    answers = asyncio.run(sent_at_once(live_asgi, pair["refresh"], 20))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    winner = next(answer for answer in answers if answer.status_code == 200).json()
    with httpx.Client(base_url=live_asgi, timeout=10) as client:
        bearer = {"Authorization": f"Bearer {winner['access']}"}
        assert client.get(ME, headers=bearer).status_code == 200
        fresh = client.post("/api/v1/auth/refresh", json={"refresh": winner["refresh"]})
        assert fresh.status_code == 200
        assert client.post("/api/v1/auth/refresh", json={"refresh": pair["refresh"]}).status_code == 401
        assert client.get(ME, headers=bearer).status_code == 401, "an old one came back later"


# --- Keys ---------------------------------------------------------------------------------------------------------
def test_tokens_of_an_older_key_are_good_until_they_expire_and_new_ones_have_the_new_key(client, pair, settings):
    old, new = settings.JWT_SECRET, "n" * 64
    settings.JWT_SECRET = new
    assert status_with(client, pair["access"]) == 401, "the key is not known any more"
    settings.JWT_SECRET_FALLBACKS = ["m" * 64, old]
    assert status_with(client, pair["access"]) == 200
    fresh = refresh(client, pair["refresh"]).json()
    for kind in ("access", "refresh"):
        assert jwt.decode(fresh[kind], new, ["HS256"], audience="steward")["iss"] == "steward"
    settings.JWT_SECRET_FALLBACKS = []
    assert status_with(client, pair["access"]) == 401
    assert status_with(client, fresh["access"]) == 200


def test_an_expired_token_of_an_older_key_is_refused(client, claims, sign, settings):
    settings.JWT_SECRET_FALLBACKS = ["m" * 64]
    assert status_with(client, sign(claims, key="m" * 64)) == 200
    assert status_with(client, sign(claims | {"exp": int(time.time()) - 1}, key="m" * 64)) == 401


# --- Housekeeping -------------------------------------------------------------------------------------------------
def test_what_expired_over_a_month_ago_is_forgotten(alice):
    kept, forgotten = tokens_issue(user=alice), tokens_issue(user=alice)
    family_id = RefreshToken(forgotten["refresh"])[families.FAMILY_CLAIM]
    TokenFamily.objects.filter(pk=family_id).update(expires_at=timezone.now() - timedelta(days=31))
    families.families_forget()
    assert TokenFamily.objects.get().pk == uuid.UUID(RefreshToken(kept["refresh"])[families.FAMILY_CLAIM])


def test_the_chores_are_registered():
    from platform_site.lib.chores import chores

    daily = {"accounts.families_forget", "accounts.devices_forget", "accounts.sessions_forget"}
    assert {name for name in daily if chores[name].every <= 86_400} == daily
