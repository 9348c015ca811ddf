"""The agent as people run it, one file in a process of its own, against a live server."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accounts.tenancy import all_organisations, organisation_scope
from appliances import services
from appliances.models import Appliance, Heartbeat

AGENT = Path(__file__).resolve().parents[2] / "agent" / "steward_agent.py"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def agent(tmp_path):
    """Calls the agent with a state directory of its own; isolated (-I), so that it finds nothing of the platform."""

    def call(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command, *rest = arguments
        argv = [sys.executable, "-I", str(AGENT), command, "--state-dir", str(tmp_path / "state"), *rest]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})
        assert not check or done.returncode == 0, done.stderr
        return done

    call.state = tmp_path / "state"
    return call


@pytest.fixture
def code(live_server, acme, alice) -> str:
    return services.appliance_create(organisation_id=acme.pk, actor=alice, name="attic")[1]


@pytest.fixture
def enrolled(agent, live_server, code):
    agent("enroll", "--url", live_server.url, "--code", code)
    return agent


def move_server(agent, url: str) -> None:
    """Points an enrolled agent to another address, as an outage of the network would."""
    file = agent.state / "identity.json"
    identity = json.loads(file.read_text())
    file.write_text(json.dumps(identity | {"url": url}))


def beats() -> list[Heartbeat]:
    with all_organisations():
        return list(Heartbeat.objects.order_by("measured_at", "id"))


def test_it_enrols_and_keeps_its_key_to_itself(enrolled):
    file = enrolled.state / "identity.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(enrolled.state.stat().st_mode) == 0o700
    key = json.loads(file.read_text())["key"]
    with all_organisations():
        appliance = Appliance.objects.get()
    assert appliance.key_hash
    assert key not in (appliance.key_hash, appliance.enrolment_code_hash)


def test_one_beat_brings_real_figures_and_the_configuration(enrolled, alice):
    enrolled("run", "--once")
    (beat,) = beats()
    assert beat.uptime_seconds == pytest.approx(float(Path("/proc/uptime").read_text().split()[0]), abs=60)
    assert beat.metrics["memory_total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert {"load_1m", "disk_total_bytes", "disk_free_bytes", "memory_available_bytes"} <= set(beat.metrics)
    assert beat.config_version is None
    with all_organisations():
        appliance = Appliance.objects.get()
        services.appliance_configure(appliance=appliance, actor=alice, document={"dns": {"zones": ["home.arpa"]}})
    enrolled("run", "--once")
    enrolled("run", "--once")
    assert [beat.config_version for beat in beats()] == [None, 1, 2]
    kept = json.loads((enrolled.state / "config.json").read_text())
    assert (kept["version"], kept["config"]) == (2, {"dns": {"zones": ["home.arpa"]}})
    with all_organisations():
        assert Appliance.objects.get().state == "online"


def test_what_was_measured_while_the_server_was_away_arrives_later_once_and_in_order(enrolled, live_server):
    move_server(enrolled, NOWHERE)
    for _ in range(3):
        assert enrolled("run", "--once", check=False).returncode == 1
    waiting = (enrolled.state / "spool.jsonl").read_text().splitlines()
    assert (len(waiting), beats()) == (3, [])
    move_server(enrolled, live_server.url)
    enrolled("run", "--once")
    ids = [str(beat.beat_id) for beat in sorted(beats(), key=lambda beat: beat.pk)]
    assert ids[:3] == [json.loads(line)["beat_id"] for line in waiting]
    assert len(ids) == 4
    assert not (enrolled.state / "spool.jsonl").exists()
    # The answer to the first delivery was lost: the same beats come again.
    (enrolled.state / "spool.jsonl").write_text("\n".join([*waiting, '{"torn by a power c']) + "\n")
    enrolled("run", "--once")
    assert len(beats()) == 5


def test_a_beat_that_is_never_taken_does_not_hold_up_the_others(enrolled):
    (enrolled.state / "spool.jsonl").write_text(json.dumps({"appliance_id": "nonsense"}) + "\n")
    assert "does not take" in enrolled("run", "--once").stderr
    assert len(beats()) == 1
    assert not (enrolled.state / "spool.jsonl").exists()


def test_a_key_that_is_refused_keeps_the_spool_and_says_so(enrolled):
    with all_organisations():
        Appliance.objects.update(key_hash="0" * 64)
    done = enrolled("run", "--once", check=False)
    assert (done.returncode, beats()) == (1, [])
    assert "401" in done.stderr
    assert (enrolled.state / "spool.jsonl").exists()


def test_it_beats_until_it_is_told_to_stop(enrolled):
    argv = [sys.executable, "-I", str(AGENT), "run", "--state-dir", str(enrolled.state), "--interval", "1"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 20
        while len(beats()) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0
    assert len(beats()) >= 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://steward.example", "https"),
        ("ftp://127.0.0.1", "not the address"),
        ("https://steward.example/?next=x", "not the address"),
    ],
)
def test_it_sends_its_secrets_only_to_where_it_should(agent, url, words):
    done = agent("enroll", "--url", url, "--code", "ABCD", check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (agent.state / "identity.json").exists()


def test_it_follows_no_redirect_with_its_key(enrolled, tmp_path):
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/stolen")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    Thread(target=server.serve_forever, daemon=True).start()
    move_server(enrolled, f"http://127.0.0.1:{server.server_port}")
    done = enrolled("run", "--once", check=False)
    server.shutdown()
    server.server_close()
    assert (done.returncode, asked) == (1, ["/api/v1/heartbeat"])


def test_a_code_works_once_and_an_enrolled_agent_is_not_enrolled_over(enrolled, live_server, code, tmp_path):
    again = enrolled("enroll", "--url", live_server.url, "--code", code, check=False)
    assert "enrolled already" in again.stderr
    (enrolled.state / "identity.json").unlink()
    second = enrolled("enroll", "--url", live_server.url, "--code", code, check=False)
    assert (second.returncode, "401" in second.stderr) == (1, True)


def test_an_agent_that_is_not_enrolled_says_what_to_do(agent):
    done = agent("run", "--once", check=False)
    assert (done.returncode, "enroll --url" in done.stderr) == (1, True)


def test_the_spool_is_bounded(enrolled, acme):
    old = json.dumps({"beat_id": "old", "pad": "x" * 50})
    (enrolled.state / "spool.jsonl").write_text(f"{old}\n" * 10_050)
    move_server(enrolled, NOWHERE)
    enrolled("run", "--once", check=False)
    lines = (enrolled.state / "spool.jsonl").read_text().splitlines()
    assert len(lines) == 10_000
    assert json.loads(lines[-1])["beat_id"] != "old"
    with organisation_scope(acme.pk):
        assert Appliance.objects.get().state == "offline"
