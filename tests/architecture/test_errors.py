"""The one error format, for every status, over API and pages, and what every answer carries."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from django.urls import path as url_path

from platform_site import urls as site
from tests.architecture.conftest import UNKNOWN, anonymous, signed_in, with_token

FIELDS = {"error", "detail", "status_code", "timestamp", "path", "request_id"}
SECRET = "postgres://steward:hunter2@db/secret"


def explode(request):
    raise RuntimeError(SECRET)


class _Site:
    """The site and two views that fail in a way nobody foresaw."""

    urlpatterns = [*site.urlpatterns, url_path("explode", explode), url_path("api/v1/explode", explode)]
    handler400, handler403, handler404, handler500 = (
        site.handler400,
        site.handler403,
        site.handler404,
        site.handler500,
    )


def assert_format(answer, status: int, path: str) -> dict:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) - {"errors"} == FIELDS, body
    assert body["status_code"] == status
    assert body["path"] == path
    assert body["error"] and body["detail"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def post(client: Client, path: str, body="{}", content_type="application/json", **headers):
    return client.generic("POST", path, body, content_type=content_type, headers=headers)


def session_without_csrf(user) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


GENERATE = "/api/v1/generate"
SHORT = '{"prompt": "short", "programming_language": "python"}'
CASES = {
    "400, a field": (400, GENERATE, lambda w: post(w.token, GENERATE, SHORT)),
    "400, broken JSON": (400, GENERATE, lambda w: post(w.token, GENERATE, "{")),
    "400, a query": (400, "/api/v1/runs", lambda w: w.token.get("/api/v1/runs?limit=1e9")),
    "401": (401, "/api/v1/runs", lambda w: w.nobody.get("/api/v1/runs")),
    "401, a broken token": (
        401, "/api/v1/runs", lambda w: w.nobody.get("/api/v1/runs", headers={"Authorization": "Bearer x.y.z"})
    ),
    "403, a role": (403, GENERATE, lambda w: post(w.viewer, GENERATE, json.dumps(w.good))),
    "403, no CSRF token": (403, GENERATE, lambda w: post(w.session, GENERATE)),
    "404, a row": (404, f"/api/v1/runs/{UNKNOWN}", lambda w: w.token.get(f"/api/v1/runs/{UNKNOWN}")),
    "404, a route": (404, "/api/v1/nothing", lambda w: w.token.get("/api/v1/nothing")),
    "404, not an id": (404, "/api/v1/runs/5", lambda w: w.token.get("/api/v1/runs/5")),
    "405": (405, GENERATE, lambda w: w.token.get(GENERATE)),
    "406": (406, "/api/v1/runs", lambda w: w.token.get("/api/v1/runs", headers={"Accept": "text/csv"})),
    "409": (409, "/api/v1/runs/{run_id}/cancel", lambda w: post(w.token, f"/api/v1/runs/{w.ids['run_id']}/cancel")),
    "413": (413, GENERATE, lambda w: post(w.token, GENERATE, json.dumps({"prompt": "x" * 2_000_000}))),
    "415": (415, GENERATE, lambda w: post(w.token, GENERATE, "a=b", "application/x-www-form-urlencoded")),
    "500": (500, "/api/v1/explode", lambda w: w.token.get("/api/v1/explode")),
}  # fmt: skip


@pytest.fixture
def asking(world, member, victor, settings):
    """Who asks in the cases above."""
    settings.ROOT_URLCONF = _Site

    class Asking:
        ids = world
        good = {"prompt": "A function that adds two numbers", "programming_language": "python"}
        token, viewer, nobody, session = (
            with_token(member),
            with_token(victor),
            anonymous(),
            session_without_csrf(member),
        )

    return Asking


@pytest.mark.parametrize("case", CASES)
def test_api_answers_every_status_in_one_format(case, asking):
    status, path, send = CASES[case]
    body = assert_format(send(asking), status, path.format(**asking.ids))
    assert SECRET not in str(body) and "Traceback" not in str(body)
    if case == "400, a field":
        assert body["errors"]["prompt"]


def test_unforeseen_errors_show_no_detail_on_pages_either(asking, member):
    client = signed_in(member)
    answer = client.get("/explode")
    text = answer.content.decode()
    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/html")
    assert SECRET not in text and "Traceback" not in text and "RuntimeError" not in text
    assert answer.headers["X-Request-ID"] in text, "what a person tells the administrator"


@pytest.mark.parametrize(
    ("path", "status"), [(f"/runs/{UNKNOWN}", 404), ("/nothing/here", 404), ("/runs?limit=0", 400), ("/runs/x", 404)]
)
def test_pages_answer_with_html(path, status, member):
    answer = signed_in(member).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["X-Request-ID"] in answer.content.decode()


def test_pages_answer_programs_in_the_one_format(member):
    answer = signed_in(member).get(f"/runs/{UNKNOWN}", headers={"Accept": "application/json"})
    assert_format(answer, 404, f"/runs/{UNKNOWN}")


def test_form_without_csrf_token_is_a_page_with_403(member):
    answer = session_without_csrf(member).post("/studio", {"prompt": "x"})
    assert answer.status_code == 403
    assert "Reload the page" in answer.content.decode()


@pytest.mark.parametrize("path", ["/health", "/", "/sign-in", "/api/v1/runs", "/static/nothing.css", "/nothing"])
def test_every_answer_carries_a_request_id_and_takes_a_good_one_over(path, db):
    client = anonymous()
    assert re.fullmatch(r"[0-9a-f]{16}", client.get(path).headers["X-Request-ID"])
    given = client.get(path, headers={"X-Request-ID": "abc-123-def.456"})
    assert given.headers["X-Request-ID"] == "abc-123-def.456"
    for forged in ("x", "a" * 100, "a b c d e f g", "<script>alert(1)</script>"):
        assert client.get(path, headers={"X-Request-ID": forged}).headers["X-Request-ID"] != forged


@pytest.mark.django_db
def test_too_many_sign_ins_say_when_to_come_back(monkeypatch, settings):
    monkeypatch.undo()
    settings.RATELIMIT_ENABLE = True
    client = anonymous()
    wrong = [{"email": f"a{number}@b.example", "password": "x"} for number in range(21)]  # one would be locked first
    answers = [post(client, "/api/v1/auth/login", json.dumps(body)) for body in wrong]
    assert {answer.status_code for answer in answers[:20]} == {401}
    assert_format(answers[20], 429, "/api/v1/auth/login")
    assert 1 <= int(answers[20].headers["Retry-After"]) <= 60
    pages = [client.post("/sign-in", body) for body in wrong]
    assert pages[20].status_code == 429
    assert pages[20].headers["Content-Type"].startswith("text/html")
    assert 1 <= int(pages[20].headers["Retry-After"]) <= 60


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_headers_that_override_the_method_are_ignored(header, world, member):
    run = f"/api/v1/runs/{world['run_id']}"
    assert with_token(member).get(f"{run}/retry", headers={header: "POST"}).status_code == 405
    assert post(with_token(member), run, **{header: "GET"}).status_code == 405
    assert post(with_token(member), f"{run}?_method=GET", "_method=GET", "text/plain").status_code == 405


def test_trailing_slash_works_without_a_redirect_and_keeps_the_body(member):
    body = json.dumps({"title": "With a slash"})
    answer = post(with_token(member), "/api/v1/conversations/", body)
    assert answer.status_code == 201
    assert answer.json()["title"] == "With a slash"
    assert with_token(member).get("/api/v1/conversations//").status_code in (200, 404)
    assert signed_in(member).get("/runs/").status_code == 200
