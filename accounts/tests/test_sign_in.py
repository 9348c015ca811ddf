"""Signing in, over pages and over the API."""

import pytest

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
    from accounts.services.accounts import user_disable

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
