"""No sandbox outlives the platform, and an ordinary user has the same sandbox as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from platform_site.lib.tests.programs import (
    needs_sandbox,
    processes_with,
)

pytestmark = needs_sandbox
ROOT = Path(__file__).resolve().parents[3]


KILLED = """
import pathlib, sys, time
from platform_site.lib.sandbox import start
source = '''
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        print("up", flush=True)
        while True: time.sleep(1)
    os._exit(0)
while True: time.sleep(1)
'''
def said(stream, data):
    print(pathlib.Path(f"/proc/{app.pid}/ns/pid").stat().st_ino, flush=True)
path = pathlib.Path(sys.argv[1]); (path / "server.py").write_text(source)
app = start(["python", "server.py"], source_dir=path, on_output=lambda *a: (time.sleep(.1), said(*a)))
time.sleep(60)
"""


def test_when_the_platform_is_killed_nothing_of_a_sandbox_remains(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    platform = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, env=environment)
    inode = int(platform.stdout.readline())
    assert len(namespace_members(inode)) >= 3
    platform.kill()
    platform.wait()
    platform.stdout.close()
    deadline = time.monotonic() + 3
    while namespace_members(inode) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert namespace_members(inode) == []


STARTING = """
import pathlib, sys, threading, time
from platform_site.lib.sandbox import availability, start
availability()
where = {"source_dir": pathlib.Path(sys.argv[1])}
for _ in range(4):
    threading.Thread(target=start, args=(["sleep", "1414.2"],), kwargs=where).start()
print("starting", flush=True)
time.sleep(60)
"""


def test_when_the_platform_is_killed_while_a_sandbox_starts_nothing_remains(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for delay in (0.01, 0.04, 0.08, 0.12):
        platform = subprocess.Popen([sys.executable, "-c", STARTING, tmp_path], stdout=subprocess.PIPE, env=environment)
        platform.stdout.readline()
        time.sleep(delay)
        platform.kill()
        platform.communicate()
    deadline = time.monotonic() + 3
    while (left := [*processes_with(str(tmp_path)), *processes_with("1414.2")]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def namespace_members(inode: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "ns/pid").stat().st_ino == inode:
                found.append(int(path.name))
        except OSError:
            continue
    return found


ORDINARY = """
import os, pathlib, tempfile, time
from platform_site.lib.sandbox import *
MIB = 1 << 20
found = availability()
assert found.ok and found.confined, found.detail
assert run(["python", "-c", "print(1)"]).stdout == b"1\\n"
bomb = run(["sh", "-c", "f() { f | f & }; f; sleep 9"], limits=Limits(wall_seconds=1, processes=20))
assert bomb.reason in ("processes", "timeout") and b"Cannot fork" in bomb.stderr, bomb
eater = run(["python", "-c", "x = bytearray(b'x') * (400 << 20)"], limits=Limits(memory_bytes=64 * MIB))
assert eater.reason == "memory", eater
app_dir, data_dir = (pathlib.Path(tempfile.mkdtemp()) for _ in range(2))
(app_dir / "server.py").write_text("print(1, file=open('/data/x', 'w'))\\nprint(1, flush=True)\\nwhile True: pass")
up = []
app = start(["python", "server.py"], source_dir=app_dir, data_dir=data_dir, on_output=lambda *a: up.append(a))
while not up: time.sleep(0.01)
assert app.stop(0) and app.reason == "stopped", app.reason
assert (data_dir / "x").read_text() == "1\\n"
print("all well")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all these tests already")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="Debian's Python is not installed")
def test_an_ordinary_user_has_the_same_sandbox(tmp_path_factory):
    place = Path(shutil.copytree(ROOT / "platform_site/lib", Path("/tmp", f"sandbox-{os.getpid()}/platform_site/lib")))
    root = place.parents[1]
    try:
        (root / "django/core").mkdir(parents=True)
        (root / "django/conf.py").write_text("settings = object()\n")
        (root / "django/core/exceptions.py").write_text("class ImproperlyConfigured(Exception): pass\n")
        subprocess.run(["chmod", "-R", "a+rX", root], check=True)
        user = ["setpriv", "--reuid", "61000", "--regid", "61000", "--clear-groups", "--"]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*user, "/usr/bin/python3", "-c", ORDINARY],
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            timeout=60,
        )
        assert done.stdout == "all well\n", done.stderr
    finally:
        shutil.rmtree(root)
