"""A deployed application from its first answer to the proof that it is gone."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from accounts.tenancy import all_organisations
from deployments import services
from deployments.models import App, Release
from deployments.tests.conftest import SERVER, get, is_refused, log_of, reload, wait_for, wait_until
from platform_site.lib.process import descendants

BROKEN = "import os, sys\nprint('no such table', file=sys.stderr)\nos._exit(4)\n"


def sandboxes() -> set[int]:
    """Processes of this process's sandboxes that are there now. The parsers that earlier tests left idle are none."""
    return {pid for pid in descendants(os.getpid()) if b"aigen.analysis.worker" not in command_line(pid)}


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_deployed_application_answers_on_its_own_address(live):
    assert get(live) == "one"
    assert live.address.startswith("127.") and live.address != "127.0.0.1"
    assert live.reason == "" and live.live_at is not None


@pytest.mark.slow
@pytest.mark.needs("sandbox")
def test_first_answer_comes_within_three_seconds_of_the_click(worker, generation, deploy):
    began = time.perf_counter()
    assert get(wait_for(deploy(generation()), "live")) == "one"
    assert time.perf_counter() - began < 3


def test_its_log_tells_every_step_and_every_request(live):
    get(live, "count")
    wait_until(lambda: '"GET /count HTTP/1.1" 200' in log_of(live), what="the request line")
    log = log_of(live)
    for step in ("building", "starting", "health", "live"):
        assert f"state/: {step}" in log
    assert "line/stdout: version one listens" in log
    assert live.release.archive_sha256 in log


def test_stop_leaves_no_process_and_no_port(live, ask):
    assert sandboxes()
    stopping = ask(services.deployment_stop, live)
    assert stopping.status in ("stopping", "stopped")
    stopped = wait_for(live, "stopped")
    assert stopped.reason == "Stopped by Alice." and stopped.url == "" and stopped.stopped_at is not None
    assert is_refused(live)
    assert not sandboxes()


def test_restart_starts_another_process_on_the_same_url_with_its_data(live, ask):
    assert get(live, "count") == "1"
    ask(services.deployment_restart, live)
    wait_until(lambda: log_of(live).count("state/: live") == 2)
    again = wait_for(live, "live")
    assert again.url == live.url
    assert get(again, "count") == "2"


def test_stopped_application_starts_again_on_its_url_with_its_data(live, ask):
    assert get(live, "count") == "1"
    ask(services.deployment_stop, live)
    wait_for(live, "stopped")
    ask(services.deployment_restart, live)
    again = wait_for(live, "live")
    assert again.url == live.url
    assert get(again, "count") == "2"


def test_crash_is_seen_and_the_application_comes_back(live):
    with pytest.raises(httpx.HTTPError):
        get(live, "crash")
    wait_until(lambda: log_of(live).count("state/: live") == 2)
    assert get(wait_for(live, "live")) == "one"
    assert "It ended with exit code 3. Last output: " in reason_in_log(live)
    assert "going down now" in reason_in_log(live)


def reason_in_log(deployment) -> str:
    from runs.events import events_page

    events, _ = events_page(deployment.run_id, 0, limit=1000)
    return " ".join(str(event.get("data", {}).get("reason", "")) for event in events)


@pytest.mark.needs("sandbox")
def test_application_that_keeps_crashing_fails_with_its_last_words(worker, generation, deploy):
    short_life = "import threading, time\nthreading.Thread(target=Server.serve_forever).start()\ntime.sleep(0.6)\n"
    last_words = "print('out of luck', flush=True)\nos._exit(7)\n"
    server = SERVER.replace("http.server.Thr", "Server = http.server.Thr").replace(".serve_forever()", "")
    server += short_life + last_words
    deployment = deploy(generation(files={"server.py": server, "Procfile": "web: python server.py"}))
    failed = wait_for(deployment, "failed", seconds=30)
    assert "crashed 3 times within a minute" in failed.reason
    assert "exit code 7" in failed.reason and "out of luck" in failed.reason
    assert is_refused(failed)
    assert not sandboxes()


@pytest.mark.needs("sandbox")
def test_application_that_ends_at_once_never_counts_as_live(worker, generation, deploy):
    deployment = deploy(generation(files={"server.py": BROKEN, "Procfile": "web: python server.py"}))
    failed = wait_for(deployment, "failed")
    assert failed.reason == "It ended before it answered. It ended with exit code 4. Last output: no such table"
    assert failed.live_at is None and failed.port is None


@pytest.mark.needs("sandbox")
def test_application_that_only_answers_errors_never_counts_as_live(worker, generation, deploy, settings):
    settings.DEPLOYMENT_HEALTH_SECONDS = 1.0
    server = SERVER.replace("send_response(200)", "send_response(503)")
    failed = wait_for(deploy(generation(files={"server.py": server, "Procfile": "web: python server.py"})), "failed")
    assert failed.reason.startswith("It did not answer within 1 seconds: GET / answered 503.")
    assert not sandboxes()


