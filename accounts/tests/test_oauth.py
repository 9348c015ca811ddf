"""The OAuth 2.0 token endpoint, as programs use it that were not written for Steward."""

from __future__ import annotations

import base64
import time

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from django.test import Client

from accounts.models import AuditEntry, TokenFamily
from accounts.services.users import user_disable
from conftest import PASSWORD

TOKEN = "/api/v1/auth/token"
FORM = "application/x-www-form-urlencoded"
ERROR_FIELDS = {"error", "error_description", "detail", "status_code", "timestamp", "path", "request_id"}


def ask(client, body="", content_type=FORM, **headers):
    return client.generic("POST", TOKEN, body, content_type=content_type, headers=headers)


def by_password(email, password=PASSWORD, **more):
    from urllib.parse import urlencode

    return urlencode({"grant_type": "password", "username": email, "password": password, **more})


def basic(name, secret=""):
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def assert_refused(answer, code, status=400):
    body = answer.json()
    assert answer.status_code == body["status_code"] == status, body
    assert body["error"] == code, body
    assert set(body) >= ERROR_FIELDS
    assert body["path"] == TOKEN
    assert body["request_id"] == answer["X-Request-ID"]
    assert body["error_description"].isascii()
    assert answer["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in answer
    return body


# --- Grants -------------------------------------------------------------------------------------------------------
def test_a_password_gives_tokens_that_nothing_on_the_way_keeps(client, alice):
    answer = ask(client, by_password(alice.email, client_id="backup script", scope="everything"))
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 1800)
    assert body["scope"] == "read write models manage"
    assert (answer["Cache-Control"], answer["Pragma"]) == ("no-store", "no-cache")
    me = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json()["email"] == alice.email
    assert TokenFamily.objects.get().client == "backup script"


def test_a_refresh_token_gives_the_next_pair_once(client, alice):
    first = ask(client, by_password(alice.email)).json()
    body = f"grant_type=refresh_token&refresh_token={first['refresh_token']}"
    second = ask(client, body)
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert_refused(ask(client, body), "invalid_grant")


def test_both_doors_share_their_families(client, alice):
    pair = client.post(
        "/api/v1/auth/login", {"email": alice.email, "password": PASSWORD}, content_type="application/json"
    ).json()
    assert ask(client, f"grant_type=refresh_token&refresh_token={pair['refresh']}").status_code == 200


@pytest.mark.parametrize("email", ["alice@acme.example", "nobody@acme.example", "no address", "é@é", "a" * 254])
def test_wrong_passwords_and_unknown_addresses_are_answered_alike(client, alice, email):
    body = assert_refused(ask(client, by_password(email, "wrong")), "invalid_grant")
    assert body["detail"] == "E-mail address or password are not right."


def test_a_disabled_account_gets_nothing(client, alice, administrator):
    user_disable(user=alice, actor=administrator)
    assert_refused(ask(client, by_password(alice.email)), "invalid_grant")


def test_the_second_factor_is_asked_for_and_counts(client, alice, phone):
    missing = assert_refused(ask(client, by_password(alice.email)), "invalid_grant")
    assert missing["errors"]["otp"] == [missing["detail"]]
    assert "code" in missing["error_description"]
    wrong = assert_refused(ask(client, by_password(alice.email, otp="000000")), "invalid_grant")
    assert wrong["errors"]["otp"] != missing["errors"]["otp"]
    assert TokenFamily.objects.count() == 0
    assert ask(client, by_password(alice.email, otp=phone.next_code())).status_code == 200
    assert TokenFamily.objects.get().second_factor


def test_a_wrong_password_does_not_tell_whether_there_is_a_second_factor(client, alice, phone):
    assert "errors" not in assert_refused(ask(client, by_password(alice.email, "wrong")), "invalid_grant")


# --- Requests that are none ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", {"grant_type"}),
        ("grant_type=", {"grant_type"}),
        ("grant_type=password", {"username", "password"}),
        ("grant_type=password&username=&password=x", {"username"}),
        ("grant_type=refresh_token", {"refresh_token"}),
        ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code", {"device_code"}),
        (f"grant_type=refresh_token&refresh_token={'a' * 4097}", {"refresh_token"}),
        (f"grant_type=password&username=a%40b.example&password={'x' * 201}", {"password"}),
        ("grant_type=password&username=a%00b&password=x", {"username"}),
        ("grant_type=password&username=a&password=x&client_id=a%0Ab", {"client_id"}),
    ],
)
def test_parameters_that_are_missing_or_wrong_are_named(client, db, body, names):
    assert set(assert_refused(ask(client, body), "invalid_request")["errors"]) == names


@pytest.mark.parametrize(
    "body",
    [
        "grant_type=password&grant_type=refresh_token",
        "grant_type=password&username=a&username=b&password=x",
        "grant_type=password&password=x&password=",
        "&".join(f"p{number}=1" for number in range(30)),
        "grant_type=password&x=" + "y" * 20_000,
        b"grant_type=\xff",
        "grant_type=%ff",
    ],
    ids=["duplicate", "duplicate name", "duplicate empty", "many", "large", "bytes", "escaped bytes"],
)
def test_forms_that_are_none_are_refused(client, db, body):
    assert_refused(ask(client, body), "invalid_request")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_only_forms_are_read(client, alice, content_type):
    assert_refused(ask(client, by_password(alice.email), content_type), "invalid_request")


