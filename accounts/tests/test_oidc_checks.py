"""Whoever leaves the organisation is out within five minutes; whoever stays notices nothing."""

from __future__ import annotations

import time

import pytest

from accounts.credentials import READ
from accounts.models import AuditEntry, GroupMapping, Membership, OidcIdentity, PersonalAccessToken, TokenFamily
from accounts.services.families import tokens_issue
from accounts.services.tokens import token_create
from accounts.tasks import identities_check
from accounts.tests.test_oidc_sign_in import connect, sign_in, user_of

MINUTE = 60


@pytest.fixture
def nora(client, peer):
    """Somebody who signed in through the provider, and whose browser is `client`."""
    sign_in(client, peer)
    return user_of(client)


def fail(status):
    return lambda handler: handler.send(status, {}) or True


def later(clock, minutes):
    """The chore takes its turn after some minutes."""
    clock.forward(minutes * MINUTE)
    identities_check()


def test_nobody_is_asked_about_again_within_three_minutes(nora, peer, clock):
    later(clock, 2)
    assert peer.count("/token") == 1


def test_who_is_still_known_stays_with_the_next_refresh_token(client, nora, peer, clock):
    first = OidcIdentity.objects.get().refresh_token
    for _ in range(3):
        later(clock, 4)
    assert user_of(client) == nora
    assert peer.count("/token") == 4
    assert OidcIdentity.objects.get().refresh_token in peer.refresh_tokens and first not in peer.refresh_tokens


def test_groups_follow_within_minutes(nora, peer, alice, acme, clock):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    peer.person["groups"] = ["staff"]
    later(clock, 4)
    assert Membership.objects.get(user=nora, organisation=acme).source == "oidc"
    peer.person["groups"] = []
    later(clock, 4)
    assert not Membership.objects.filter(user=nora, organisation=acme).exists()


def test_who_left_is_out_everywhere_within_five_minutes(client, nora, peer, acme, alice, clock):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    peer.person["groups"] = ["staff"]
    later(clock, 4)
    access = tokens_issue(user=nora, method="device")["access"]
    personal = token_create(user=nora, name="Laptop", scopes=[READ])[1]
    peer.refresh_tokens.clear()
    later(clock, 4)
    assert client.get("/runs").status_code == 302 and user_of(client) is None
    for token in (access, personal):
        assert client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert not Membership.objects.filter(user=nora, organisation=acme).exists()
    assert AuditEntry.objects.get(action="identity.end").changes["reason"][1] == "unknown at the identity provider"
    later(clock, 4)
    assert AuditEntry.objects.filter(action="identity.end").count() == 1


def test_who_holds_only_a_token_is_asked_about_too(client, nora, peer, clock):
    personal = token_create(user=nora, name="Laptop", scopes=[READ])[1]
    client.logout()
    peer.refresh_tokens.clear()
    later(clock, 4)
    assert client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {personal}"}).status_code == 401


def test_who_has_a_password_keeps_what_began_with_it(client, alice_pages, alice, peer, clock):
    connect(alice_pages, peer)
    sign_in(client, peer)
    token_create(user=alice, name="Laptop", scopes=[READ])
    peer.refresh_tokens.clear()
    later(clock, 4)
    assert user_of(client) is None
    assert user_of(alice_pages) == alice
    assert PersonalAccessToken.objects.get().is_live


def test_who_left_can_come_back(client, nora, peer, clock):
    peer.refresh_tokens.clear()
    later(clock, 4)
    assert user_of(client) is None
    sign_in(client, peer)
    assert user_of(client) == nora


def test_an_outage_is_waited_for_and_then_sign_ins_end(client, nora, peer, clock):
    peer.lie(answer=fail(503))
    later(clock, 4)
    later(clock, 59)
    assert user_of(client) == nora
    later(clock, 2)
    assert user_of(client) is None
    assert OidcIdentity.objects.get().refresh_token, "the person may be there again afterwards"


def test_after_an_outage_all_goes_on(client, nora, peer, clock):
    peer.lie(answer=fail(500))
    later(clock, 4)
    assert OidcIdentity.objects.get().failing_since is not None
    peer.lie(answer=lambda handler: False)
    later(clock, 30)
    assert OidcIdentity.objects.get().failing_since is None and user_of(client) == nora