@pytest.mark.needs("sandbox")
def test_application_that_listens_to_nobody_fails_in_time_and_is_gone(worker, generation, deploy, settings):
    settings.DEPLOYMENT_HEALTH_SECONDS = 0.5
    silent = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n"
    failed = wait_for(deploy(generation(files={"server.py": silent, "Procfile": "web: python server.py"})), "failed")
    assert "nothing listens on its port" in failed.reason
    assert not sandboxes()


@pytest.mark.needs("sandbox")
def test_deployment_can_be_cancelled_before_it_is_live(worker, generation, deploy, ask):
    silent = "import time\ntime.sleep(60)\n"
    deployment = deploy(generation(files={"server.py": silent, "Procfile": "web: python server.py"}))
    wait_for(deployment, "starting")
    ask(services.deployment_cancel, deployment)
    assert wait_for(deployment, "stopped").reason == "Cancelled by Alice."
    assert not sandboxes()


def test_new_release_takes_the_url_over_without_a_refused_request(live, generation, deploy):
    seen, stop = [], threading.Event()

    def visit() -> None:
        while not stop.is_set():
            seen.append(get(live))
            time.sleep(0.01)

    visitor = threading.Thread(target=visit)
    visitor.start()
    newer = wait_for(deploy(generation(version="two")), "live")
    older = wait_for(live, "stopped")
    stop.set()
    visitor.join()
    assert newer.url == live.url and get(newer) == "two"
    assert older.reason == "Replaced by release 2."
    assert set(seen) == {"one", "two"} and seen == sorted(seen)
    assert len({newer.app_id, live.app_id}) == 1 and newer.release.number == 2


def test_failing_release_leaves_the_old_one_live(live, generation, deploy):
    failed = wait_for(deploy(generation(files={"server.py": BROKEN, "Procfile": "web: python server.py"})), "failed")
    assert failed.release.number == 2
    assert reload(live).status == "live" and get(live) == "one"


def test_rollback_brings_the_earlier_release_back_on_the_same_url(live, generation, deploy, ask):
    newer = wait_for(deploy(generation(version="two")), "live")
    back = wait_for(ask(services.deployment_rollback, newer), "live")
    assert back.pk != live.pk and back.release_id == live.release_id
    assert back.url == live.url and get(back) == "one"
    wait_for(newer, "stopped")


def test_nothing_of_the_platform_leaks_into_the_application(live, monkeypatch):
    names = set(json.loads(get(live, "env")))
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "PORT", "DATA_DIR", "PWD", "LC_CTYPE", "LD_LIBRARY_PATH",
                     "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}  # fmt: skip
    assert not {"SECRET_KEY", "STEWARD_VAR_DIR", "DJANGO_SETTINGS_MODULE", "DATABASE_URL"} & names


def test_worker_that_stops_hands_the_application_to_the_next_one(worker, live):
    from runs.worker import InProcessWorker

    worker.stop(grace_seconds=15)
    assert not sandboxes() and is_refused(live)
    assert reload(live).status == "queued"
    following = InProcessWorker(work_slots=2)
    following.start()
    try:
        again = wait_for(live, "live")
        assert again.url == live.url and get(again) == "one"
    finally:
        following.stop(grace_seconds=15)


def test_application_gets_a_new_port_and_a_line_about_it_when_its_own_is_taken(live, ask):
    import socket

    ask(services.deployment_stop, live)
    wait_for(live, "stopped")
    with socket.create_server((live.address, live.port)):
        ask(services.deployment_restart, live)
        again = wait_for(live, "live")
    assert again.port != live.port and get(again) == "one"
    assert f"Port {live.port} was taken meanwhile" in log_of(again)


def test_damaged_archive_is_never_started(worker, generation, deploy, monkeypatch):
    from runs import dispatch

    monkeypatch.setattr(dispatch, "dispatch", lambda *_: None)
    monkeypatch.setattr("runs.queue.claim_next", lambda *_, **__: None)
    deployment = deploy(generation())
    with all_organisations():
        Release.objects.filter(pk=deployment.release_id).update(archive=b"PK something else")
    monkeypatch.undo()
    failed = wait_for(deployment, "failed")
    assert "does not match its checksum" in failed.reason


@pytest.mark.needs("sandbox")
def test_apps_have_addresses_of_their_own(worker, generation, deploy):
    first, second = (deploy(generation(), name=name) for name in ("First", "Second"))
    assert wait_for(first, "live").address != wait_for(second, "live").address
    with all_organisations():
        assert App.objects.count() == 2


@pytest.mark.slow
def test_fifty_starts_and_stops_leave_no_thread_and_no_descriptor(live, ask):
    def cycle() -> None:
        ask(services.deployment_stop, live)
        wait_for(live, "stopped")
        ask(services.deployment_restart, live)
        wait_for(live, "live")

    for _ in range(3):
        cycle()
    threads, descriptors = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        cycle()
    assert threading.active_count() <= threads + 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 3
    assert get(live) == "one"
