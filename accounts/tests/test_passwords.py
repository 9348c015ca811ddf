"""Passwords: forgotten, set anew through a link, and changed."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, OidcIdentity, OutgoingMail, Session, TokenFamily, User
from accounts.services.families import tokens_issue
from accounts.services.passwords import password_forgotten, reset_token
from accounts.services.tokens import token_create
from accounts.services.users import user_disable
from conftest import PASSWORD

NEW = "another horse battery staple"


def ask(email: str):
    body = json.dumps({"email": email})
    return Client().post("/api/v1/auth/password/forgotten", body, content_type="application/json")


def reset(token: str, password: str = NEW):
    body = json.dumps({"token": token, "password": password})
    return Client().post("/api/v1/auth/password/reset", body, content_type="application/json")


def signed_in(user: User, password: str = PASSWORD) -> Client:
    client = Client()
    assert client.post("/sign-in", {"email": user.email, "password": password}).status_code == 302
    return client


def can_sign_in(user: User, password: str) -> bool:
    body = json.dumps({"email": user.email, "password": password})
    return Client().post("/api/v1/auth/login", body, content_type="application/json").status_code == 200


# --- Asking for a link --------------------------------------------------------------------------------------------
def test_known_and_unknown_addresses_are_answered_alike(alice):
    known, unknown = ask(alice.email), ask("nobody@acme.example")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert known.status_code == 202
    assert [message.recipient for message in OutgoingMail.objects.all()] == [alice.email]
    pages = [Client().post("/password/forgotten", {"email": email}) for email in (alice.email, "nobody@acme.example")]
    assert [page.status_code for page in pages] == [200, 200]
    shown = [re.findall("(?s)<main.*</main>", page.content.decode())[0] for page in pages]
    assert shown[0].replace(alice.email, "nobody@acme.example") == shown[1]
    assert "If there is an account" in shown[0]


def test_both_take_the_same_work(alice):
    """The message for an unknown address is written too, and taken back."""
    password_forgotten(email=alice.email)
    with CaptureQueriesContext(connection) as known:
        password_forgotten(email=alice.email)
    with CaptureQueriesContext(connection) as unknown:
        password_forgotten(email="nobody@acme.example")
    assert statements(known) == statements(unknown)
    assert OutgoingMail.objects.count() == 2


def statements(asked: CaptureQueriesContext) -> list[str]:
    """What the database was asked to do, but for beginning and ending transactions."""
    words = [query["sql"].split()[0] for query in asked.captured_queries]
    return [word for word in words if word in ("SELECT", "INSERT", "UPDATE", "DELETE")]


def test_disabled_accounts_get_nothing(alice, administrator, letters):
    user_disable(user=alice, actor=administrator)
    assert ask(alice.email).status_code == 202
    assert letters(alice.email) == []


def test_a_mailbox_is_not_filled(alice, letters, settings):
    settings.THROTTLE_RATES = {**settings.THROTTLE_RATES, "auth": "9999/m", "writes": "9999/m"}
    assert {ask(alice.email).status_code for _ in range(9)} == {202}
    assert len(letters(alice.email)) == 5
    assert {ask(f"other{number}@acme.example").status_code for number in range(11)} == {202}
    assert ask("last@acme.example").status_code == 429


def test_people_of_an_identity_provider_are_told_where_they_sign_in(acme, letters):
    user = User.objects.create_user("olga@acme.example", None)
    OidcIdentity.objects.create(user=user, issuer="https://id.example", subject="1")
    ask(user.email)
    letter = letters(user.email)[0]
    assert "you sign in with your organisation" in letter.text
    assert "/password/reset/" not in letter.text
    assert reset(reset_token(user)).status_code == 400, "no link could have helped them"


def test_people_who_were_given_an_account_set_their_first_password(db, letters):
    user = User.objects.create_user("first@acme.example", None)
    ask(user.email)
    token = letters(user.email)[0].path("/password/reset/").rpartition("/")[2]
    assert reset(token).status_code == 204
    assert can_sign_in(user, NEW)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "alice",
        "a@b@c.example",
        "alice@acme.example\r\nBcc: eve@evil.example",
        "nul\0@acme.example",
        "x" * 10_000 + "@a.example",
        "аlice@acme.example",  # noqa: RUF001 - a Cyrillic a
    ],
)
def test_what_is_no_address_is_refused(email, db):
    assert ask(email).status_code == 400
    assert Client().post("/password/forgotten", {"email": email}).status_code == 400
    assert not OutgoingMail.objects.exists()


# --- The link -----------------------------------------------------------------------------------------------------
@pytest.fixture
def link(alice, letters) -> str:
    """The path that alice was sent."""
    ask(alice.email)
    return letters(alice.email)[0].path("/password/reset/")


@pytest.fixture
def token(link) -> str:
    return link.rpartition("/")[2]


def test_the_link_sets_a_password_on_a_page_without_the_token(alice, link, token):
    client = Client()
    moved = client.get(link)
    assert (moved.status_code, moved.headers["Location"]) == (302, "/password/reset/set")
    page = client.get("/password/reset/set")
    assert page.status_code == 200
    assert token not in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    done = client.post("/password/reset/set", {"password": NEW}, follow=True)
    assert "Your new password is set" in done.content.decode()
    assert can_sign_in(alice, NEW)
    assert not can_sign_in(alice, PASSWORD)
    assert client.get("/account").status_code == 302, "the link signs nobody in"


def test_the_link_works_once(alice, link, token):
    assert reset(token).status_code == 204
    assert reset(token, "a third horse battery staple").status_code == 400
    assert Client().get(link).status_code == 400
    assert can_sign_in(alice, NEW)


def test_the_page_that_was_open_does_not_work_twice(alice, link):
    client, other = Client(), Client()
    client.get(link)
    other.get(link)
    assert client.post("/password/reset/set", {"password": NEW}).status_code == 302
    late = other.post("/password/reset/set", {"password": "a third horse battery staple"})
    assert late.status_code == 400
    assert "not valid any more" in late.content.decode()
    assert can_sign_in(alice, NEW)


@pytest.mark.django_db(transaction=True)
def test_of_many_uses_of_a_link_at_the_same_time_one_works(alice, token):
    words = [f"{number} horse battery staples" for number in range(6)]

    def use(password: str) -> int:
        try:
            return reset(token, password).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(words)) as pool:
        answers = list(pool.map(use, words))
    assert sorted(answers) == [204, 400, 400, 400, 400, 400]
    assert can_sign_in(alice, words[answers.index(204)])


def test_the_link_ends_after_an_hour(alice, token, monkeypatch):
    real = PasswordResetTokenGenerator._now
    monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self: real(self) + timedelta(seconds=3601))
    assert reset(token).status_code == 400


def test_signing_in_voids_the_link(alice, token):
    assert can_sign_in(alice, PASSWORD)
    assert reset(token).status_code == 400


def test_another_address_or_a_disabled_account_voids_the_link(alice, token, administrator):
    User.objects.filter(pk=alice.pk).update(email="alice2@acme.example")
    assert reset(token).status_code == 400
    User.objects.filter(pk=alice.pk).update(email=alice.email)
    user_disable(user=alice, actor=administrator)
    assert reset(token).status_code == 400


def test_the_token_of_one_opens_nobody_elses(alice, bob, token):
    proof = token.partition("-")[2]
    assert reset(f"{bob.pk.hex}-{proof}").status_code == 400
    assert can_sign_in(bob, PASSWORD)


@pytest.mark.parametrize(
    "token", ["x", "-", "set", "0189" + "0" * 28 + "-abc-def", "0" * 32 + "-", "a" * 5000, "é-é-é", "..%2f"]
)
def test_wrong_tokens_are_refused_on_page_and_api(token, db):
    page = Client().get(f"/password/reset/{token}")
    assert page.status_code == 400
    assert "not valid any more" in page.content.decode()
    assert reset(token).status_code == 400
    assert not Session.objects.exists(), "nothing is kept for a token that opens nothing"


def test_a_weak_password_does_not_use_up_the_link(alice, link, token):
    answer = reset(token, "short")
    assert answer.status_code == 400
    assert "too short" in answer.json()["errors"]["password"][0]
    client = Client()
    client.get(link)
    page = client.post("/password/reset/set", {"password": "alice@acme.example"})
    assert page.status_code == 400
    assert "too similar" in page.content.decode()
    assert client.post("/password/reset/set", {"password": NEW}).status_code == 302


def test_a_new_password_ends_every_session_and_api_sign_in(alice, alice_api, bob_api, letters):
    browser = signed_in(alice)
    tokens_issue(user=alice)
    _, raw = token_create(user=alice, name="Backup", scopes=["read"], expires_at=None, organisation_id=None)
    ask(alice.email)
    token = letters(alice.email)[-1].path("/password/reset/").rpartition("/")[2]
    assert reset(token).status_code == 204
    assert browser.get("/account").status_code == 302
    assert alice_api.get("/api/v1/users/me").status_code == 401
    assert not TokenFamily.objects.filter(user=alice, revoked_at=None).exists()
    assert not Session.objects.filter(user=alice).exists()
    assert bob_api.get("/api/v1/users/me").status_code == 200
    # Programs go on; the message says so.
    assert Client().get("/api/v1/users/me", headers={"Authorization": f"Bearer {raw}"}).status_code == 200
    notice = letters(alice.email)[-1]
    assert notice.subject == "Your password was changed"
    assert "/account/tokens" in notice.text


def test_who_is_signed_in_while_following_the_link_is_signed_out_cleanly(alice, letters):
    client = signed_in(alice)
    ask(alice.email)
    client.get(letters(alice.email)[0].path("/password/reset/"))
    answer = client.post("/password/reset/set", {"password": NEW})
    assert answer.status_code == 302
    assert client.get("/account").status_code == 302


def test_the_link_confirms_the_address_and_passes_by_no_second_factor(alice, phone, letters):
    ask(alice.email)
    assert reset(letters(alice.email)[-1].path("/password/reset/").rpartition("/")[2]).status_code == 204
    alice.refresh_from_db()
    assert alice.email_verified_at is not None
    client = Client()
    asked = client.post("/sign-in", {"email": alice.email, "password": NEW})
    assert asked.headers["Location"] == "/sign-in/second-factor"
    assert client.get("/account").status_code == 302


def test_the_trail_tells_of_it_without_secrets(alice, token):
    reset(token)
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"account.forget_password", "account.reset_password", "account.sign_out_everywhere"} <= actions
    written = str(list(AuditEntry.objects.values()))
    assert token not in written
    assert NEW not in written


def test_the_message_is_kept_encrypted_and_forgotten_once_sent(alice, token):
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM accounts_outgoingmail")
        assert all(token not in (row[0] or "") for row in cursor.fetchall())
    assert OutgoingMail.objects.get().body == ""


# --- Changing it --------------------------------------------------------------------------------------------------
def change(client: Client, current: str = PASSWORD, new: str = NEW):
    return client.post("/account/password", {"current_password": current, "new_password": new})


def test_changing_it_ends_the_other_sessions_and_keeps_ones_own(alice, alice_api, letters):
    here, elsewhere = signed_in(alice), signed_in(alice)
    key = here.cookies[django_settings.SESSION_COOKIE_NAME].value
    assert change(here).status_code == 302
    assert here.get("/account").status_code == 200
    assert here.cookies[django_settings.SESSION_COOKIE_NAME].value != key, "a copied cookie ends"
    assert elsewhere.get("/account").status_code == 302
    assert alice_api.get("/api/v1/users/me").status_code == 401
    assert can_sign_in(alice, NEW)
    assert letters(alice.email)[0].subject == "Your password was changed"


def test_changing_it_over_the_api_keeps_the_token_that_asked(alice, alice_api):
    browser = signed_in(alice)
    form = {"current_password": PASSWORD, "new_password": NEW}
    assert alice_api.post("/api/v1/users/me/password", form).status_code == 204
    assert alice_api.get("/api/v1/users/me").status_code == 200
    assert browser.get("/account").status_code == 302


def test_changing_it_over_the_api_with_a_browsers_session_keeps_that(alice):
    browser, other = signed_in(alice), signed_in(alice)
    body = json.dumps({"current_password": PASSWORD, "new_password": NEW})
    answer = browser.post("/api/v1/users/me/password", body, content_type="application/json")
    assert answer.status_code == 204
    assert browser.get("/account").status_code == 200
    assert other.get("/account").status_code == 302


def test_the_current_password_is_needed_and_guessed_no_oftener_than_at_sign_in(alice, alice_pages):
    for _ in range(10):
        answer = change(alice_pages, current="wrong")
        assert answer.status_code == 400
        assert "This is not your password." in answer.content.decode()
    assert change(alice_pages).status_code == 429
    assert not can_sign_in(alice, PASSWORD), "from this network"
    elsewhere = Client(REMOTE_ADDR="198.51.100.9")
    assert elsewhere.post("/sign-in", {"email": alice.email, "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    "new", ["short", "alice@acme.example", "73910473910", PASSWORD, "", "nul\0nul\0nul\0", "x" * 201]
)
def test_bad_new_passwords_are_refused(new, alice, alice_pages, alice_api):
    assert change(alice_pages, new=new).status_code == 400
    form = {"current_password": PASSWORD, "new_password": new}
    assert alice_api.post("/api/v1/users/me/password", form).status_code == 400
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_personal_access_token_changes_no_password(alice):
    _, raw = token_create(user=alice, name="Backup", scopes=["read", "write"], expires_at=None, organisation_id=None)
    body = json.dumps({"current_password": PASSWORD, "new_password": NEW})
    answer = Client().post(
        "/api/v1/users/me/password", body, content_type="application/json", headers={"Authorization": f"Bearer {raw}"}
    )
    assert answer.status_code == 403


def test_an_account_without_a_password_has_none_to_change(db):
    user = User.objects.create_user("olga@acme.example", None)
    client = Client()
    client.force_login(user)
    assert 'name="current_password"' not in client.get("/account/security").content.decode()
    assert change(client).status_code == 403
