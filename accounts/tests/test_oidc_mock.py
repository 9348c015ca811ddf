"""Single sign-on against oidc-provider-mock, a real provider in a process of its own that can be killed.

It does not check PKCE, which `oidc_peer` and the certified provider of `test_oidc_certified` do.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from accounts.models import GroupMapping, Membership, OidcIdentity
from accounts.tasks import identities_check
from accounts.tests.test_oidc_sign_in import user_of
from conftest import PASSWORD

pytestmark = pytest.mark.slow


class Mock:
    """The process, and its users."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.http = httpx.Client(base_url=self.url, trust_env=False)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                self.http.get("/.well-known/openid-configuration").raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        pytest.fail("oidc-provider-mock did not start")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def describe(self, sub: str, **claims: object) -> None:
        self.http.put(f"/users/{sub}", json={"email_verified": True, **claims}).raise_for_status()

    def revoke(self, sub: str) -> None:
        self.http.post(f"/users/{sub}/revoke-tokens").raise_for_status()

    def sign_in(self, client, sub: str, *, action: str = ""):
        """The provider's form, filled in as a person would."""
        url = client.get("/sign-in/oidc?next=/runs")["Location"]
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["code_challenge_method"] == "S256" and query["code_challenge"] and query["nonce"]
        answer = self.http.post(url, data={"action": action} if action else {"sub": sub})
        assert answer.status_code == 302, unescape(re.sub("<[^>]+>", "", answer.text))[:500]
        back = urlsplit(answer.headers["Location"])
        return client.get(f"{back.path}?{back.query}")


@pytest.fixture
def mock(db, oidc_settings, request):
    running = Mock(*getattr(request, "param", ()))
    oidc_settings.OIDC_DISCOVERY_URL = running.url
    yield running
    running.stop()


def test_people_come_get_roles_by_groups_and_leave(client, mock, alice, acme, clock):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    mock.describe("nora", email="nora@example.org", name="Nora", groups=["staff"])
    assert mock.sign_in(client, "nora")["Location"] == "/runs"
    nora = user_of(client)
    assert (nora.name, Membership.objects.get(user=nora).role) == ("Nora", "member")
    assert OidcIdentity.objects.get().refresh_token
    clock.forward(240)
    mock.describe("nora", email="nora@example.org", groups=[])
    identities_check()
    assert not Membership.objects.filter(user=nora).exists() and user_of(client) == nora
    mock.revoke("nora")
    clock.forward(240)
    identities_check()
    assert user_of(client) is None
    assert not OidcIdentity.objects.get().refresh_token


def test_an_address_of_somebody_else_is_refused_and_a_refusal_is_told(client, mock, alice):
    mock.describe("mallory", email="alice@acme.example")
    assert mock.sign_in(client, "mallory").status_code == 403
    assert mock.sign_in(client, "", action="deny").status_code == 400, "it forgets the state then"
    assert user_of(client) is None


def test_a_killed_provider_is_told_soon_and_passwords_work_on(client, mock, alice, clock):
    mock.describe("nora", email="nora@example.org")
    url = client.get("/sign-in/oidc")["Location"]
    answer = mock.http.post(url, data={"sub": "nora"})
    mock.sign_in(client, "nora")
    mock.stop()
    began = time.monotonic()
    back = urlsplit(answer.headers["Location"])
    assert client.get(f"{back.path}?{back.query}").status_code == 503
    assert time.monotonic() - began < 10
    clock.forward(240)
    identities_check()
    assert user_of(client).email == "nora@example.org", "an outage ends no session at once"
    client.logout()
    client.post("/sign-in", {"email": alice.email, "password": PASSWORD})
    assert user_of(client) == alice


@pytest.mark.parametrize("mock", [("--no-refresh-token", "true")], indirect=True)
def test_a_provider_without_refresh_tokens_vouches_for_minutes(client, mock, clock):
    mock.describe("nora", email="nora@example.org")
    mock.sign_in(client, "nora")
    assert not OidcIdentity.objects.get().refresh_token
    clock.forward(240)
    identities_check()
    assert user_of(client) is not None
    clock.forward(120)
    identities_check()
    assert user_of(client) is None
