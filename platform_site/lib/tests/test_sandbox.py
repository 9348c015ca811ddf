"""What a program gets in the sandbox, how its end is told, and how an application is reached."""

from __future__ import annotations

import concurrent.futures
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from platform_site.lib.errors import InvalidRequest, SandboxUnavailable, TooLarge
from platform_site.lib.sandbox import Limits, availability, run, start
from platform_site.lib.sandbox.limits import MIB
from platform_site.lib.sandbox.seccomp import MACHINES, seccomp_filter
from platform_site.lib.tests.programs import (
    SERVER,
    fetch,
    needs_sandbox,
    open_files,
    processes_with,
    python,
    reached,
    write_app,
)

pytestmark = needs_sandbox
ROOT = Path(__file__).resolve().parents[3]


def test_a_program_runs_among_its_files_and_its_end_is_told():
    result = run(
        ["python", "-c", "import sys; print(open('pkg/a.txt').read()); print('bad', file=sys.stderr); sys.exit(3)"],
        files={"pkg/a.txt": b"hello"},
    )
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"hello\n", b"bad\n")
    assert (result.reason, result.truncated, result.tree_gone, result.confined) == ("exited", False, True, True)
    assert 0 < result.duration_seconds < 5


def test_the_tests_of_a_generated_python_project_run():
    test = b"import unittest, app\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(app.f(), 2)\n"
    files = {"app.py": b"def f(): return 2\n", "tests/__init__.py": b"", "tests/test_app.py": test}
    result = run(["python", "-m", "unittest", "discover", "-s", "tests", "-t", ".", "-v"], files=files)
    assert result.ok, result.stderr
    assert b"Ran 1 test" in result.stderr


@pytest.mark.needs("node")
def test_the_tests_of_a_generated_javascript_project_run():
    source = b"require('node:test')('one', () => require('node:assert').equal(1 + 1, 2));\n"
    result = run(["node", "--test", "tests/"], files={"tests/app.test.js": source})
    assert result.ok, result.stdout + result.stderr


def test_a_directory_is_copied_without_links(tmp_path):
    (tmp_path / "real").write_text("yes")
    (tmp_path / "tool").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "tool").chmod(0o700)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    result = run(["sh", "-c", "ls; ./tool; echo changed > real"], source_dir=tmp_path, files={"more": b""})
    assert result.stdout.split() == [b"more", b"real", b"tool", b"ran"]
    assert (tmp_path / "real").read_text() == "yes"


def test_the_environment_is_the_callers_and_nothing_else(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    value = "quotes ' \" $HOME `x` #\nnewline é"
    result = python("import os; print(sorted(os.environ)); print(os.environ['V'])", env={"V": value})
    assert value.encode() in result.stdout
    assert b"SECRET_KEY" not in result.stdout


def test_standard_input_is_what_was_given():
    assert run(["cat"], stdin=b"\x00\xffend").stdout == b"\x00\xffend"
    assert run(["cat"]).stdout == b""


def test_output_streams_while_the_program_runs():
    seen: list[tuple[float, bytes]] = []
    python(
        "import time\nprint('a', flush=True)\ntime.sleep(.5)\nprint('b', flush=True)",
        on_output=lambda stream, data: seen.append((time.monotonic(), data)),
    )
    assert b"".join(data for _, data in seen) == b"a\nb\n"
    assert seen[-1][0] - seen[0][0] > 0.3


def test_a_receiver_that_fails_ends_the_program():
    def refuse(stream: str, data: bytes) -> None:
        raise ValueError("no more")

    began = time.monotonic()
    with pytest.raises(ValueError, match="no more"):
        python("import time\nprint('a', flush=True)\ntime.sleep(30)", on_output=refuse)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a\0b"])
def test_a_path_that_is_not_plain_is_refused(path):
    with pytest.raises(InvalidRequest):
        run(["true"], files={path: b""})


def test_a_file_where_a_directory_is_needed_is_refused():
    with pytest.raises(InvalidRequest):
        run(["true"], files={"a": b"", "a/b": b""})


def test_files_over_the_disk_limit_are_refused(tmp_path):
    with pytest.raises(TooLarge):
        run(["true"], files={"a": bytes(MIB + 1)}, limits=Limits(disk_bytes=MIB))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2 * MIB)
    with pytest.raises(TooLarge):
        run(["true"], source_dir=tmp_path, limits=Limits(disk_bytes=MIB))


