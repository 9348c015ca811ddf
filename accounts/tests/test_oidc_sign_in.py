"""Signing in through an identity provider: who gets in, as whom, and how the account is connected to it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from accounts.models import AuditEntry, GroupMapping, OidcIdentity, Session, User
from accounts.services.mail import mail_deliver
from accounts.services.users import user_disable
from conftest import PASSWORD

CALLBACK = "/api/v1/auth/oidc/callback"


def sign_in(client, peer, start="/sign-in/oidc"):
    """From the button to the last answer of the callback."""
    return client.get(peer.approve(client.get(start)["Location"]))


def user_of(client):
    return User.objects.filter(pk=client.session.get("_auth_user_id")).first()


def connect(client, peer, **form):
    """The connect page's form, and back from the provider."""
    page = client.post("/account/oidc/connect", form)
    return client.get(peer.approve(page["Refresh"].removeprefix("0;url="))) if "Refresh" in page else page


# --- Off and on ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/sign-in/oidc", CALLBACK, "/api/v1/auth/oidc/login", "/account/oidc/connect"])
def test_without_a_provider_there_is_nothing(alice_pages, path):
    assert alice_pages.get(path).status_code == 404


def test_only_an_installation_with_a_provider_offers_it(client, db, peer, settings):
    page = client.get("/sign-in?next=/runs").content.decode()
    assert "/sign-in/oidc?next=%2Fruns" in page and "Sign in with Okta" in page
    settings.OIDC_DISCOVERY_URL = ""
    assert b"/sign-in/oidc" not in client.get("/sign-in").content


# --- Signing in ---------------------------------------------------------------------------------------------------
def test_a_stranger_gets_an_account_with_an_organisation_of_their_own(client, peer):
    peer.person |= {"name": "Nora\u202e Novak\n"}
    answer = sign_in(client, peer, "/sign-in/oidc?next=/runs")
    assert (answer.status_code, answer["Location"]) == (302, "/runs")
    nora = user_of(client)
    assert (nora.email, nora.name) == ("nora@example.org", "Nora Novak")
    assert nora.email_verified_at is not None and not nora.has_usable_password()
    assert [(one.role, one.organisation.name) for one in nora.memberships.all()] == [
        ("owner", "Nora Novak's organisation")
    ]
    assert Session.objects.get(user=nora).method == "oidc"
    assert client.get("/runs").status_code == 200


def test_a_known_identity_is_found_by_issuer_and_subject_whatever_its_address(client, peer):
    sign_in(client, peer)
    nora = user_of(client)
    client.logout()
    peer.person["email"] = "renamed@example.org"
    sign_in(client, peer)
    assert user_of(client) == nora
    assert User.objects.get(pk=nora.pk).email == "nora@example.org"
    assert OidcIdentity.objects.get().email == "renamed@example.org"


def test_the_api_begins_the_same_sign_in(client, peer):
    answer = client.get("/api/v1/auth/oidc/login?next=/runs")
    assert answer.status_code == 302
    assert dict(parse_qsl(urlsplit(answer["Location"]).query))["redirect_uri"] == f"http://testserver{CALLBACK}"
    assert client.get(peer.approve(answer["Location"]))["Location"] == "/runs"


def test_the_provider_is_asked_for_a_refresh_token_where_it_offers_one(client, peer, settings):
    scopes = dict(parse_qsl(urlsplit(client.get("/sign-in/oidc")["Location"]).query))["scope"]
    assert scopes == "openid email profile offline_access"
    settings.OIDC_SCOPES = "email groups"
    scopes = dict(parse_qsl(urlsplit(client.get("/sign-in/oidc")["Location"]).query))["scope"]
    assert scopes == "openid email groups"


def test_signing_in_changes_the_session_key_and_leads_only_to_this_site(client, peer):
    start = client.get("/sign-in/oidc?next=https://evil.example/")
    before = client.session.session_key
    assert client.get(peer.approve(start["Location"]))["Location"] == "/"
    assert client.session.session_key != before


def test_no_token_of_the_provider_is_in_the_session_or_readable_in_the_database(client, peer):
    from django.db import connection

    sign_in(client, peer)
    token = OidcIdentity.objects.get().refresh_token
    assert token in peer.refresh_tokens
    assert token not in str(dict(client.session))
    with connection.cursor() as cursor:
        cursor.execute("SELECT refresh_token FROM accounts_oidcidentity")
        assert token not in cursor.fetchone()[0]


