"""Whether an address is its user's: confirming one, and changing to another."""

from __future__ import annotations

import re

import pytest
from django.core import signing
from django.test import Client

from accounts.models import AuditEntry, OutgoingMail, Session, User
from accounts.services import verification
from accounts.services.passwords import reset_find, reset_token
from accounts.services.verification import verification_url
from conftest import PASSWORD
from platform_site.lib.errors import InvalidRequest

NEW = "alice@new.example"


def path_of(user: User, address: str) -> str:
    return "/" + verification_url(user, address).split("/", 3)[3]


def change(client: Client, email: str = NEW, password: str = PASSWORD):
    return client.post("/account/email", {"email": email, "current_password": password})


# --- Confirming ---------------------------------------------------------------------------------------------------
def test_the_button_sends_a_link_that_confirms_the_address(alice, alice_pages, letters):
    assert "Not confirmed" in alice_pages.get("/account").content.decode()
    alice_pages.post("/account/verification")
    link = letters(alice.email)[0].path("/verify-email/")
    assert alice_pages.post(link).headers["Location"] == "/account"
    alice.refresh_from_db()
    assert alice.email_verified_at is not None
    assert "Not confirmed" not in alice_pages.get("/account").content.decode()
    assert AuditEntry.objects.filter(action="account.verify_email", actor_id=alice.pk).count() == 1


def test_programs_that_follow_links_in_mails_confirm_nothing(alice):
    page = Client().get(path_of(alice, alice.email))
    assert page.status_code == 200
    assert "Confirm the address" in page.content.decode()
    alice.refresh_from_db()
    assert alice.email_verified_at is None


def test_a_link_works_in_another_browser_and_signs_nobody_in(alice):
    client = Client()
    answer = client.post(path_of(alice, alice.email))
    assert answer.headers["Location"] == "/sign-in"
    assert client.get("/account").status_code == 302


def test_a_link_used_again_changes_nothing(alice):
    link = path_of(alice, alice.email)
    Client().post(link)
    alice.refresh_from_db()
    first = alice.email_verified_at
    assert "is confirmed" in Client().get(link).content.decode()
    assert Client().post(link).status_code == 302
    alice.refresh_from_db()
    assert alice.email_verified_at == first
    assert AuditEntry.objects.filter(action="account.verify_email").count() == 1


def test_a_link_ends_after_three_days(alice, monkeypatch):
    link, real = path_of(alice, alice.email), signing.time.time
    monkeypatch.setattr(signing.time, "time", lambda: real() + 3 * 86_400 + 1)
    assert Client().get(link).status_code == 400
    refused = Client().post(link)
    assert refused.status_code == 400
    assert "not valid any more" in refused.content.decode()


@pytest.mark.parametrize("token", ["x", "a:b:c", "%00", "W10:1:1", "x" * 5000])
def test_forged_links_are_refused(token, db):
    assert Client().get(f"/verify-email/{token}").status_code == 400
    assert Client().post(f"/verify-email/{token}").status_code == 400


def test_a_link_for_one_confirms_nobody_elses_address(alice, bob):
    assert Client().post(path_of(alice, bob.email)).status_code == 400
    forged = signing.dumps([bob.pk.hex, bob.email], salt="another purpose")
    assert Client().post(f"/verify-email/{forged}").status_code == 400
    bob.refresh_from_db()
    assert bob.email_verified_at is None


def test_a_disabled_account_confirms_nothing(alice):
    link = path_of(alice, alice.email)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert Client().post(link).status_code == 400


def test_links_are_sent_a_few_times_an_hour(alice, alice_pages, letters):
    for _ in range(7):
        last = alice_pages.post("/account/verification", follow=True)
    assert "Several links were sent" in last.content.decode()
    assert len(letters(alice.email)) == 5


def test_a_confirmed_address_needs_no_link(alice, alice_pages):
    Client().post(path_of(alice, alice.email))
    assert "confirmed already" in alice_pages.post("/account/verification", follow=True).content.decode()
    assert not OutgoingMail.objects.exists()


# --- Changing -----------------------------------------------------------------------------------------------------
def test_a_new_address_counts_once_its_owner_followed_the_link(alice, alice_pages, letters):
    assert change(alice_pages).status_code == 302
    alice.refresh_from_db()
    assert (alice.email, alice.pending_email) == ("alice@acme.example", NEW)
    assert NEW in alice_pages.get("/account").content.decode()
    assert "is to be changed" in letters("alice@acme.example")[0].subject
    Client().post(letters(NEW)[0].path("/verify-email/"))
    alice.refresh_from_db()
    assert (alice.email, alice.pending_email) == (NEW, "")
    assert alice.email_verified_at is not None
    assert letters("alice@acme.example")[-1].subject == "Your e-mail address was changed"
    assert Client().post("/sign-in", {"email": NEW, "password": PASSWORD}).status_code == 302
    assert Client().post("/sign-in", {"email": "alice@acme.example", "password": PASSWORD}).status_code == 400


