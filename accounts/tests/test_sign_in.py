"""Signing in, over pages and over the API."""

import pytest

from accounts.models import AuditEntry
from conftest import PASSWORD


def test_login_answers_user_organisation_and_tokens(client, alice):
    answer = client.post(
        "/api/v1/auth/login", {"email": "ALICE@acme.example", "password": PASSWORD}, content_type="application/json"
    )
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["user"]["email"] == "alice@acme.example"
    assert body["organization"]["slug"] == "acme"
    assert body["expires_in"] == 1800
    me = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {body['access']}"})
    assert me.json()["email"] == "alice@acme.example"


def test_wrong_password_is_a_401_in_the_one_format(client, alice):
    answer = client.post(
        "/api/v1/auth/login", {"email": "alice@acme.example", "password": "nope"}, content_type="application/json"
    )
    body = answer.json()
    assert answer.status_code == 401
    assert set(body) >= {"error", "detail", "status_code", "timestamp", "path", "request_id"}
    assert body["path"] == "/api/v1/auth/login"
    assert answer["X-Request-ID"] == body["request_id"]


def test_a_refresh_token_works_once_and_never_as_access(client, alice):
    pair = client.post(
        "/api/v1/auth/login", {"email": alice.email, "password": PASSWORD}, content_type="application/json"
    ).json()
    assert client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {pair['refresh']}"}).status_code == 401
    first = client.post("/api/v1/auth/refresh", {"refresh": pair["refresh"]}, content_type="application/json")
    second = client.post("/api/v1/auth/refresh", {"refresh": pair["refresh"]}, content_type="application/json")
    assert (first.status_code, second.status_code) == (200, 401)


def test_a_disabled_user_is_refused_at_once(alice, administrator, alice_api):
    from accounts.services.users import user_disable

    assert alice_api.get("/api/v1/users/me").status_code == 200
    user_disable(user=alice, actor=administrator)
    assert alice_api.get("/api/v1/users/me").status_code == 401


def test_signup_makes_user_and_organisation(client, db):
    form = {"email": "new@home.example", "password": PASSWORD, "name": "New", "organization": "Home"}
    answer = client.post("/api/v1/auth/signup", form, content_type="application/json")
    assert answer.status_code == 201, answer.json()
    assert answer.json()["organization"]["name"] == "Home"
    again = client.post("/api/v1/auth/signup", form, content_type="application/json")
    assert again.status_code == 400
    assert "email" in again.json()["errors"]


def test_nobody_promotes_themselves(alice, alice_api):
    answer = alice_api.patch("/api/v1/users/me", {"role": "administrator", "is_staff": True, "name": "A"})
    assert answer.status_code == 200
    alice.refresh_from_db()
    assert (alice.role, alice.name) == ("user", "A")


def test_the_page_signs_in_and_goes_only_to_paths_of_this_site(client, alice):
    form = {"email": alice.email, "password": PASSWORD, "next": "https://evil.example/"}
    assert client.post("/sign-in", form).headers["Location"] == "/"
    form["next"] = "/runs"
    assert client.post("/sign-in", form).headers["Location"] == "/runs"


@pytest.mark.parametrize("path", ["/", "/runs", "/api/v1/runs"])
def test_strangers_see_nothing(client, db, path):
    answer = client.get(path)
    assert answer.status_code in (302, 401)


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:///evil.example",
    "http://evil.example/",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\nevil.example",
    "/\t/evil.example",
    "/\r\n/evil.example",
    "\n//evil.example",
    " //evil.example",
    "\x01//evil.example",
    "ftp://testserver/runs",
    "http://testserver/runs",
    "https://testserver/runs",
    "//testserver/runs",
    "//user@evil.example",
    "evil.example",
    "runs",
    "?next=/runs",
    "/" + "x" * 3000,
    "/sign-in",
    "/sign-in?next=/sign-in",
    "/sign-in/?next=//evil.example",
    "/sign-in/second-factor",
    "/sign-out",
    "/sign-up",
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_signing_in_leads_nowhere_else(wanted, client, alice):
    shown = client.get("/sign-in", {"next": wanted})
    assert 'name="next" value="/"' in shown.content.decode()
    form = {"email": alice.email, "password": PASSWORD, "next": wanted}
    assert client.post("/sign-in", form).headers["Location"] == "/"
    assert client.get("/sign-in", {"next": wanted}).headers["Location"] == "/", "when signed in already"


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_switching_and_signing_out_lead_nowhere_else(wanted, alice_pages, acme):
    form = {"organisation": str(acme.pk), "next": wanted}
    assert alice_pages.post("/organisation/switch", form).headers["Location"] == "/"
    assert alice_pages.post("/sign-out", {"next": wanted}).headers["Location"] == "/sign-in"


