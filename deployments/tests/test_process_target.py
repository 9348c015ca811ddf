"""The target `process`: addresses, commands and doors."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import time
import uuid

import httpx
import pytest

from deployments import services
from deployments.targets import target_get
from deployments.targets.base import Placement
from deployments.targets.process import Process, _filled_in_by_shell, app_address
from deployments.tests.conftest import get, is_refused, reload, wait_for
from platform_site.lib import sandbox
from platform_site.lib.errors import InvalidRequest
from tests.services import require_sandbox

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[1].encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_every_app_has_one_loopback_address_of_its_own():
    ids = [uuid.uuid4() for _ in range(500)]
    addresses = [ipaddress.ip_address(app_address(app_id)) for app_id in ids]
    assert [str(address) for address in addresses] == [app_address(app_id) for app_id in ids]
    assert all(
        ipaddress.ip_address("127.64.0.1") <= address <= ipaddress.ip_address("127.126.255.254")
        for address in addresses
    )
    assert len(set(addresses)) >= 499


def test_unknown_target_is_refused():
    with pytest.raises(InvalidRequest):
        target_get("__class__")


@pytest.mark.needs("sandbox")
def test_address_that_this_machine_does_not_have_fails_with_a_clear_message(worker, generation, deploy, settings):
    settings.DEPLOYMENT_ADDRESS = "192.0.2.1"
    failed = wait_for(deploy(generation()), "failed")
    assert failed.reason.startswith("The application cannot listen on 192.0.2.1:")
    assert "DEPLOYMENT_ADDRESS" in failed.reason


@pytest.mark.needs("sandbox")
def test_configured_address_is_used_for_all_apps(worker, generation, deploy, settings):
    settings.DEPLOYMENT_ADDRESS = "127.0.0.1"
    first = wait_for(deploy(generation(), name="First"), "live")
    second = wait_for(deploy(generation(), name="Second"), "live")
    assert first.address == second.address == "127.0.0.1" and first.port != second.port


def test_nothing_is_started_where_there_is_no_sandbox(worker, generation, deploy, monkeypatch):
    missing = sandbox.Availability(ok=False, detail="bubblewrap is not installed.", confined=False)
    monkeypatch.setattr(sys.modules["platform_site.lib.sandbox.availability"], "_known", (time.monotonic(), missing))
    failed = wait_for(deploy(generation()), "failed")
    assert failed.reason == "bubblewrap is not installed."


def test_shell_fills_in_the_port_and_touches_nothing_else(tmp_path):
    hostile = [
        "printf",
        "%s\\n",
        "--bind=127.0.0.1:${PORT}",
        "$(touch M)",
        "`touch M`",
        "'; touch M; '",
        "a b",
        "$HOME",
        "",
    ]
    argv = _filled_in_by_shell(hostile)
    done = subprocess.run(
        argv, env={"PORT": "81", "PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:-1] == ["--bind=127.0.0.1:81", *hostile[3:]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("sandbox")
def test_static_site_is_served_with_the_port_filled_in(worker, generation, deploy):
    site = wait_for(deploy(generation(files={"index.html": "<h1>Hello</h1>", "style.css": "h1{}"})), "live")
    assert get(site) == "<h1>Hello</h1>" and get(site, "style.css") == "h1{}"


@pytest.mark.needs("sandbox")
def test_data_of_one_app_is_not_seen_by_another(worker, generation, deploy):
    first = wait_for(deploy(generation(), name="First"), "live")
    second = wait_for(deploy(generation(), name="Second"), "live")
    assert [get(first, "count"), get(first, "count"), get(second, "count")] == ["1", "2", "1"]


@pytest.fixture
def started(tmp_path):
    """Starts applications that answer with the word they were given."""
    require_sandbox()
    target, instances = Process(), []
    (tmp_path / "app").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "app" / "server.py").write_text(SERVER)
    app_id = uuid.uuid4()

    def start(word: str):
        command = ("python3", "server.py", word)
        placement = Placement(app_id, uuid.uuid4(), tmp_path / "app", tmp_path / "data", command)
        instances.append(target.start(placement, lambda *_: None))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                instances[-1].probe(1)
                return placement, instances[-1]
            except OSError:
                time.sleep(0.02)
        raise AssertionError("it does not answer")

    yield target, start
    assert all(instance.stop(2) for instance in instances)


def answer_at(address) -> str:
    return httpx.get(f"http://{address.host}:{address.port}/", trust_env=False).text


def test_address_leads_back_when_going_live_fails(started):
    target, start = started
    old, old_instance = start("old")
    new, new_instance = start("new")
    with target.leading(old, old_instance, None) as address:
        pass
    with pytest.raises(RuntimeError), target.leading(new, new_instance, None) as same:
        assert same == address and answer_at(address) == "new"
        raise RuntimeError("the commit failed")
    assert answer_at(address) == "old"
    assert not target.withdraw(new)
    assert target.withdraw(old) and not target.withdraw(old)
    with pytest.raises(httpx.ConnectError):
        answer_at(address)


def test_first_address_is_closed_when_going_live_fails(started):
    target, start = started
    placement, instance = start("only")
    with pytest.raises(RuntimeError), target.leading(placement, instance, None) as address:
        raise RuntimeError("the commit failed")
    with pytest.raises(httpx.ConnectError):
        answer_at(address)


def test_address_does_not_lead_back_to_somebody_who_left(started):
    target, start = started
    old, old_instance = start("old")
    new, new_instance = start("new")
    with target.leading(old, old_instance, None) as address:
        pass
    with pytest.raises(RuntimeError), target.leading(new, new_instance, None):
        assert not target.withdraw(old)
        raise RuntimeError("the commit failed")
    with pytest.raises(httpx.ConnectError):
        answer_at(address)


@pytest.mark.needs("sandbox")
def test_two_deployments_at_once_end_with_the_newer_one_live(worker, generation, deploy):
    older, newer = deploy(generation(version="one")), deploy(generation(version="two"))
    wait_for(newer, "live")
    stopped = wait_for(older, "stopped")
    assert "2" in stopped.reason and "release" in stopped.reason.lower()
    assert get(reload(newer)) == "two"


def test_stop_while_another_release_is_coming_up_stops_only_the_old_one(live, generation, deploy, ask):
    newer = deploy(generation(version="two"))
    ask(services.deployment_stop, live)
    wait_for(live, "stopped")
    assert get(wait_for(newer, "live")) == "two"
    ask(services.deployment_stop, newer)
    assert is_refused(wait_for(newer, "stopped"))