def test_the_password_is_needed(alice, alice_pages):
    for wrong in ("wrong", ""):
        answer = change(alice_pages, password=wrong)
        assert answer.status_code == 400
        assert "field-error" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.pending_email == ""
    assert not OutgoingMail.objects.exists()


def test_a_taken_address_is_answered_alike_and_its_owner_is_told(alice, bob, alice_pages, letters):
    free = change(alice_pages, NEW, PASSWORD)
    shown = alice_pages.get("/account").content.decode()
    taken = change(alice_pages, bob.email)
    shown_taken = alice_pages.get("/account").content.decode()
    assert (free.status_code, free.headers["Location"]) == (taken.status_code, taken.headers["Location"])
    assert main_of(shown).replace(NEW, bob.email) == main_of(shown_taken)
    assert "/verify-email/" not in letters(bob.email)[0].text
    assert "was changed" in letters(bob.email)[0].text
    assert len(letters(alice.email)) == 2


def main_of(page: str) -> str:
    """The content of a page, without what differs in every answer."""
    content = re.findall("(?s)<main.*</main>", page)[0]
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", content)


def test_of_two_who_want_an_address_the_first_to_prove_it_gets_it(alice, bob, alice_pages, bob_pages, letters):
    change(alice_pages)
    change(bob_pages)
    first, second = (letter.path("/verify-email/") for letter in letters(NEW))
    assert Client().post(first).status_code == 302
    late = Client().post(second)
    assert late.status_code == 400
    assert "Another account has this address" in late.content.decode()
    assert User.objects.get(email=NEW) == alice
    bob.refresh_from_db()
    assert bob.email == "bob@globex.example"


def test_asking_for_another_address_voids_the_first_link(alice, alice_pages, letters):
    change(alice_pages)
    change(alice_pages, "alice@third.example")
    assert Client().post(letters(NEW)[0].path("/verify-email/")).status_code == 400
    assert Client().post(letters("alice@third.example")[0].path("/verify-email/")).status_code == 302


def test_links_of_the_old_address_end_with_it(alice, alice_pages, letters):
    old_link, reset = path_of(alice, alice.email), reset_token(alice)
    change(alice_pages)
    Client().post(letters(NEW)[0].path("/verify-email/"))
    assert Client().post(old_link).status_code == 400
    with pytest.raises(InvalidRequest):
        reset_find(reset)


@pytest.mark.parametrize(
    "email",
    ["alice@acme.example", "ALICE@acme.example", "no address", "a@b@c.example", "new@x.example\nBcc: e@evil.example",
     "аlice@new.example", "x" * 300 + "@new.example", ""],  # noqa: RUF001 - a Cyrillic a
)  # fmt: skip
def test_what_cannot_be_an_address_is_refused(email, alice, alice_pages):
    assert change(alice_pages, email).status_code == 400
    alice.refresh_from_db()
    assert alice.pending_email == ""
    assert not OutgoingMail.objects.exists()


def test_addresses_of_other_domains_are_refused_where_domains_are_named(alice, alice_pages, settings):
    settings.SIGN_UP_DOMAINS = ["acme.example"]
    assert change(alice_pages).status_code == 400
    assert change(alice_pages, "alice2@acme.example").status_code == 302


def test_mailboxes_of_strangers_are_not_filled(alice, alice_pages, letters):
    answers = [change(alice_pages, f"stranger{number}@new.example").status_code for number in range(6)]
    assert answers == [302] * 5 + [429]


def test_without_a_password_a_fresh_sign_in_is_needed(db, letters):
    user = User.objects.create_user("olga@acme.example", None)
    client = Client()
    client.force_login(user)
    assert change(client, NEW, "").status_code == 302
    began = Session.objects.get(user=user)
    Session.objects.filter(pk=began.pk).update(created_at=began.created_at - verification.timedelta(minutes=11))
    answer = change(client, "other@new.example", "")
    assert answer.status_code == 400
    assert "Sign out and in again first" in answer.content.decode()


def test_the_api_changes_no_address(alice, alice_api):
    assert alice_api.patch("/api/v1/users/me", {"email": NEW, "pending_email": NEW}).status_code == 200
    alice.refresh_from_db()
    assert (alice.email, alice.pending_email) == ("alice@acme.example", "")
