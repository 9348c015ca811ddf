"""Guessing passwords: how often, from where, and what the answers and their times tell."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.services.users import user_disable
from conftest import PASSWORD

HOME, OFFICE = "192.0.2.7", "198.51.100.9"
ARGON2 = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]


@pytest.fixture(autouse=True)
def no_other_limits(settings):
    """Only the lockout counts here."""
    settings.THROTTLE_RATES = {**settings.THROTTLE_RATES, "auth": "9999/m", "writes": "9999/m"}


def sign_in(email: str, password: str, address: str = HOME):
    """A sign-in over the API, from an address."""
    body = json.dumps({"email": email, "password": password})
    return Client(REMOTE_ADDR=address).post("/api/v1/auth/login", body, content_type="application/json")


def told(answer) -> tuple[int, str, str]:
    body = answer.json()
    return answer.status_code, body["error"], body["detail"]


def test_after_ten_failures_a_network_waits_and_is_told_how_long(alice):
    assert {sign_in(alice.email, "wrong").status_code for _ in range(10)} == {401}
    refused = sign_in(alice.email, "wrong")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 15 * 60
    assert "minute" in refused.json()["detail"]


def test_a_locked_network_is_refused_before_the_password_is_looked_at(alice):
    for _ in range(10):
        sign_in(alice.email, "wrong")
    assert told(sign_in(alice.email, PASSWORD)) == told(sign_in(alice.email, "wrong"))
    assert sign_in(alice.email.upper(), PASSWORD).status_code == 429, "however the address is written"


def test_guessing_elsewhere_does_not_keep_the_owner_out(alice):
    for _ in range(12):
        sign_in(alice.email, "wrong", address=OFFICE)
    assert sign_in(alice.email, PASSWORD, address=HOME).status_code == 200
    assert sign_in(alice.email, PASSWORD, address=OFFICE).status_code == 429


def test_one_locked_account_leaves_the_others_of_the_network_alone(alice, bob):
    for _ in range(12):
        sign_in(alice.email, "wrong")
    assert sign_in(bob.email, PASSWORD).status_code == 200


def test_a_whole_ipv6_site_counts_as_one_network(alice):
    for number in range(10):
        sign_in(alice.email, "wrong", address=f"2001:db8:1:2::{number + 1}")
    assert sign_in(alice.email, PASSWORD, address="2001:db8:1:2:ffff::9").status_code == 429
    assert sign_in(alice.email, PASSWORD, address="2001:db8:1:3::1").status_code == 200
    for _ in range(10):
        sign_in(alice.email, "wrong", address="::ffff:192.0.2.7")
    assert sign_in(alice.email, PASSWORD, address="192.0.2.7").status_code == 429, "the same IPv4 address"


def test_one_password_tried_on_many_accounts_is_stopped_per_network(alice):
    for number in range(60):
        assert sign_in(f"somebody{number}@acme.example", "summer2026").status_code == 401
    assert sign_in("next@acme.example", "summer2026").status_code == 429
    assert sign_in(alice.email, PASSWORD).status_code == 429
    assert sign_in(alice.email, PASSWORD, address=OFFICE).status_code == 200


def test_a_success_in_between_gives_no_fresh_attempts(alice):
    for _ in range(9):
        sign_in(alice.email, "wrong")
    assert sign_in(alice.email, PASSWORD).status_code == 200
    assert sign_in(alice.email, "wrong").status_code == 401
    assert sign_in(alice.email, "wrong").status_code == 429


def test_unknown_addresses_are_limited_and_answered_alike(alice):
    known = [told(sign_in(alice.email, "wrong", address=HOME)) for _ in range(11)]
    unknown = [told(sign_in("nobody@acme.example", "wrong", address=OFFICE)) for _ in range(11)]
    assert [answer[0] for answer in known] == [401] * 10 + [429]
    assert known[:10] == unknown[:10]
    assert unknown[10][:2] == known[10][:2]


def test_of_many_guesses_at_once_ten_are_looked_at(alice, monkeypatch):
    """A right password that was tried beside wrong ones is refused once they used up what was left."""
    from accounts.services import accounts

    class Slow(accounts.ModelBackend):
        def authenticate(self, request, **kwargs):
            for _ in range(10):
                accounts.failure_note(alice.email)  # what happened meanwhile, in other threads
            return super().authenticate(request, **kwargs)

    monkeypatch.setattr(accounts, "ModelBackend", Slow)
    assert sign_in(alice.email, PASSWORD).status_code == 429


@pytest.mark.django_db(transaction=True)
def test_guessing_in_parallel_gives_no_more_guesses(alice):
    def guess(number: int) -> int:
        try:
            return sign_in(alice.email, f"wrong {number}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(30)))
    assert answers.count(401) == 10
    assert answers.count(429) == 20


def test_a_disabled_account_is_answered_like_a_wrong_password(alice, administrator):
    wrong = told(sign_in(alice.email, "wrong"))
    user_disable(user=alice, actor=administrator)
    assert told(sign_in(alice.email, PASSWORD)) == wrong


def test_the_page_says_when_to_come_back(alice):
    client = Client()
    form = {"email": alice.email, "password": "wrong"}
    for _ in range(10):
        assert client.post("/sign-in", form).status_code == 400
    refused = client.post("/sign-in", form)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 1
    assert refused.headers["Content-Type"].startswith("text/html")
    assert "Too many sign-ins failed" in refused.content.decode()


def test_page_and_api_count_together(alice):
    for _ in range(5):
        Client(REMOTE_ADDR=HOME).post("/sign-in", {"email": alice.email, "password": "wrong"})
        sign_in(alice.email, "wrong")
    assert sign_in(alice.email, PASSWORD).status_code == 429


def test_refusals_are_in_the_audit_trail(alice):
    for _ in range(11):
        sign_in(alice.email, "wrong")
    entries = list(AuditEntry.objects.filter(action="account.sign_in_refused").order_by("at"))
    assert len(entries) == 11
    assert entries[0].changes["email"] == ["", alice.email]
    assert [entry.changes["reason"][1] for entry in (entries[0], entries[10])] == [
        "Not authenticated",
        "Too many requests",
    ]
    assert entries[0].address == HOME
    assert "wrong" not in json.dumps([entry.changes for entry in entries])


# --- Time ---------------------------------------------------------------------------------------------------------
class Hashings:
    """How often Argon2 worked."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def hashings(monkeypatch, settings) -> Hashings:
    settings.PASSWORD_HASHERS = ARGON2
    counted, encode, verify = Hashings(), Argon2PasswordHasher.encode, Argon2PasswordHasher.verify

    def counted_encode(self, *args):
        counted.count += 1
        return encode(self, *args)

    def counted_verify(self, *args):
        counted.count += 1
        return verify(self, *args)

    monkeypatch.setattr(Argon2PasswordHasher, "encode", counted_encode)
    monkeypatch.setattr(Argon2PasswordHasher, "verify", counted_verify)
    return counted


