"""Who gets to the administration's door, and where it is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.sessions import SECOND_FACTOR_KEY
from platform_site.checks import admin_has_a_path_of_its_own
from platform_site.env import BASE_DIR, RecordingEnv, path_prefix
from platform_site.lib.http import trailing_slash
from tests.architecture.conftest import UNKNOWN, filled
from tests.architecture.routes import Door, entry_of, http_routes

ADMIN_ROUTES = sorted(route for route in http_routes() if (entry := entry_of(route)) and entry.door is Door.ADMIN)


@pytest.fixture
def guarded(settings):
    settings.ADMIN_REQUIRES_SECOND_FACTOR = True


@pytest.fixture
def desk(administrator):
    client = Client(raise_request_exception=False)
    client.force_login(administrator)
    return client


def show_second_factor(client):
    session = client.session
    session[SECOND_FACTOR_KEY] = "2030-01-01T00:00:00+00:00"
    session.save()


def test_no_page_of_the_administration_opens_without_a_second_factor(guarded, desk):
    assert len(ADMIN_ROUTES) > 30
    let_in = {}
    for route in ADMIN_ROUTES:
        for method in (desk.get, desk.post):
            answer = method(filled(route, {"object_id": UNKNOWN}))
            if (answer.status_code, answer.headers.get("Location")) != (302, "/account/security"):
                let_in[route] = answer.status_code
    assert let_in == {}


def test_the_security_page_says_what_to_do(guarded, desk, administrator):
    from accounts.models import Authenticator

    page = desk.get("/admin/", follow=True)
    assert "Set up an authenticator first." in page.content.decode()
    Authenticator.objects.create(user=administrator, secret="A" * 32, confirmed_at="2026-01-01T00:00:00Z")
    page = desk.get("/admin/", follow=True)
    assert "in again with a code of your authenticator" in page.content.decode()


def test_a_session_that_showed_one_gets_in(guarded, desk):
    show_second_factor(desk)
    assert desk.get("/admin/").status_code == 200
    assert desk.get("/admin/accounts/user/").status_code == 200


def test_a_second_factor_makes_nobody_an_administrator(guarded, alice):
    client = Client()
    client.force_login(alice)
    show_second_factor(client)
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/").status_code == 403


def test_strangers_are_sent_to_the_sign_in_page(guarded, client, db):
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")


def test_it_is_not_asked_for_unless_the_settings_do(settings, desk):
    settings.ADMIN_REQUIRES_SECOND_FACTOR = False
    assert desk.get("/admin/").status_code == 200


def test_the_administration_can_be_elsewhere():
    where = "from django.urls import reverse; print(reverse('admin:index'))"
    answer = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", where],
        cwd=BASE_DIR,
        env={**os.environ, "ADMIN_PATH": "/back-office/desk"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.stdout.strip() == "/back-office/desk/", answer.stderr


@pytest.mark.parametrize("given", ["", "/", "a b/", "../", "^admin/", "<str:x>/", "a//b", "é/", "a\n/", "a?/"])
def test_what_is_no_path_stops_the_start(monkeypatch, given):
    monkeypatch.setenv("SOME_PATH", given)
    monkeypatch.setattr(RecordingEnv, "asked", set())
    with pytest.raises(ImproperlyConfigured, match="SOME_PATH"):
        path_prefix("SOME_PATH", "admin/")


@pytest.mark.parametrize(("given", "problems"), [("api/", 1), ("sign-in/x/", 1), ("static/", 1), ("desk/", 0)])
def test_a_path_that_other_pages_have_is_an_error(settings, given, problems):
    settings.ADMIN_PATH = given
    assert len(admin_has_a_path_of_its_own(None)) == problems


def test_slashes_stay_where_the_administration_is(settings):
    settings.ADMIN_PATH = "desk/"
    seen = []
    middleware = trailing_slash(lambda request: seen.append(request.path_info) or HttpResponse())
    for path in ("/desk/accounts/user/", "/admin/", "/runs/"):
        middleware(RequestFactory().get(path))
    assert seen == ["/desk/accounts/user/", "/admin", "/runs"]