def test_a_public_client_shows_no_secret(client, peer, settings, monkeypatch):
    settings.OIDC_CLIENT_SECRET = ""
    monkeypatch.setattr(peer, "_knows_client", lambda authorization: not authorization)
    assert sign_in(client, peer).status_code == 302
    assert user_of(client).email == "nora@example.org"
    assert next(form for path, form in peer.asked if path == "/token")["client_id"] == "steward"


# --- Who is refused -----------------------------------------------------------------------------------------------
def test_an_address_never_opens_an_account(client, peer, alice):
    peer.person |= {"sub": "mallory", "email": "Alice@acme.example", "email_verified": True}
    answer = sign_in(client, peer)
    assert answer.status_code == 403
    assert b"An account with this e-mail address exists" in answer.content
    assert user_of(client) is None and not OidcIdentity.objects.exists()
    refusal = AuditEntry.objects.get(action="identity.refuse")
    assert refusal.changes["subject"] == ["", "mallory"]


def test_a_disabled_user_is_refused(client, peer, administrator):
    sign_in(client, peer)
    user_disable(user=user_of(client), actor=administrator)
    client.logout()
    assert sign_in(client, peer).status_code == 403
    assert user_of(client) is None


@pytest.mark.parametrize(
    ("settings_changed", "claims"),
    [
        ({"OIDC_SIGN_UP": False}, {}),
        ({"OIDC_ALLOWED_DOMAINS": ["acme.example"]}, {}),
        ({"OIDC_ALLOWED_DOMAINS": ["example.org"]}, {"email_verified": False}),
        ({"OIDC_ALLOWED_DOMAINS": ["example.org"]}, {"email": "nora@example.org.evil.example"}),
        ({}, {"email": None}),
        ({}, {"email": "not an address"}),
        ({}, {"email": ["nora@example.org"]}),
    ],
)
def test_strangers_get_no_account_where_they_may_not_have_one(client, peer, settings, settings_changed, claims):
    for name, value in settings_changed.items():
        setattr(settings, name, value)
    peer.person |= claims
    assert sign_in(client, peer).status_code == 403
    assert not User.objects.exists()


def test_people_of_an_allowed_domain_get_in(client, peer, settings):
    settings.OIDC_ALLOWED_DOMAINS = ["Example.org"]
    assert sign_in(client, peer).status_code == 302


def test_an_unconfirmed_address_has_to_be_confirmed_where_this_installation_says_so(client, peer, settings):
    settings.EMAIL_VERIFICATION_REQUIRED = True
    peer.person["email_verified"] = False
    assert sign_in(client, peer).status_code == 403
    assert user_of(client) is None
    peer.person["email_verified"] = True
    assert sign_in(client, peer).status_code == 302


# --- Second factor ------------------------------------------------------------------------------------------------
def test_the_provider_can_vouch_for_the_second_factor(client, peer):
    peer.person["amr"] = ["pwd", "mfa"]
    sign_in(client, peer)
    assert Session.objects.get(user=user_of(client)).second_factor


def test_who_has_an_authenticator_here_is_asked_for_it_unless_the_provider_did(client, peer, alice_pages, phone):
    assert connect(alice_pages, peer).status_code == 302
    answer = sign_in(client, peer)
    assert answer["Location"] == "/sign-in/second-factor" and user_of(client) is None
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert user_of(client).email == "alice@acme.example"
    assert Session.objects.get(session_key=client.session.session_key).method == "oidc"
    client.logout()
    peer.person["amr"] = ["otp"]
    assert sign_in(client, peer)["Location"] == "/"
    assert user_of(client).email == "alice@acme.example"


# --- Connecting ---------------------------------------------------------------------------------------------------
def test_connecting_is_asked_for_with_a_form_and_told_by_mail(alice_pages, alice, peer, mailoutbox):
    assert b"csrfmiddlewaretoken" in alice_pages.get("/account/oidc/connect").content
    answer = connect(alice_pages, peer)
    assert answer["Location"] == "/account/security"
    identity = OidcIdentity.objects.get()
    assert (identity.user, identity.issuer, identity.subject) == (alice, peer.issuer, "sub-1")
    mail_deliver()
    assert "was connected to nora@example.org" in mailoutbox[0].body
    assert AuditEntry.objects.filter(action="identity.connect", actor_id=alice.pk).exists()


