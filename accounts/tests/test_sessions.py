"""Where somebody is signed in, and ending it."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Session, TokenFamily, User
from accounts.services.families import tokens_issue
from accounts.services.sessions import client_words, sessions_forget
from accounts.services.tokens import token_create
from conftest import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
EDGE = CHROME + " Edg/126.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"
)
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36"
)


def browser(user: User, user_agent: str = FIREFOX, address: str = "192.0.2.7") -> Client:
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=address)
    assert client.post("/sign-in", {"email": user.email, "password": PASSWORD}).status_code == 302
    return client


def session_of(client: Client) -> Session:
    return Session.objects.get(session_key=client.cookies[django_settings.SESSION_COOKIE_NAME].value)


def program(raw: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {raw}"})


def places(client) -> list[dict]:
    return client.get("/api/v1/users/me/sessions").json()["results"]


# --- The list -----------------------------------------------------------------------------------------------------
def test_browsers_and_api_sign_ins_are_in_one_list_the_current_one_first(alice, bob_pages):
    here = browser(alice)
    browser(alice, CHROME, "2001:db8::1")
    tokens_issue(user=alice, client="Backup script", second_factor=True)
    found = places(here)
    assert [place["is_current"] for place in found] == [True, False, False]
    assert found[0]["client"] == "Firefox on Linux"
    assert (found[0]["kind"], found[0]["address"], found[0]["method"]) == ("browser", "192.0.2.7", "password")
    others = {place["client"]: place for place in found[1:]}
    assert others["Chrome on Windows"]["address"] == "2001:db8::1"
    assert others["Backup script"]["kind"] == "api"
    assert others["Backup script"]["second_factor"] is True


def test_the_page_shows_them_and_marks_this_one(alice):
    here = browser(alice)
    browser(alice, CHROME)
    page = here.get("/account/sessions").content.decode()
    assert page.count("This one") == 1
    assert "Firefox on Linux" in page
    assert "Chrome on Windows" in page
    assert "192.0.2.7" in page
    assert f"/account/sessions/{session_of(here).public_id}/end" not in page, "this one ends by signing out"
    assert "Sign out everywhere else" in page
    assert session_of(here).session_key not in page


def test_a_single_session_offers_nothing_to_end(alice):
    assert "Sign out everywhere else" not in browser(alice).get("/account/sessions").content.decode()


def test_what_is_over_is_not_in_the_list(alice):
    here, old = browser(alice), browser(alice, CHROME)
    Session.objects.filter(pk=session_of(old).pk).update(expire_date=timezone.now() - timedelta(seconds=1))
    tokens_issue(user=alice, client="revoked")
    TokenFamily.objects.filter(client="revoked").update(revoked_at=timezone.now())
    tokens_issue(user=alice, client="expired")
    TokenFamily.objects.filter(client="expired").update(expires_at=timezone.now())
    assert len(places(here)) == 1


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (EDGE, "Edge on Windows"),
        (SAFARI, "Safari on macOS"),
        (PHONE, "Safari on iPhone"),
        (ANDROID, "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.27", "python-httpx"),
        ("steward-cli", "steward-cli"),
        ("Mozilla/5.0 (compatible; Something)", "Unknown program"),
        ("<script>alert(1)</script>", "Unknown program"),
        ("\u202eevil", "Unknown program"),
        ("", "Unknown program"),
    ],
)
def test_clients_are_named_as_people_name_them(user_agent, words):
    assert client_words(user_agent) == words


# --- Ending -------------------------------------------------------------------------------------------------------
def test_another_browser_is_signed_out(alice):
    here, there = browser(alice), browser(alice, CHROME)
    answer = here.post(f"/account/sessions/{session_of(there).public_id}/end")
    assert answer.headers["Location"] == "/account/sessions"
    assert there.get("/account").status_code == 302
    assert here.get("/account").status_code == 200
    entry = AuditEntry.objects.get(action="session.end")
    assert entry.actor_id == alice.pk


def test_an_api_sign_in_is_ended_with_all_its_tokens(alice, client):
    pair = tokens_issue(user=alice)
    family = TokenFamily.objects.get()
    here = browser(alice)
    assert here.delete(f"/api/v1/users/me/sessions/{family.pk}").status_code == 204
    assert program(pair["access"]).get("/api/v1/users/me").status_code == 401
    refreshed = client.post("/api/v1/auth/refresh", {"refresh": pair["refresh"]}, content_type="application/json")
    assert refreshed.status_code == 401


def test_ending_twice_has_the_same_effect(alice):
    here, there = browser(alice), browser(alice, CHROME)
    path = f"/api/v1/users/me/sessions/{session_of(there).public_id}"
    assert [here.delete(path).status_code for _ in range(2)] == [204, 404]
    tokens_issue(user=alice)
    path = f"/api/v1/users/me/sessions/{TokenFamily.objects.get().pk}"
    assert [here.delete(path).status_code for _ in range(2)] == [204, 404]
    assert len(places(here)) == 1


def test_ending_ones_own_is_signing_out(alice):
    here = browser(alice)
    answer = here.post(f"/account/sessions/{session_of(here).public_id}/end")
    assert answer.headers["Location"] == "/sign-in"
    assert here.get("/account").status_code == 302
    api = program(tokens_issue(user=alice)["access"])
    assert api.delete(f"/api/v1/users/me/sessions/{TokenFamily.objects.get().pk}").status_code == 204
    assert api.get("/api/v1/users/me").status_code == 401


def test_a_browser_may_end_its_own_session_over_the_api(alice):
    here = browser(alice)
    assert here.delete(f"/api/v1/users/me/sessions/{session_of(here).public_id}").status_code == 204
    assert here.get("/account").status_code == 302


def test_another_users_session_and_a_random_one_look_alike(alice, bob):
    foreign, here = browser(bob), browser(alice)
    tokens_issue(user=bob)
    ids = [session_of(foreign).public_id, TokenFamily.objects.get().pk, uuid.uuid4()]
    answers = [here.delete(f"/api/v1/users/me/sessions/{one}") for one in ids]
    told = [
        (answer.status_code, {**answer.json(), "path": "", "request_id": "", "timestamp": ""}) for answer in answers
    ]
    assert told[0] == told[1] == told[2]
    assert told[0][0] == 404
    assert {here.post(f"/account/sessions/{one}/end").status_code for one in ids} == {404}
    assert foreign.get("/account").status_code == 200


def test_signing_out_everywhere_keeps_the_one_that_asks(alice, bob):
    here, there, foreign = browser(alice), browser(alice, CHROME), browser(bob)
    api = program(tokens_issue(user=alice)["access"])
    assert here.post("/account/sessions/end-all").status_code == 302
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302
    assert api.get("/api/v1/users/me").status_code == 401
    assert foreign.get("/account").status_code == 200


def test_signing_out_everywhere_over_the_api_keeps_its_own_tokens(alice):
    there, first = browser(alice), program(tokens_issue(user=alice)["access"])
    second = program(tokens_issue(user=alice)["access"])
    assert [first.delete("/api/v1/users/me/sessions").status_code for _ in range(2)] == [204, 204]
    assert first.get("/api/v1/users/me").status_code == 200
    assert second.get("/api/v1/users/me").status_code == 401
    assert there.get("/account").status_code == 302


def test_personal_access_tokens_see_and_end_no_sessions(alice):
    here = browser(alice)
    scopes = ["read", "write", "manage"]
    _, raw = token_create(user=alice, name="Backup", scopes=scopes, expires_at=None, organisation_id=None)
    path = "/api/v1/users/me/sessions"
    assert program(raw).get(path).status_code == 403
    assert program(raw).delete(path).status_code == 403
    assert program(raw).delete(f"{path}/{session_of(here).public_id}").status_code == 403
    assert here.get("/account").status_code == 200


# --- Sessions themselves ------------------------------------------------------------------------------------------
def test_the_key_changes_at_sign_in(alice):
    client = Client()
    client.get("/sign-in")
    client.session.save()
    planted = client.session
    planted["planted"] = "by somebody else"
    planted.save()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD})
    fresh = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    assert fresh != planted.session_key
    attacker = Client()
    attacker.cookies[django_settings.SESSION_COOKIE_NAME] = planted.session_key
    assert attacker.get("/account").status_code == 302
    assert client.get("/account").status_code == 200


def test_signing_in_as_somebody_else_takes_nothing_along(alice, bob):
    client = browser(alice)
    before = session_of(client)
    client.post("/sign-in", {"email": bob.email, "password": PASSWORD})
    assert session_of(client).user_id == bob.pk
    assert not Session.objects.filter(session_key=before.session_key).exists()


def test_signing_out_ends_the_session_on_the_server(alice):
    client = browser(alice)
    copied = Client()
    copied.cookies[django_settings.SESSION_COOKIE_NAME] = session_of(client).session_key
    assert copied.get("/account").status_code == 200
    client.post("/sign-out")
    assert copied.get("/account").status_code == 302
    assert not Session.objects.filter(user=alice).exists()


def test_sessions_last_fourteen_days(alice):
    client = browser(alice)
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie["max-age"] == 14 * 86_400
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_expired_sessions_are_forgotten(alice):
    kept, old = browser(alice), browser(alice, CHROME)
    Session.objects.filter(pk=session_of(old).pk).update(expire_date=timezone.now() - timedelta(seconds=1))
    sessions_forget()
    assert list(Session.objects.all()) == [session_of(kept)]


@pytest.mark.parametrize("path", ["/account", "/account/security", "/account/sessions"])
def test_pages_about_oneself_are_kept_by_no_cache(path, alice_pages):
    assert "no-store" in alice_pages.get(path).headers["Cache-Control"]
