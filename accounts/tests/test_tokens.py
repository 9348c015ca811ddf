"""Personal access tokens: told once, kept as hashes, refused alike when they are no good."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.authentication import bearer_authenticate
from accounts.models import AuditEntry, Membership, PersonalAccessToken
from accounts.services import tokens
from accounts.services.users import user_disable
from platform_site.lib.errors import Conflict
from platform_site.lib.secrets import REDACTED, redact

TEXT = re.compile(r"stw_[0-9A-Za-z]{46}")


def make(user, **values):
    return tokens.token_create(user=user, name=values.pop("name", "Laptop"), **values)


def call(raw, path="/api/v1/users/me", **headers):
    return Client().get(path, headers={"Authorization": f"Bearer {raw}", **headers})


# --- Their text ---------------------------------------------------------------------------------------------------
def test_tokens_are_random_and_say_what_they_are():
    made = {tokens.token_text() for _ in range(200)}
    assert len(made) == 200
    assert all(TEXT.fullmatch(raw) for raw in made)


def test_logs_never_show_a_token():
    raw = tokens.token_text()
    assert redact(f"token={raw}; next") == f"token={REDACTED}; next"
    assert redact(f"Authorization: Bearer {raw}") == f"Authorization: Bearer {REDACTED}"
    assert redact("the prefix is stw_ and a column stw_name") == "the prefix is stw_ and a column stw_name"


# --- Making -------------------------------------------------------------------------------------------------------
def test_a_token_is_told_once_and_kept_as_a_hash(alice, alice_api):
    answer = alice_api.post("/api/v1/tokens", {"name": " Backup "})
    body = answer.json()
    assert answer.status_code == 201, body
    assert answer.headers["Cache-Control"] == "no-store"
    assert TEXT.fullmatch(body["token"])
    assert (body["name"], body["scopes"], body["expires_at"]) == ("Backup", ["read", "write", "models"], None)
    assert body["token"].startswith(body["hint"])
    listed = alice_api.get("/api/v1/tokens").json()
    assert [one["id"] for one in listed["results"]] == [body["id"]]
    assert "token" not in listed["results"][0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_personalaccesstoken")
        assert body["token"] not in str(cursor.fetchall())
    assert body["token"] not in str(list(AuditEntry.objects.values()))
    assert call(body["token"]).json()["email"] == alice.email


def test_names_may_repeat_and_scopes_are_kept_in_one_order(alice_api):
    first = alice_api.post("/api/v1/tokens", {"name": "CI", "scopes": ["write", "read", "write"]})
    again = alice_api.post("/api/v1/tokens", {"name": "CI", "scopes": ["manage"]})
    assert first.json()["scopes"] == ["read", "write"]
    assert again.status_code == 201


SOON = (datetime.now(UTC) + timedelta(days=30)).isoformat()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "   "}),
        ("name", {"name": "x" * 81}),
        ("name", {"name": "two\nlines"}),
        ("name", {"name": "right\u202eto left"}),
        ("name", {"name": None}),
        ("name", {"name": {}}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": "read"}),
        ("scopes", {"scopes": None}),
        ("scopes", {"scopes": ["read"] * 21}),
        ("scopes.1", {"scopes": ["read", "root"]}),
        ("scopes.0", {"scopes": [["read"]]}),
        ("scopes.0", {"scopes": [{"read": True}]}),
        ("expires_at", {"expires_at": "2001-01-01T00:00:00Z"}),
        ("expires_at", {"expires_at": "2040-01-01T00:00:00"}),
        ("expires_at", {"expires_at": "2030-01-01"}),
        ("expires_at", {"expires_at": "soon"}),
        ("expires_at", {"expires_at": 4102444800}),
        ("expires_at", {"expires_at": "9999-12-31T23:59:59Z"}),
        ("expires_at", {"expires_at": "9999-12-31T23:59:59-12:00"}),
        ("expires_at", {"expires_at": "0001-01-01T00:00:00+12:00"}),
        ("organization", {"organization": "acme"}),
        ("organization", {"organization": "01890000-0000-7000-8000-000000000000"}),
    ],
)
def test_bad_values_are_named(alice_api, field, values):
    answer = alice_api.post("/api/v1/tokens", {"name": "CI", **values})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert PersonalAccessToken.objects.count() == 0


def test_the_services_checks_hold_for_every_door(alice):
    from platform_site.lib.errors import InvalidRequest

    for values in ({"scopes": ["root"]}, {"scopes": []}, {"expires_at": datetime(2040, 1, 1)}, {"name": ""}):
        with pytest.raises(InvalidRequest):
            make(alice, **values)


def test_ten_years_are_the_longest_life(alice_api):
    for years, status in ((9.9, 201), (10.1, 400)):
        expires_at = (timezone.now() + timedelta(days=365.25 * years)).isoformat()
        assert alice_api.post("/api/v1/tokens", {"name": "CI", "expires_at": expires_at}).status_code == status


def test_a_foreign_organisation_is_answered_like_none(alice_api, globex, acme):
    def refused(pk):
        body = alice_api.post("/api/v1/tokens", {"name": "CI", "organization": str(pk)}).json()
        return body["status_code"], body["errors"]

    assert refused(globex.pk) == refused("01890000-0000-7000-8000-000000000000")
    mine = alice_api.post("/api/v1/tokens", {"name": "CI", "organization": str(acme.pk)})
    assert mine.json()["organization"] == str(acme.pk)


def test_a_hundred_live_tokens_are_enough(alice, alice_api):
    rows = [
        PersonalAccessToken(user=alice, name="old", digest=f"{n:064}", hint="stw_", scopes=["read"]) for n in range(99)
    ]
    PersonalAccessToken.objects.bulk_create(rows)
    assert alice_api.post("/api/v1/tokens", {"name": "The last"}).status_code == 201
    assert alice_api.post("/api/v1/tokens", {"name": "One more"}).status_code == 409
    tokens.token_revoke(token=rows[0], actor=alice)
    assert alice_api.post("/api/v1/tokens", {"name": "One instead"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_for_concurrent_calls(alice):
    import threading

    rows = [
        PersonalAccessToken(user=alice, name="old", digest=f"{n:064}", hint="stw_", scopes=["read"]) for n in range(98)
    ]
    PersonalAccessToken.objects.bulk_create(rows)
    ready, refused = threading.Barrier(5), []

    def run():
        ready.wait()
        try:
            make(alice)
        except Conflict as exc:
            refused.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (PersonalAccessToken.objects.count(), len(refused)) == (100, 3)


# --- Using --------------------------------------------------------------------------------------------------------
def test_a_token_acts_as_its_user_and_is_named_in_the_audit_trail(alice):
    token, raw = make(alice, name="CI")
    user, credential = bearer_authenticate(raw)
    assert user == alice
    assert (credential.kind, credential.id, credential.label) == ("token", token.pk, "token CI")
    assert credential.scopes == {"read", "write", "models"}
    assert credential.is_interactive is False


def test_no_good_tokens_are_refused_alike(alice, bob, administrator, clock):
    _, expired = make(alice, expires_at=timezone.now() + timedelta(hours=1))
    revoked_row, revoked = make(alice)
    tokens.token_revoke(token=revoked_row, actor=alice)
    _, disabled = make(bob)
    user_disable(user=bob, actor=administrator)
    clock.forward(3601)
    _, good = make(alice)
    other = tokens.token_text()
    broken = [good[:-1], good + "0", good.swapcase(), good.replace("stw_", "STW_"), "stw_", "stw_" + "é" * 46, "stw_\0"]
    answers = [call(raw) for raw in (expired, revoked, disabled, other)]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["detail"] for answer in answers} == {tokens.REFUSED}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="api"'}
    for raw in broken:
        answer = Client().get("/api/v1/users/me", HTTP_AUTHORIZATION=f"Bearer {raw}")
        assert answer.status_code == 401, raw
    assert call(good).status_code == 200


def test_a_disabled_users_tokens_stay_dead(alice, administrator):
    _, raw = make(alice)
    user_disable(user=alice, actor=administrator)
    alice.is_active = True
    alice.save()
    assert call(raw).status_code == 401


def test_a_likeness_of_a_token_does_not_reach_the_database(alice):
    with CaptureQueriesContext(connection) as asked:
        call("stw_" + "a" * 46)
    assert not [query for query in asked if "personalaccesstoken" in query["sql"]]


def test_authentication_takes_one_query(alice):
    _, raw = make(alice)
    bearer_authenticate(raw)
    with CaptureQueriesContext(connection) as asked:
        user, _ = bearer_authenticate(raw)
        assert user.email == alice.email
    assert len(asked) == 1


@pytest.mark.parametrize("place", ["?token=", "?access_token=", "?bearer=", "?Authorization=Bearer%20"])
def test_tokens_in_addresses_are_never_read(db, alice, place):
    _, raw = make(alice)
    assert Client().get(f"/api/v1/users/me{place}{raw}").status_code == 401
    assert PersonalAccessToken.objects.get().last_used_at is None


def test_a_token_in_a_body_or_cookie_is_never_read(alice):
    _, raw = make(alice)
    client = Client()
    client.cookies["token"] = client.cookies["access_token"] = raw
    body = {"access_token": raw, "token": raw}
    assert client.post("/api/v1/conversations", body, content_type="application/json").status_code == 401
    form = "application/x-www-form-urlencoded"
    assert client.post("/api/v1/conversations", f"access_token={raw}", content_type=form).status_code == 401


def test_a_token_opens_no_page(alice):
    _, raw = make(alice)
    for path in ("/", "/runs", "/account/tokens"):
        assert call(raw, path).headers["Location"].startswith("/sign-in")


def test_the_last_use_is_noted_once_a_minute(alice, clock):
    token, raw = make(alice)
    client = Client(REMOTE_ADDR="203.0.113.9", headers={"Authorization": f"Bearer {raw}"})
    client.get("/api/v1/users/me")
    token.refresh_from_db()
    first = token.last_used_at
    assert (first is not None, token.last_used_address) == (True, "203.0.113.9")
    clock.forward(30)
    client.get("/api/v1/users/me")
    token.refresh_from_db()
    assert token.last_used_at == first
    clock.forward(31)
    client.get("/api/v1/users/me")
    token.refresh_from_db()
    assert token.last_used_at > first


def test_a_token_of_one_organisation_opens_no_other(alice, acme, globex):
    Membership.objects.create(user=alice, organisation=globex, role="member")
    _, raw = make(alice, organisation_id=globex.pk)
    _, credential = bearer_authenticate(raw)
    assert credential.organisation_id == globex.pk
    inside = call(raw, "/api/v1/organizations/" + str(globex.pk) + "/members")
    assert inside.status_code == 200


# --- Seeing and revoking ------------------------------------------------------------------------------------------
def test_a_revoked_token_ends_at_once_and_is_gone_from_the_list(alice, alice_api):
    token, raw = make(alice)
    url = f"/api/v1/tokens/{token.pk}"
    assert alice_api.get(url).json()["hint"] == raw[:12]
    assert alice_api.delete(url).status_code == 204
    assert call(raw).status_code == 401
    assert alice_api.delete(url).status_code == 404
    assert alice_api.get(url).status_code == 404
    assert alice_api.get("/api/v1/tokens").json()["results"] == []
    noted = AuditEntry.objects.filter(target_type="personalaccesstoken").order_by("at")
    assert list(noted.values_list("action", "target_name")) == [
        ("token.create", "Laptop"),
        ("token.revoke", "Laptop"),
    ]


def test_tokens_of_others_do_not_exist(alice, bob_api, administrator):
    token, raw = make(alice)
    for method in (bob_api.get, bob_api.delete):
        assert method(f"/api/v1/tokens/{token.pk}").status_code == 404
    assert bob_api.get("/api/v1/tokens").json()["results"] == []
    assert call(raw).status_code == 200


def test_the_list_comes_in_pages(alice, alice_api):
    made = [str(make(alice, name=f"Number {n}")[0].pk) for n in range(5)]
    first = alice_api.get("/api/v1/tokens?limit=3").json()
    second = alice_api.get(f"/api/v1/tokens?limit=3&cursor={first['next_cursor']}").json()
    assert [one["id"] for one in first["results"] + second["results"]] == made[::-1]
    assert second["next_cursor"] is None


# --- Pages --------------------------------------------------------------------------------------------------------
FORM = {"name": "Backup <b>", "scopes": ["read", "models"], "expires_in": "30"}


def test_the_page_makes_a_token_and_shows_it_once(alice, alice_pages, acme):
    made = alice_pages.post("/account/tokens", {**FORM, "organisation": str(acme.pk)})
    assert made.status_code == 201
    assert "no-store" in made.headers["Cache-Control"]
    raw = TEXT.search(made.content.decode())[0]
    token = PersonalAccessToken.objects.get()
    assert (token.scopes, token.organisation) == (["read", "models"], acme)
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)
    listed = alice_pages.get("/account/tokens").content.decode()
    assert raw not in listed
    assert raw[:12] in listed
    assert "Backup &lt;b&gt;" in listed
    assert call(raw).status_code == 200


def test_the_page_offers_no_end_too(alice, alice_pages):
    alice_pages.post("/account/tokens", FORM | {"expires_in": "never"})
    assert PersonalAccessToken.objects.get().expires_at is None


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"name": "a\tb"}, {"scopes": []}, {"scopes": ["root"]}, {"expires_in": "1"}, {"expires_in": ""},
     {"organisation": "x"}, {"organisation": "01890000-0000-7000-8000-000000000000"}],
)  # fmt: skip
def test_the_page_says_what_is_wrong(alice_pages, change):
    answer = alice_pages.post("/account/tokens", FORM | change)
    assert answer.status_code == 400
    assert PersonalAccessToken.objects.count() == 0
    assert "field-error" in answer.content.decode() or "tone-bad" in answer.content.decode()


def test_the_page_revokes(alice, alice_pages, bob_pages):
    token, raw = make(alice)
    assert bob_pages.post(f"/account/tokens/{token.pk}/revoke").status_code == 404
    assert call(raw).status_code == 200
    assert alice_pages.post(f"/account/tokens/{token.pk}/revoke").headers["Location"] == "/account/tokens"
    assert call(raw).status_code == 401
    assert alice_pages.post(f"/account/tokens/{token.pk}/revoke").status_code == 404