def test_a_connected_account_is_signed_in_through_the_provider(client, alice_pages, alice, peer):
    connect(alice_pages, peer)
    sign_in(client, peer)
    assert user_of(client) == alice


def test_an_identity_belongs_to_one_account(alice_pages, bob_pages, bob, peer):
    connect(alice_pages, peer)
    assert connect(bob_pages, peer).status_code == 409
    assert not bob.oidc_identities.exists()


def test_an_old_session_shows_the_password_first(alice_pages, alice, peer, clock):
    clock.forward(11 * 60)
    assert b"current_password" in alice_pages.get("/account/oidc/connect").content
    assert connect(alice_pages, peer, current_password="wrong").status_code == 400
    assert connect(alice_pages, peer).status_code == 400
    assert connect(alice_pages, peer, current_password=PASSWORD).status_code == 302
    assert alice.oidc_identities.count() == 1


def test_whoever_comes_back_signed_out_or_as_somebody_else_connects_nothing(client, alice, bob, peer):
    for change in (client.logout, lambda: client.force_login(bob)):
        client.force_login(alice)
        back = peer.approve(client.post("/account/oidc/connect")["Refresh"].removeprefix("0;url="))
        change()
        assert client.get(back).status_code in (400, 403)
    assert not OidcIdentity.objects.exists()


def test_disconnecting_needs_a_password_and_ends_what_began_there(client, alice_pages, alice, peer):
    connect(alice_pages, peer)
    sign_in(client, peer)
    identity = alice.oidc_identities.get()
    assert alice_pages.post(f"/account/oidc/{identity.pk}/disconnect").status_code == 302
    assert user_of(client) is None and user_of(alice_pages) == alice
    assert not OidcIdentity.objects.exists()


def test_the_only_way_in_is_not_disconnected(client, peer):
    sign_in(client, peer)
    identity = OidcIdentity.objects.get()
    assert client.post(f"/account/oidc/{identity.pk}/disconnect").status_code == 409
    assert OidcIdentity.objects.exists()


def test_nobody_disconnects_what_is_another_persons(client, bob_pages, peer):
    sign_in(client, peer)
    identity = OidcIdentity.objects.get()
    assert bob_pages.post(f"/account/oidc/{identity.pk}/disconnect").status_code == 404


# --- Groups at the first sign-in ----------------------------------------------------------------------------------
def test_groups_decide_where_a_new_person_belongs(client, peer, acme):
    GroupMapping.objects.create(group="engineers", organisation=acme, role="member")
    peer.person["groups"] = ["engineers", "others"]
    sign_in(client, peer)
    assert [(one.organisation, one.role, one.source) for one in user_of(client).memberships.all()] == [
        (acme, "member", "oidc")
    ]


# --- The administration -------------------------------------------------------------------------------------------
def test_the_administration_maps_groups_and_shows_no_token(client, peer, administrator, acme):
    sign_in(client, peer)
    identity = OidcIdentity.objects.get()
    client.logout()
    client.force_login(administrator)
    form = {"group": "engineers", "organisation": str(acme.pk), "role": "member", "platform_role": ""}
    assert client.post("/admin/accounts/groupmapping/add/", form).status_code == 302
    assert AuditEntry.objects.get(action="group_mapping.create").changes["role"] == ["", "member"]
    assert client.post("/admin/accounts/groupmapping/add/", form | {"platform_role": "user"}).status_code == 200
    mapping = GroupMapping.objects.get()
    client.post(f"/admin/accounts/groupmapping/{mapping.pk}/change/", form | {"role": "viewer"})
    assert AuditEntry.objects.get(action="group_mapping.change").changes == {"role": ["member", "viewer"]}
    client.post(f"/admin/accounts/groupmapping/{mapping.pk}/delete/", {"post": "yes"})
    assert AuditEntry.objects.filter(action="group_mapping.delete").exists()
    shown = client.get(f"/admin/accounts/oidcidentity/{identity.pk}/change/").content.decode()
    assert identity.subject in shown and identity.refresh_token not in shown
    assert client.post(f"/admin/accounts/oidcidentity/{identity.pk}/delete/", {"post": "yes"}).status_code == 403
