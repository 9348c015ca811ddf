"""Signing up: open, closed, for some domains, with addresses to confirm, and by invitation."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from accounts.models import Membership, Organisation, Role, User
from accounts.services.invitations import invitation_create
from conftest import PASSWORD

FORM = {"email": "new@home.example", "password": PASSWORD, "name": "New", "organization": "Home"}
PAGE = {"email": "new@home.example", "password": PASSWORD, "name": "New", "organisation_name": "Home"}


def sign_up(**changes):
    """A sign-up over the API."""
    return Client().post("/api/v1/auth/signup", json.dumps({**FORM, **changes}), content_type="application/json")


def sign_in(email="new@home.example", password=PASSWORD):
    body = json.dumps({"email": email, "password": password})
    return Client().post("/api/v1/auth/login", body, content_type="application/json")


# --- Open ---------------------------------------------------------------------------------------------------------
def test_a_new_account_owns_an_organisation_and_is_signed_in(db):
    answer = sign_up()
    assert answer.status_code == 201
    assert answer.json()["organization"]["name"] == "Home"
    user = User.objects.get(email="new@home.example")
    assert user.memberships.get().role == Role.OWNER
    assert user.last_login is not None
    assert Client().get("/api/v1/users/me", headers={"Authorization": f"Bearer {answer.json()['access']}"}).json()[
        "email_verified_at"
    ] is None  # fmt: skip


def test_the_page_signs_up_and_in(db):
    client = Client()
    answer = client.post("/sign-up", PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert "new@home.example" in client.get("/account").content.decode()
    assert client.get("/sign-up").status_code == 302, "who is signed in needs no other account"


def test_an_organisation_without_a_name_gets_one(db):
    sign_up(organization="")
    assert Organisation.objects.get().name == "New's organisation"


def test_a_taken_address_is_told_however_it_is_written(db):
    sign_up()
    again = sign_up(email="NEW@Home.Example")
    assert again.status_code == 400
    assert "email" in again.json()["errors"]
    page = Client().post("/sign-up", PAGE)
    assert page.status_code == 400
    assert "exists" in page.content.decode()
    assert (User.objects.count(), Organisation.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("password", "part"),
    [
        ("short", "too short"),
        ("password123", "too common"),
        ("73910473910", "entirely numeric"),
        ("new@home.example", "too similar"),
        ("Bartholomew1", "too similar"),
    ],
)
def test_weak_passwords_are_refused(password, part, db):
    answer = sign_up(password=password, name="Bartholomew")
    assert answer.status_code == 400
    assert part in answer.json()["errors"]["password"][0]
    page = Client().post("/sign-up", {**PAGE, "password": password, "name": "Bartholomew"})
    assert page.status_code == 400
    assert part in page.content.decode()
    assert page.content.decode().count(f'value="{password}"') == (password == PAGE["email"]), "never sent back"
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email",
    [
        "a@b@c.example",
        "new@home.example.",
        "new.@home.example",
        "new@home.example\r\nBcc: eve@evil.example",
        "new@home.example\nBcc: eve@evil.example",
        "nеw@home.example",  # noqa: RUF001 - a Cyrillic e
        "new@hоme.example",  # noqa: RUF001 - a Cyrillic o
        "new@home。example",
        '"new eve"@home.example',
        "new@[192.0.2.1]",
        "new@home",
        "new\0@home.example",
        "x" * 300 + "@home.example",
        "New <new@home.example>",
        "new@home.example, eve@evil.example",
        "",
    ],
)
def test_tricks_with_addresses_are_refused(email, db):
    assert sign_up(email=email).status_code == 400
    assert Client().post("/sign-up", {**PAGE, "email": email}).status_code == 400
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["new+steward@home.example", "o'neill@home.example", "new@xn--mller-kva.example"])
def test_unusual_addresses_work(email, db):
    assert sign_up(email=email).status_code == 201
    assert sign_in(email).status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "two\nlines", "a\0b", "evil\u202eeman"])
def test_names_are_one_line_of_text(name, db):
    assert sign_up(name=name).status_code == 400
    assert Client().post("/sign-up", {**PAGE, "name": name}).status_code == 400


def test_too_many_sign_ups_from_one_network_wait(db, settings):
    settings.THROTTLE_RATES = {**settings.THROTTLE_RATES, "auth": "9999/m", "writes": "9999/m"}
    for number in range(30):
        assert sign_up(email=f"new{number}@home.example", password="short").status_code == 400
    refused = sign_up(email="last@home.example")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 1


# --- Closed -------------------------------------------------------------------------------------------------------
def test_closed_sign_up_is_refused_and_not_offered(db, settings):
    settings.SIGN_UP_OPEN = False
    assert sign_up().status_code == 403
    assert Client().get("/sign-up").status_code == 403
    assert Client().post("/sign-up", PAGE).status_code == 403
    assert "/sign-up" not in Client().get("/sign-in").content.decode()
    assert not User.objects.exists()
    settings.SIGN_UP_OPEN = True
    assert "/sign-up" in Client().get("/sign-in").content.decode()


# --- Domains and confirmation -------------------------------------------------------------------------------------
@pytest.fixture
def only_home(settings):
    settings.SIGN_UP_DOMAINS = ["Home.example", "office.example"]


@pytest.mark.parametrize(
    "email",
    [
        "new@elsewhere.example",
        "new@home.example.evil.example",
        "new@evilhome.example",
        "new@sub.home.example",
        "new%home.example@evil.example",
        "home.example@evil.example",
    ],
)
def test_other_domains_are_refused(email, db, only_home):
    answer = sign_up(email=email)
    assert answer.status_code == 400
    assert "home.example" in answer.json()["errors"]["email"][0]
    assert Client().post("/sign-up", {**PAGE, "email": email}).status_code == 400
    assert not User.objects.exists()


def test_an_address_of_the_domain_opens_nothing_before_it_is_confirmed(only_home, letters):
    answer = sign_up(email="new@HOME.example")
    assert answer.status_code == 202
    assert set(answer.json()) == {"user", "detail"}
    assert "sent a link to new@home.example" in answer.json()["detail"]
    refused = sign_in()
    assert refused.status_code == 403
    assert "Confirm your e-mail address first" in refused.json()["detail"]
    letter = letters("new@home.example")[0]
    assert Client().post(letter.path("/verify-email/")).status_code == 302
    assert sign_in().status_code == 200


@pytest.fixture
def confirmation(settings):
    settings.EMAIL_VERIFICATION_REQUIRED = True


def test_the_page_says_that_a_link_was_sent_and_signs_nobody_in(db, confirmation):
    client = Client()
    answer = client.post("/sign-up", PAGE, follow=True)
    assert "We sent a link to new@home.example" in answer.content.decode()
    assert client.get("/account").status_code == 302


def test_signing_in_unconfirmed_sends_the_link_again_but_only_with_the_password(confirmation, letters):
    sign_up()
    assert len(letters("new@home.example")) == 1
    assert sign_in(password="wrong").status_code == 401
    assert len(letters("new@home.example")) == 1
    assert "again" in sign_in().json()["detail"]
    assert len(letters("new@home.example")) == 2
    for _ in range(8):
        assert sign_in().status_code == 403
    assert len(letters("new@home.example")) == 5, "and not without end"
    page = Client().post("/sign-in", {"email": "new@home.example", "password": PASSWORD})
    assert page.status_code == 400
    assert "Confirm your e-mail address first" in page.content.decode()


def test_a_taken_address_is_answered_alike_where_links_are_sent(confirmation, letters, alice):
    fresh, taken = sign_up().json(), sign_up(email=alice.email).json()
    assert set(fresh["user"]) == set(taken["user"])
    assert taken["user"]["name"] == "New"
    assert taken["user"]["id"] != str(alice.pk)
    assert taken["detail"] == fresh["detail"].replace("new@home.example", alice.email)
    assert "You have an account there already" in letters(alice.email)[0].text
    alice.refresh_from_db()
    assert alice.name == "Alice"
    assert alice.check_password(PASSWORD)
    for _ in range(6):
        sign_up(email=alice.email)
    assert len(letters(alice.email)) == 3, "nobody's mailbox is filled"


def test_weak_passwords_are_told_before_anything_is_sent(confirmation, letters, alice):
    assert sign_up(email=alice.email, password="short").status_code == 400
    assert sign_up(password="short").status_code == 400
    assert letters() == []


def test_people_from_before_confirm_at_their_next_sign_in(confirmation, letters, alice, administrator):
    assert sign_in(alice.email).status_code == 403
    Client().post(letters(alice.email)[0].path("/verify-email/"))
    assert sign_in(alice.email).status_code == 200
    assert sign_in(administrator.email).status_code == 200, "whoever starts the installation named this address"


# --- By invitation ------------------------------------------------------------------------------------------------
@pytest.fixture
def invitation(acme, alice, letters) -> str:
    """The token of an invitation to acme."""
    invitation_create(organisation=acme, email="new@home.example", role=Role.MEMBER, actor=alice)
    return letters("new@home.example")[0].path("/invitations/").rpartition("/")[2]


def test_an_invitation_opens_a_closed_door_and_makes_no_organisation(invitation, acme, settings):
    settings.SIGN_UP_OPEN, settings.SIGN_UP_DOMAINS = False, ["other.example"]
    answer = sign_up(invitation=invitation)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["organization"]["slug"] == "acme"
    user = User.objects.get(email="new@home.example")
    assert user.email_verified_at is not None
    assert Membership.objects.get(user=user).role == Role.MEMBER
    assert Organisation.objects.count() == 1
    assert sign_in().status_code == 200


def test_the_page_of_an_invitation_names_the_organisation_and_the_address(invitation, acme):
    client = Client()
    shown = client.get(f"/sign-up?invitation={invitation}").content.decode()
    assert "Acme" in shown
    assert 'value="new@home.example"' in shown
    assert client.post("/sign-up", {**PAGE, "invitation": invitation}).status_code == 302
    assert acme.memberships.filter(user__email="new@home.example").exists()


def test_an_invitation_is_for_its_address_alone(invitation):
    answer = sign_up(invitation=invitation, email="eve@evil.example")
    assert answer.status_code == 400
    assert "another address" in answer.json()["errors"]["email"][0]
    assert not User.objects.filter(email="eve@evil.example").exists()
    assert sign_up(invitation=invitation).status_code == 201, "it was not used up"


def test_an_invitation_works_once(invitation):
    assert sign_up(invitation=invitation).status_code == 201
    assert sign_up(invitation=invitation).status_code == 404


@pytest.mark.parametrize("token", ["wrong", "\0" * 3, "x" * 200, "../../admin", "%00"])
def test_wrong_invitations_are_not_found(token, db):
    assert sign_up(invitation=token).status_code in (400, 404)
    assert Client().get("/sign-up", {"invitation": token}).status_code in (400, 404)
    assert not User.objects.exists()


def test_a_weak_password_does_not_use_up_an_invitation(invitation):
    assert sign_up(invitation=invitation, password="short").status_code == 400
    assert sign_up(invitation=invitation).status_code == 201