def test_a_program_that_does_not_exist_is_like_in_a_shell():
    result = run(["no-such-program"])
    assert (result.exit_code, result.reason) == (127, "exited")
    assert result.stderr == b"no-such-program: No such file or directory\n"


def test_cancel_ends_a_program_at_once():
    cancel = threading.Event()
    began: list[float] = []

    def set_cancel(stream: str, data: bytes) -> None:
        began.append(time.monotonic())
        cancel.set()

    source = "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(60)"
    result = python(source, cancel=cancel, on_output=set_cancel)
    assert time.monotonic() - began[0] < 0.3
    assert (result.reason, result.exit_code, result.tree_gone) == ("cancelled", None, True)


def test_many_sandboxes_at_once_do_not_mix():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: python(f"import os; print({n}, len(os.listdir('/proc')) > 3)"), range(16)))
    assert [result.stdout for result in results] == [f"{n} True\n".encode() for n in range(16)]


def test_nothing_is_left_open_behind_a_program():
    python("print(1)")
    before = open_files(), threading.active_count()
    for _ in range(5):
        python("print(1)")
    time.sleep(0.1)
    assert (open_files(), threading.active_count()) <= before


# --- availability


def test_this_machine_has_a_sandbox():
    assert availability(recheck=True).ok


@pytest.fixture
def without_bubblewrap(monkeypatch):
    monkeypatch.setattr(
        availability_of_module(), "_try", lambda: availability_of_module()._missing("bwrap is missing.")
    )
    monkeypatch.setattr(availability_of_module(), "_known", None)


def availability_of_module():
    return sys.modules["platform_site.lib.sandbox.availability"]


def allow_unconfined(monkeypatch, allowed: bool) -> None:
    monkeypatch.setattr(availability_of_module(), "unconfined_is_allowed", lambda: allowed)


def test_without_a_sandbox_execution_is_refused(without_bubblewrap, monkeypatch, tmp_path):
    allow_unconfined(monkeypatch, False)
    marker = tmp_path / "marker"
    with pytest.raises(SandboxUnavailable, match="bwrap is missing"):
        run(["touch", str(marker)])
    with pytest.raises(SandboxUnavailable):
        start(["touch", str(marker)], source_dir=tmp_path)
    assert not marker.exists()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install bubblewrap" in availability_of_module()._try().detail


def test_running_unconfined_needs_the_setting_and_says_so(without_bubblewrap, monkeypatch):
    allow_unconfined(monkeypatch, True)
    assert availability().detail.startswith("UNCONFINED")
    result = run(["python3", "-c", "import os; print(os.getcwd()); print(open('a').read())"], files={"a": b"hi"})
    assert result.confined is False
    assert result.ok, result.stderr
    assert not Path(result.stdout.split()[0].decode()).exists()


def test_unconfined_programs_are_still_ended_with_their_daemons(without_bubblewrap, monkeypatch):
    allow_unconfined(monkeypatch, True)
    source = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "31.4159"])
    os._exit(0)
time.sleep(60)
"""
    result = run(["python3", "-c", source], limits=Limits(wall_seconds=1))
    assert (result.reason, result.exit_code) == ("timeout", None)
    assert processes_with("31.4159") == []


def test_an_unconfined_application_is_reached(without_bubblewrap, monkeypatch, tmp_path):
    allow_unconfined(monkeypatch, True)
    app = start(["python3", "server.py"], source_dir=write_app(tmp_path, SERVER), data_dir=tmp_path)
    with reached(app) as door:
        assert fetch(door) == b"x"
    assert app.stop() is True


def test_the_filter_jumps_only_within_itself():
    for machine in MACHINES:
        rules = seccomp_filter(machine)
        steps = [rules[at : at + 8] for at in range(0, len(rules), 8)]
        for index, step in enumerate(steps):
            assert index + 1 + max(step[2], step[3]) < len(steps) or step[0] == 0x06
    assert seccomp_filter("pdp11") is None


def test_a_program_that_ends_before_the_platform_looks_is_still_a_result(monkeypatch):
    """On a busy host the first process could be gone before the platform had taken hold of it."""
    take_hold = os.pidfd_open

    def slowly(pid: int, flags: int = 0) -> int:
        time.sleep(0.2)
        return take_hold(pid, flags)

    monkeypatch.setattr(os, "pidfd_open", slowly)
    result = run(["true"])
    assert result.ok
    assert result.tree_gone
