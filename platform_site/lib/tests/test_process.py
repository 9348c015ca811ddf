"""Children live as long as the process that started them, whichever thread asked; an identity names one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from platform_site.lib.process import (
    Launch,
    PidNamespace,
    descendants,
    is_process_dead,
    process_identity,
    read_stat,
    spawn,
)


def test_the_forking_thread_outlives_the_thread_that_asked():
    started = []

    def ask() -> None:
        started.append(spawn(Launch(["setpriv", "--pdeathsig", "KILL", "sleep", "30"])))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    time.sleep(0.3)
    (child,) = started
    assert child.poll() is None
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    child.stderr.close()


def test_a_child_gets_none_of_the_platforms_environment(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    child = spawn(Launch(["env"]))
    output, _ = child.communicate()
    assert output.decode().split("=")[0] == "PATH"
    assert b"canary" not in output


def test_a_program_that_is_missing_is_reported_to_the_caller_and_the_thread_survives():
    with pytest.raises(FileNotFoundError):
        spawn(Launch(["/no/such/program"]))
    child = spawn(Launch(["true"]))
    child.communicate()
    assert child.returncode == 0


def test_a_forked_process_can_start_children_too():
    spawn(Launch(["true"])).communicate()
    code = (
        "import os\n"
        "from platform_site.lib.process import Launch, spawn\n"
        "spawn(Launch(['true'])).communicate()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    child = spawn(Launch(['true'])); child.communicate(); os._exit(child.returncode)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 0


def test_this_process_is_not_dead():
    assert is_process_dead(process_identity()) is False


def test_a_process_that_ended_is_dead_even_before_its_parent_looks():
    child = subprocess.Popen(["sleep", "30"])
    identity = process_identity(child.pid)
    assert is_process_dead(identity) is False
    child.kill()
    while read_stat(child.pid).state != "Z":
        time.sleep(0.01)
    assert is_process_dead(identity) is True
    child.wait()
    assert is_process_dead(identity) is True


def test_a_reused_number_is_another_process():
    head, _, started = process_identity().rpartition(":")
    assert is_process_dead(f"{head}:{int(started) - 1}") is True


@pytest.mark.parametrize(
    "identity",
    ["", "nonsense", "host:00000000-0000-0000-0000-000000000000/1:1:1", "a:b/c:d:e"],
    ids=["empty", "nonsense", "another boot", "no numbers"],
)
def test_nothing_is_claimed_about_a_process_that_cannot_be_seen(identity):
    assert is_process_dead(identity) is False


def test_nothing_is_claimed_about_another_container():
    host, rest = process_identity().split("/")
    _, pid, started = rest.split(":")
    assert is_process_dead(f"{host}/1:{int(pid) + 1}:{started}") is False


def test_an_identity_needs_a_process():
    with pytest.raises(ProcessLookupError):
        process_identity(2**22 + 1)


def test_a_process_name_with_parentheses_and_newlines_is_read(tmp_path):
    program = tmp_path / "a) R 1\n("
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "30"])
    time.sleep(0.1)
    assert read_stat(child.pid).parent == os.getpid()
    child.kill()
    child.wait()


def test_descendants_are_children_and_theirs():
    child = subprocess.Popen(["sh", "-c", "sleep 30 & wait"])
    deadline = time.monotonic() + 5
    while len(descendants(child.pid)) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    (grandchild,) = descendants(child.pid)
    assert {child.pid, grandchild} <= descendants(os.getpid())
    for pid in (grandchild, child.pid):
        os.kill(pid, signal.SIGKILL)
    child.wait()


def test_a_namespace_knows_its_members():
    namespace = PidNamespace(os.getpid())
    assert os.getpid() in namespace.members()
    assert namespace.wait_empty(0.05) is False
    assert namespace.inode == Path("/proc/self/ns/pid").stat().st_ino
    namespace.close()
    namespace.close()
