"""A Steward process that is killed with SIGKILL, and the next one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.tests.conftest import wait_until
from platform_site.lib.process import descendants

pytestmark = [pytest.mark.slow, pytest.mark.needs("sandbox")]


class Steward:
    """Steward processes, one after the other, on the same data."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.process: Any = None

    def start(self, *arguments: str) -> None:
        env = dict(os.environ) | {"STEWARD_VAR_DIR": str(self.var), "LOG_LEVEL": "ERROR"}
        command = [sys.executable, "-m", "deployments.tests.steward_process", *arguments]
        self.process = subprocess.Popen(command, env=env, cwd=Path(__file__).parents[2])

    def kill(self) -> set[int]:
        """SIGKILL; answers the processes that it had started."""
        children = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        return children

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0

    def rows(self, query: str) -> list[tuple]:
        connection = sqlite3.connect(self.var / "steward.sqlite3", timeout=20)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # not migrated yet
            return []
        finally:
            connection.close()

    def deployment(self) -> tuple:
        """Status, address and port."""
        return next(iter(self.rows("select status, address, port from deployments_deployment")), (None, None, None))

    def wait_for(self, status: str) -> str:
        wait_until(lambda: self.deployment()[0] == status, 30, f"{status}, it is {self.deployment()}")
        return "http://{1}:{2}/".format(*self.deployment())


@pytest.fixture
def steward(tmp_path):
    running = Steward(tmp_path)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def get(url: str) -> str:
    return httpx.get(url, timeout=5, trust_env=False).text


def is_refused(url: str) -> bool:
    try:
        get(url)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        return False
    return False


def all_gone(pids: set[int]) -> bool:
    return not any(Path("/proc", str(pid)).exists() for pid in pids)


def test_killed_steward_leaves_nothing_and_the_next_one_brings_the_application_back(steward):
    steward.start("quick")
    url = steward.wait_for("live")
    assert get(url + "count") == "1"
    children = steward.kill()
    assert children
    wait_until(lambda: all_gone(children), 5, "the sandbox to be gone")
    assert is_refused(url)

    steward.start()
    wait_until(lambda: not is_refused(url), 30, "the application on its old address")
    assert steward.wait_for("live") == url
    assert get(url + "count") == "2"
    assert event_numbers(steward) == list(range(1, len(event_numbers(steward)) + 1))
    steward.end()
    assert is_refused(url) and steward.deployment()[0] == "queued"


def test_deployment_that_was_interrupted_by_a_kill_is_finished_by_the_next_process(steward):
    steward.start("slow")
    steward.wait_for("starting")
    children = steward.kill()
    wait_until(lambda: all_gone(children), 5, "the sandbox to be gone")

    steward.start()
    url = steward.wait_for("live")
    assert get(url) == "one"
    assert event_numbers(steward) == list(range(1, len(event_numbers(steward)) + 1))
    children = descendants(steward.process.pid)
    steward.end()
    wait_until(lambda: all_gone(children), 5, "the sandbox to be gone")


def event_numbers(steward: Steward) -> list[int]:
    chunks = steward.rows("select body from runs_eventchunk order by first_seq")
    return [event["seq"] for (body,) in chunks for event in json.loads(body)]
