"""Single sign-on against the certified provider of npm, which demands PKCE and signs with every kind of key."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from accounts.models import GroupMapping, Membership, OidcIdentity
from accounts.tasks import identities_check
from accounts.tests.oidc_peer import CLIENT_SECRET
from accounts.tests.test_oidc_sign_in import CALLBACK, user_of

pytestmark = pytest.mark.slow
SITE = "http://testserver"
OLDEST_NODE = 20


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """The provider's address; skipped where npm or its registry is not there."""
    folder = tmp_path_factory.mktemp("oidc-provider")
    shutil.copy(Path(__file__).with_name("oidc_certified.mjs"), folder)
    _install(folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ["node", "oidc_certified.mjs", str(port), SITE + CALLBACK, CLIENT_SECRET]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield _wait(f"http://127.0.0.1:{port}")
    process.kill()
    process.wait()


def _install(folder: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, so the certified provider `oidc-provider` cannot be")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    major = re.match(r"v(\d+)", said)
    if major is None or int(major[1]) < OLDEST_NODE:
        pytest.skip(f"the certified provider `oidc-provider` needs Node.js {OLDEST_NODE}, here is {said.strip()}")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "oidc-provider@9.13.3"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install the certified provider `oidc-provider` in time")
    if done.returncode:
        pytest.skip(f"npm cannot install the certified provider `oidc-provider`: {done.stderr[:200]}")


def _wait(url: str) -> str:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False).raise_for_status()
            return url
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail("the certified provider did not start")


def approved(url: str) -> str:
    """Signs in as nora and consents, as a browser without scripts would: the callback's path and query."""
    with httpx.Client(trust_env=False) as browser:
        answer = browser.get(url)
        for _ in range(12):
            if answer.next_request is not None:
                target = str(answer.next_request.url)
                if target.startswith(SITE):
                    back = urlsplit(target)
                    return f"{back.path}?{back.query}"
                answer = browser.get(target)
                continue
            (action,) = re.findall(r'<form[^>]*action="([^"]+)"', answer.text)
            (prompt,) = re.findall(r'name="prompt" value="(\w+)"', answer.text)
            answer = browser.post(action, data={"prompt": prompt, "login": "nora", "password": "any"})
    raise AssertionError(answer.text)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_people_come_stay_and_leave(client, certified, oidc_settings, alice, acme, clock, algorithm):
    GroupMapping.objects.create(group="staff", organisation=acme, role="member")
    oidc_settings.OIDC_DISCOVERY_URL, oidc_settings.OIDC_CLIENT_ID = certified, algorithm
    oidc_settings.OIDC_SCOPES = "openid email profile groups offline_access"
    assert client.get(approved(client.get("/sign-in/oidc")["Location"])).status_code == 302
    nora = user_of(client)
    assert (nora.email, Membership.objects.get(user=nora).role) == ("nora@example.org", "member")
    first = OidcIdentity.objects.get().refresh_token
    clock.forward(240)
    identities_check()
    second = OidcIdentity.objects.get().refresh_token
    assert user_of(client) == nora and first != second
    pair = (quote(algorithm), quote(CLIENT_SECRET, safe=""))
    httpx.post(f"{certified}/token/revocation", data={"token": second}, auth=pair, trust_env=False).raise_for_status()
    clock.forward(240)
    identities_check()
    assert user_of(client) is None
    assert not Membership.objects.filter(user=nora).exists()