@pytest.mark.parametrize("wanted", ["/runs", "/runs?state=failed&kind=a", "/studio#top", "/%5cevil.example", "/a//b"])
def test_signing_in_leads_to_pages_of_this_site(wanted, client, alice):
    form = {"email": alice.email, "password": PASSWORD, "next": wanted}
    assert client.post("/sign-in", form).headers["Location"] == wanted


def test_strangers_come_back_to_the_page_that_they_asked_for(client, alice):
    asked = client.get("/account/sessions")
    assert asked.headers["Location"] == "/sign-in?next=/account/sessions"
    assert 'value="/account/sessions"' in client.get(asked.headers["Location"]).content.decode()


def test_a_failed_sign_in_keeps_the_address_and_not_the_password(client, alice):
    page = client.post("/sign-in", {"email": alice.email, "password": "not this one"})
    assert page.status_code == 400
    assert alice.email in page.content.decode()
    assert "not this one" not in page.content.decode()


def test_signing_in_over_the_api_asks_for_the_second_factor(client, alice, phone):
    form = {"email": alice.email, "password": PASSWORD}
    missing = client.post("/api/v1/auth/login", form, content_type="application/json")
    assert missing.status_code == 401
    assert "otp" in missing.json()["errors"]
    wrong = client.post("/api/v1/auth/login", {**form, "otp": "000000"}, content_type="application/json")
    assert wrong.status_code == 401
    right = client.post("/api/v1/auth/login", {**form, "otp": phone.next_code()}, content_type="application/json")
    assert right.status_code == 200
    no_password = {**form, "password": "wrong", "otp": phone.next_code()}
    told = client.post("/api/v1/auth/login", no_password, content_type="application/json").json()
    assert "errors" not in told, "whether there is a second factor is told only to whoever knows the password"


def test_the_program_names_itself(client, alice):
    form = {"email": alice.email, "password": PASSWORD, "client": "Backup script"}
    assert client.post("/api/v1/auth/login", form, content_type="application/json").status_code == 200
    alice.refresh_from_db()
    assert alice.token_families.get().client == "Backup script"
    assert alice.last_login is not None


@pytest.mark.parametrize("extra", [{"role": "administrator"}, {"is_staff": True}, {"is_superuser": True},
                                   {"email": "x@y.example"}, {"organisation": "1"}, {"quota": 9},
                                   {"email_verified_at": "2026-01-01T00:00:00Z"}, {"password": "x"},
                                   {"id": "01890000-0000-7000-8000-000000000000"}])  # fmt: skip
def test_only_the_name_can_be_changed_of_oneself(extra, alice, alice_api):
    before = type(alice).objects.filter(pk=alice.pk).values().get()
    assert alice_api.patch("/api/v1/users/me", {**extra, "name": "Al"}).status_code == 200
    after = type(alice).objects.filter(pk=before["id"]).values().get()
    assert after == {**before, "name": "Al"}


@pytest.mark.parametrize("name", ["x" * 121, "two\nlines", None, {"a": 1}, ["x"], "evil\u202eeman"])
def test_bad_names_are_refused(name, alice, alice_api):
    assert alice_api.patch("/api/v1/users/me", {"name": name}).status_code == 400
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_the_profile_page_saves_the_name_and_shows_organisations_and_roles(alice, alice_pages):
    assert alice_pages.post("/account", {"name": "Alice B."}).status_code == 302
    page = alice_pages.get("/account").content.decode()
    for shown in ("Alice B.", "Acme", "Owner", str(alice.pk), "Your name was saved."):
        assert shown in page
    assert alice_pages.post("/account", {"name": "two\nlines"}).status_code == 400


def test_names_are_shown_as_text(alice, alice_pages):
    alice_pages.post("/account", {"name": "<script>alert(1)</script>"})
    page = alice_pages.get("/account").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_signing_in_and_out_is_noted_with_where_and_how(client, alice):
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD}, headers={"User-Agent": "Tester/1"})
    client.post("/sign-out", headers={"User-Agent": "Tester/1"})
    client.post("/sign-out")
    noted = list(AuditEntry.objects.filter(actor_id=alice.pk).order_by("id"))
    assert [entry.action for entry in noted] == ["account.sign_in", "account.sign_out"]
    assert noted[0].changes == {"method": ["", "password"], "second_factor": [False, False]}
    assert {(entry.address, entry.user_agent) for entry in noted} == {("127.0.0.1", "Tester/1")}
    assert noted[1].credential == "session"


def test_a_sign_in_that_waits_for_its_second_factor_is_none_yet(client, phone, alice):
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD})
    assert not AuditEntry.objects.filter(action="account.sign_in").exists()
    client.post("/sign-in/second-factor", {"code": phone.next_code()})
    assert AuditEntry.objects.get(action="account.sign_in").changes["second_factor"] == [False, True]