@pytest.fixture
def people(db, hashings):
    """Who tries to sign in, with passwords kept as in production."""
    User.objects.create_user("right@acme.example", PASSWORD)
    User.objects.create_user("disabled@acme.example", PASSWORD, is_active=False)
    User.objects.create_user("organisation@acme.example", None)


@pytest.mark.parametrize(
    ("email", "password", "status"),
    [
        ("right@acme.example", PASSWORD, 200),
        ("right@acme.example", "wrong", 401),
        ("disabled@acme.example", PASSWORD, 401),
        ("disabled@acme.example", "wrong", 401),
        ("organisation@acme.example", PASSWORD, 401),
        ("unknown@acme.example", PASSWORD, 401),
    ],
)
def test_every_sign_in_hashes_exactly_once(email, password, status, people, hashings):
    hashings.count = 0
    answer = sign_in(email, password)
    assert answer.status_code == status
    assert hashings.count == 1
    if status == 401:
        assert answer.json()["detail"] == "E-mail address or password are not right."


def test_a_locked_network_costs_no_hashing(people, hashings):
    for _ in range(10):
        sign_in("right@acme.example", "wrong")
    hashings.count, began = 0, time.perf_counter()
    assert sign_in("right@acme.example", PASSWORD).status_code == 429
    assert hashings.count == 0
    assert time.perf_counter() - began < 1


# --- Bad inputs ---------------------------------------------------------------------------------------------------
BAD_ADDRESSES = [
    "alice@acme.example\0",
    "alice\0@acme.example",
    "a" * 10_000 + "@acme.example",
    "alice@" + "a" * 10_000,
    "аlice@acme.example",  # noqa: RUF001 - a Cyrillic a
    "alice@acmе.example",  # noqa: RUF001 - a Cyrillic e
    "ALICE@ACME.EXAMPLE\u212a",
    "alice@acme.example\r\nBcc: eve@evil.example",
    "a@b@c.example",
    "alice@acme.example.",
    '"alice"@acme.example',
    "alice@[127.0.0.1]",
    "alice",
    "",
    " ",
]


@pytest.mark.parametrize("email", BAD_ADDRESSES)
def test_what_is_no_address_is_refused_cleanly(email, alice):
    assert sign_in(email, PASSWORD).status_code == 400
    answer = Client().post("/sign-in", {"email": email, "password": PASSWORD})
    assert answer.status_code == 400
    assert "field-error" in answer.content.decode()


@pytest.mark.parametrize("password", ["", "x" * 10_000, "nul\0", "\ud800"])
def test_what_is_no_password_is_refused_cleanly(password, alice):
    assert sign_in(alice.email, password).status_code in (400, 401)


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "{", '{"email": {"$ne": ""}, "password": "x"}',
                                  '{"email": ["a@b.example"], "password": true}'])  # fmt: skip
def test_what_is_no_form_is_refused_cleanly(body, db):
    assert Client().post("/api/v1/auth/login", body, content_type="application/json").status_code == 400


def test_spaces_around_an_address_do_not_matter_and_around_a_password_do(alice):
    assert sign_in(f"  {alice.email} ", PASSWORD).status_code == 200
    assert sign_in(alice.email, f" {PASSWORD} ").status_code == 401
