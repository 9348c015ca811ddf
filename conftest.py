"""The world that all tests share: acme and globex, an administrator, alice and bob."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from tests.services import require

PASSWORD = "correct horse battery staple"


def pytest_configure(config: pytest.Config) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: what a test `needs` of this machine."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            require(name)


@pytest.fixture(autouse=True)
def steady_windows(monkeypatch) -> None:
    """No window of a rate limit ends within a test: it begins with it."""
    begun = int(time.time())
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: begun + period)


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    """Rate limits count anew in every test."""
    cache.clear()
    yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> Iterator[None]:
    """PostgreSQL drops no database that a thread is still connected to, so threads that outlived a test are cut off.

    On SQLite the tables are emptied between tests by DELETE, which audit entries refuse elsewhere.
    """
    from django.db import connection

    if connection.vendor == "sqlite":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS steward_append_only_DELETE")
    yield
    if connection.vendor == "postgresql":
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


@pytest.fixture
def acme(db):
    from accounts.models import Organisation

    return Organisation.objects.create(name="Acme", slug="acme")


@pytest.fixture
def globex(db):
    from accounts.models import Organisation

    return Organisation.objects.create(name="Globex", slug="globex")


def _member(email: str, organisation, role: str):
    from accounts.models import Membership, User

    user = User.objects.create_user(email, PASSWORD, name=email.split("@")[0].title())
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return user


@pytest.fixture
def alice(acme):
    """The owner of acme."""
    return _member("alice@acme.example", acme, "owner")


@pytest.fixture
def victor(acme):
    """A viewer in acme."""
    return _member("victor@acme.example", acme, "viewer")


@pytest.fixture
def bob(globex):
    """The owner of globex, an outsider to acme."""
    return _member("bob@globex.example", globex, "owner")


@pytest.fixture
def administrator(db):
    """A platform administrator with an organisation of their own."""
    from accounts.services.accounts import administrator_ensure

    return administrator_ensure(email="admin@steward.example", password=PASSWORD)[0]


def _api(user):
    from rest_framework.test import APIClient

    from accounts.services.families import tokens_issue

    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer " + tokens_issue(user=user)["access"])
    return client


@pytest.fixture
def alice_api(alice):
    return _api(alice)


@pytest.fixture
def victor_api(victor):
    return _api(victor)


@pytest.fixture
def bob_api(bob):
    return _api(bob)


@pytest.fixture
def alice_pages(alice) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def bob_pages(bob) -> Client:
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture
def worker(transactional_db):
    """The embedded worker, in threads of the test's process."""
    from runs.worker import InProcessWorker

    running = InProcessWorker(work_slots=2)
    running.start()
    yield running
    running.stop(grace_seconds=15)


@pytest.fixture
def live_asgi(transactional_db) -> Iterator[str]:
    """The whole ASGI application behind a real server; answers its base URL."""
    import socket
    import threading
    import time

    import uvicorn
    from django.db import connections

    from platform_site.lib.server import server_config

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(grace_seconds=1))

    def serve() -> None:
        server.run(sockets=[listener])
        connections.close_all()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
