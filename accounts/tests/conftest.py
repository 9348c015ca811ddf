"""What tests of accounts share: a clock that can be put forward, and an authenticator in alice's hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pyotp
import pytest
from django.core import mail
from django.utils import timezone

from accounts.services import second_factor
from accounts.services.mail import mail_deliver
from conftest import PASSWORD, _api


class Clock:
    """The platform's clock, put forward by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    moved, real = Clock(), timezone.now

    def now() -> datetime:
        return real() + moved.ahead

    monkeypatch.setattr(timezone, "now", now)
    return moved


@dataclass
class Phone:
    """An authenticator as its owner holds it, and the recovery codes that came with it."""

    secret: str
    recovery_codes: list[str]
    clock: Clock

    def code(self, steps: int = 0) -> str:
        """The code of this moment, or of some steps of 30 seconds later."""
        return pyotp.TOTP(self.secret).at(int(timezone.now().timestamp()) + 30 * steps)

    def next_code(self) -> str:
        """A code that was not shown before."""
        self.clock.forward(30)
        return self.code()


@pytest.fixture
def phone(alice, clock) -> Phone:
    """alice has a second factor."""
    held = Phone(second_factor.authenticator_begin(user=alice).secret, [], clock)
    held.recovery_codes = second_factor.authenticator_confirm(user=alice, code=held.code())
    return held


@pytest.fixture
def letters(db):
    """Sends what waits and answers it: the messages of one recipient, or all, with the paths that they link to."""

    def read(recipient: str | None = None) -> list[Letter]:
        mail_deliver()
        sent = [message for message in mail.outbox if recipient in (None, message.to[0])]
        return [Letter(message.to[0], str(message.subject), str(message.body)) for message in sent]

    return read


@dataclass(frozen=True)
class Letter:
    """A message that was sent."""

    to: str
    subject: str
    text: str

    def path(self, beginning: str) -> str:
        """The path of its link that begins so."""
        return next(
            urlsplit(word).path for word in self.text.split() if f"//{urlsplit(word).netloc}{beginning}" in word
        )


# --- The identity provider ----------------------------------------------------------------------------------------
@pytest.fixture
def oidc_settings(settings):
    """Single sign-on is on, once the address of a provider is set; what was known of earlier providers is forgotten."""
    from accounts.oidc.provider import forget_provider
    from accounts.tests.oidc_peer import CLIENT_ID, CLIENT_SECRET

    forget_provider()
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
    settings.OIDC_NAME = "Okta"
    yield settings
    forget_provider()


@pytest.fixture
def peer(db, oidc_settings):
    """A provider in this process that can be told to lie; it knows Nora, who has no account here."""
    from accounts.tests.oidc_peer import running_peer

    with running_peer() as running:
        oidc_settings.OIDC_DISCOVERY_URL = running.issuer
        yield running


# --- Organisations ------------------------------------------------------------------------------------------------
@pytest.fixture
def join(db):
    """Makes somebody who belongs to an organisation: `join("mia@acme.example", acme, "member")`."""
    from accounts.models import Membership, User

    def made(email: str, organisation, role: str, source: str = "local"):
        user = User.objects.filter(email=email).first() or User.objects.create_user(email, PASSWORD)
        return Membership.objects.create(user=user, organisation=organisation, role=role, source=source)

    return made


@pytest.fixture
def api_of(db):
    """An API client of a user, JSON in and out: `api_of(alice)`."""
    return _api


@pytest.fixture
def pages_of(db):
    """A signed-in browser of a user: `pages_of(alice)`."""
    from django.test import Client

    def made(user) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return made


@pytest.fixture
def at_once(transactional_db):
    """Runs functions at the same time, each in a thread with its own connection; what each answered or raised."""
    from threading import Barrier

    from django.db import connections

    from accounts.tenancy import all_organisations
    from platform_site.lib.errors import StewardError

    def run(*functions):
        start = Barrier(len(functions))

        def one(function):
            start.wait()
            try:
                with all_organisations():
                    return function()
            except StewardError as exc:
                return exc
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(one, functions))

    return run