def test_parameters_in_the_address_do_not_count(client, alice):
    answer = client.generic("POST", f"{TOKEN}?{by_password(alice.email)}", "", content_type=FORM)
    assert_refused(answer, "invalid_request")


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "implicit", "PASSWORD", "x" * 99])
def test_other_grants_are_not_supported(client, db, grant):
    assert_refused(ask(client, f"grant_type={grant}"), "unsupported_grant_type")


def test_other_methods_are_refused(client, db):
    assert_refused(client.get(TOKEN), "invalid_request", 405)


@pytest.mark.parametrize(
    "header",
    [basic("cli"), basic("cli", "wrong secret"), "Basic", "Basic !!!", "Basic " + "A" * 5000, "Bearer no.token.atall"],
)
def test_client_credentials_are_read_and_prove_nothing(client, alice, header):
    assert ask(client, by_password(alice.email), Authorization=header).status_code == 200


def test_a_client_may_name_itself_by_basic_credentials(client, alice):
    ask(client, by_password(alice.email), Authorization=basic("my%20tool"))
    assert TokenFamily.objects.get().client == "my tool"


def test_the_cookie_of_a_page_opens_nothing_and_needs_no_csrf_token(alice):
    pages = Client(enforce_csrf_checks=True)
    pages.force_login(alice)
    assert_refused(ask(pages, "grant_type=password"), "invalid_request")
    assert ask(pages, by_password(alice.email)).status_code == 200


def test_too_many_guesses_are_a_429_with_a_time(client, alice, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"auth": "3/min"}
    for _ in range(3):
        assert_refused(ask(client, by_password("x@acme.example", "wrong")), "invalid_grant")
    answer = ask(client, by_password("x@acme.example", "wrong"))
    assert_refused(answer, "temporarily_unavailable", 429)
    assert int(answer["Retry-After"]) > 0
    login = {"email": alice.email, "password": PASSWORD}
    assert client.post("/api/v1/auth/login", login, content_type="application/json").status_code == 429, "one counter"


def test_refreshing_is_not_counted_as_guessing(client, alice, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"auth": "1/min"}
    pair = ask(client, by_password(alice.email)).json()
    for _ in range(3):
        pair = ask(client, f"grant_type=refresh_token&refresh_token={pair['refresh_token']}").json()
        assert pair["access_token"]


def test_no_secret_gets_into_the_audit_trail(client, alice):
    ask(client, by_password(alice.email, "a wrong secret"))
    pair = ask(client, by_password(alice.email)).json()
    trail = " ".join(str(entry.changes) + entry.credential for entry in AuditEntry.objects.all())
    assert "a wrong secret" not in trail
    assert PASSWORD not in trail
    assert pair["refresh_token"] not in trail


# --- A client that somebody else wrote ----------------------------------------------------------------------------
@pytest.fixture
def session(live_asgi, monkeypatch):
    """Authlib's client; it knows the token endpoint and nothing else about Steward."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    kept = []
    with OAuth2Session(
        "authlib", "unused", token_endpoint=live_asgi + TOKEN, update_token=lambda *args, **named: kept.append(args)
    ) as opened:
        opened.kept = kept
        yield opened


@pytest.mark.django_db(transaction=True)
def test_authlib_signs_in_and_renews_its_token_by_itself(session, live_asgi, alice):
    first = session.fetch_token(live_asgi + TOKEN, grant_type="password", username=alice.email, password=PASSWORD)
    me = live_asgi + "/api/v1/users/me"
    assert session.get(me).json()["email"] == alice.email
    session.token["expires_at"] = int(time.time()) - 1
    assert session.get(me).json()["email"] == alice.email
    assert session.kept, "it was renewed"
    assert session.token["access_token"] != first["access_token"]
    assert TokenFamily.objects.get().client == "authlib"


@pytest.mark.django_db(transaction=True)
def test_authlib_understands_refusals(session, live_asgi, alice):
    with pytest.raises(OAuthError) as refused:
        session.fetch_token(live_asgi + TOKEN, grant_type="password", username=alice.email, password="wrong")
    assert refused.value.error == "invalid_grant"
    assert refused.value.description == "E-mail address or password are not right."


@pytest.mark.django_db(transaction=True)
def test_authlib_can_put_its_credentials_into_the_form(live_asgi, alice):
    with OAuth2Session("in the form", token_endpoint_auth_method="client_secret_post") as session:
        token = session.fetch_token(live_asgi + TOKEN, grant_type="password", username=alice.email, password=PASSWORD)
    assert token["token_type"] == "Bearer"


# --- The schema ---------------------------------------------------------------------------------------------------
def test_the_schema_says_how_to_get_a_token(client, db):
    schema = client.get("/api/schema", headers={"Accept": "application/json"}).json()
    flow = schema["components"]["securitySchemes"]["oauth2"]["flows"]["password"]
    assert flow["tokenUrl"] == flow["refreshUrl"] == TOKEN
    needed = schema["paths"]["/api/v1/users/me"]["get"]["security"]
    assert {"bearer": []} in needed
    assert {"oauth2": []} in needed
    assert list(schema["paths"][TOKEN]["post"]["requestBody"]["content"]) == [FORM]