@pytest.mark.parametrize("status", [401, 429])
def test_a_wrong_secret_and_a_limit_say_nothing_about_the_person(client, nora, peer, clock, monkeypatch, status):
    monkeypatch.setattr(peer, "tokens", lambda *_: (status, {"error": "invalid_client"}))
    later(clock, 4)
    assert user_of(client) == nora
    assert OidcIdentity.objects.get().failing_since is not None


def test_a_refresh_token_that_was_replaced_is_kept_when_userinfo_fails(client, nora, peer, clock):
    peer.lie(answer=lambda handler: handler.path == "/userinfo" and (handler.send(500, {}) or True))
    later(clock, 4)
    assert OidcIdentity.objects.get().refresh_token in peer.refresh_tokens
    peer.lie(answer=lambda handler: False)
    later(clock, 4)
    assert user_of(client) == nora


@pytest.mark.parametrize("claims", [{"sub": "somebody-else"}, {"iss": "https://evil.example"}, {"aud": "other"}])
def test_a_refreshed_token_of_somebody_else_confirms_nobody(nora, peer, clock, claims):
    before = OidcIdentity.objects.get().checked_at
    peer.lie(id_claims=claims)
    later(clock, 4)
    assert OidcIdentity.objects.get().checked_at == before


def test_without_a_new_id_token_userinfo_tells(client, nora, peer, alice, acme, clock):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    peer.lie(sign=lambda claims: None)
    peer.person["groups"] = ["staff"]
    later(clock, 4)
    assert Membership.objects.filter(user=nora, organisation=acme).exists()


def test_where_only_the_grant_tells_groups_stay(client, peer, alice, acme, clock):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    peer.person["groups"] = ["staff"]
    peer.lie(discovery={"userinfo_endpoint": None})
    sign_in(client, peer)
    peer.lie(sign=lambda claims: None)
    later(clock, 4)
    assert Membership.objects.filter(user=user_of(client), organisation=acme).exists()
    peer.refresh_tokens.clear()
    later(clock, 4)
    assert user_of(client) is None


def test_without_refresh_tokens_a_sign_in_is_short(client, peer, clock):
    peer.lie(gives_refresh_token=False)
    sign_in(client, peer)
    later(clock, 4)
    assert user_of(client) is not None
    later(clock, 2)
    assert user_of(client) is None
    entry = AuditEntry.objects.get(action="identity.sign_out")
    assert entry.changes["reason"][1] == "identity provider cannot be asked"


def test_a_sign_in_during_the_check_wins(nora, peer, monkeypatch, clock):
    """What is said of the refresh token of before means nothing for the one of now."""
    from accounts.services import identity_checks

    due = list(OidcIdentity.objects.all())
    OidcIdentity.objects.filter(pk=due[0].pk).update(refresh_token="newer")
    said = identity_checks.Said(error=identity_checks.GrantRefused("gone"))
    identity_checks._act(due[0], said)
    assert OidcIdentity.objects.get().refresh_token == "newer"
    assert not AuditEntry.objects.filter(action="identity.end").exists()


def test_one_slow_answer_holds_up_neither_the_turn_nor_others(client, nora, peer, clock, monkeypatch):
    from django.test import Client

    other, subjects = Client(), {"sub-1": nora}
    peer.person |= {"sub": "sub-2", "email": "otto@example.org"}
    sign_in(other, peer)
    slow = OidcIdentity.objects.get(user=nora).refresh_token

    def answer(handler):
        if handler.path == "/token" and peer.asked[-1][1].get("refresh_token") == slow:
            time.sleep(3)
        return False

    peer.lie(answer=answer)
    monkeypatch.setattr("accounts.services.identity_checks.CALL_SECONDS", 1.0)
    began = time.monotonic()
    later(clock, 4)
    assert time.monotonic() - began < 2.5
    assert OidcIdentity.objects.get(subject="sub-2").failing_since is None
    assert OidcIdentity.objects.get(user=subjects["sub-1"]).failing_since is not None


def test_where_there_is_no_provider_nothing_is_asked(nora, peer, settings, clock):
    settings.OIDC_DISCOVERY_URL = ""
    later(clock, 60)
    assert peer.count("/token") == 1
    assert TokenFamily.objects.count() == 0
