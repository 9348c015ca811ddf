"""Programs that mean harm. Each must end with a clear reason, and the host must not notice that it ran."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from platform_site.lib.sandbox import Limits, Result, run
from platform_site.lib.sandbox.limits import MIB
from platform_site.lib.tests.programs import (
    SMALL,
    needs_sandbox,
    processes_with,
    python,
)

pytestmark = needs_sandbox


def ended(result: Result, reason: str) -> None:
    """It was ended for this reason, nothing of it is left, and it did not take long."""
    assert (result.reason, result.exit_code, result.tree_gone) == (reason, None, True), result
    assert result.duration_seconds < SMALL.wall_seconds + 1.5


# --- taking everything


def test_a_fork_bomb_stays_in_its_jar():
    result = python(
        "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(.01)",
        Limits(wall_seconds=5, processes=20),
    )
    ended(result, "processes")


def test_the_kernel_refuses_more_processes_than_allowed():
    source = """
import subprocess
children = []
try:
    while True: children.append(subprocess.Popen(["sleep", "9"]))
except BlockingIOError:
    print("refused at", len(children), flush=True)
"""
    result = python(source)
    assert result.stdout.startswith(b"refused at ") and int(result.stdout.split()[-1]) <= SMALL.processes, result


def test_threads_count_as_processes():
    source = "import threading, time\nfor _ in range(500): threading.Thread(target=time.sleep, args=(9,)).start()"
    result = python(source)
    assert b"can't start new thread" in result.stderr


def test_one_process_that_eats_memory():
    ended(python("x = bytearray(b'x') * (400 << 20)\nimport time; time.sleep(60)"), "memory")


def test_many_processes_that_eat_memory_together():
    source = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        x = bytearray(b"x") * (20 << 20)
        time.sleep(60)
time.sleep(60)
"""
    ended(python(source), "memory")


def test_memory_shared_by_processes_counts_once():
    source = """
import os, time
x = bytearray(b"x") * (20 << 20)
children = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        time.sleep(.5)
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
print("done")
"""
    assert python(source).stdout == b"done\n"


def test_memory_in_temporary_files_counts():
    source = "x = b'x' * (1 << 20)\nfor n in range(100): open(f'/tmp/{n}', 'wb').write(x)\nimport time; time.sleep(60)"
    ended(python(source, Limits(wall_seconds=5, memory_bytes=48 * MIB, disk_bytes=200 * MIB)), "memory")


@pytest.mark.parametrize("place", ["/work/x", "/tmp/x", "/dev/shm/x"])
def test_a_full_disk_is_the_programs_problem(place):
    source = f"""
import time
try:
    with open({place!r}, "wb") as file:
        for _ in range(200): file.write(b"x" * (1 << 20)); file.flush()
except OSError as error:
    print(error.errno, flush=True)
    time.sleep(60)
"""
    result = python(source)
    assert result.reason in ("disk", "memory"), result
    assert result.duration_seconds < 3


def test_filling_several_temporary_directories_counts_together():
    source = """
import time
for place in "/work/x", "/tmp/x":
    open(place, "wb").write(b"x" * (12 << 20))
time.sleep(60)
"""
    ended(python(source), "disk")


def test_a_million_empty_files():
    ended(
        python("n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close(); n += 1", Limits(wall_seconds=5, inodes=2000)),
        "disk",
    )


def test_a_file_larger_than_the_disk():
    result = python("open('x', 'wb').truncate(1 << 40)")
    assert b"File too large" in result.stderr


def test_no_other_place_can_be_written():
    source = """
import os
for root, names, _ in os.walk("/"):
    names[:] = [name for name in names if os.path.join(root, name) not in ("/proc", "/usr", "/opt")]
    try:
        open(os.path.join(root, "probe"), "w").close()
        print(root)
    except OSError:
        pass
for place in ("/usr/probe", "/opt/python/probe", "/usr/local/probe", "/etc/passwd", "/proc/sys/kernel/hostname",
              "/proc/sysrq-trigger"):
    try:
        open(place, "w").write("x")
        print(place)
    except OSError:
        pass
"""
    assert sorted(python(source).stdout.split()) == [b"/dev/shm", b"/tmp", b"/work"]


def test_descriptors_run_out_for_the_program_only():
    result = python("files = []\nwhile True: files.append(open('/dev/null'))")
    assert b"Too many open files" in result.stderr
    assert (result.reason, result.exit_code) == ("exited", 1)


def test_memory_that_no_process_owns_cannot_be_had():
    source = """
import ctypes, os
try: os.memfd_create("x"); print("memfd")
except OSError: pass
libc = ctypes.CDLL(None)
if libc.shmget(0, 1 << 30, 0o1600) >= 0: print("shmget")
if libc.msgget(0, 0o1600) >= 0: print("msgget")
print("tried")
"""
    assert python(source).stdout == b"tried\n"


def test_burning_processors_in_many_processes():
    source = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    ended(python(source, Limits(wall_seconds=5, cpu_seconds=1)), "cpu")


def test_sleeping_for_ever():
    ended(python("import time; time.sleep(1e6)", Limits(wall_seconds=0.5)), "timeout")


def test_ignoring_every_signal():
    source = """
import signal, time
for number in signal.valid_signals():
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
print("deaf", flush=True)
while True: time.sleep(1)
"""
    result = python(source, Limits(wall_seconds=0.7))
    ended(result, "timeout")
    assert result.stdout == b"deaf\n"


# --- staying behind


def test_a_daemon_ends_with_the_program():
    source = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
        for fd in range(3): os.close(fd)
        os.execvp("sleep", ["sleep", "2718.28"])
    os._exit(0)
os.wait()
time.sleep(.2)
print("left")
"""
    result = python(source)
    assert (result.stdout, result.reason, result.tree_gone) == (b"left\n", "exited", True)
    assert processes_with("2718.28") == []


def test_links_and_pipes_left_behind_are_gone(tmp_path):
    source = """
import os
os.symlink("/etc/shadow", "link"); os.mkfifo("fifo"); os.symlink("/", "/tmp/root"); os.mkdir("d"); os.chmod("d", 0)
try: os.mknod("device", 0o666 | 0o060000, os.makedev(8, 0)); print("device")
except OSError: print("left")
"""
    (tmp_path / "a").write_text("a")
    assert python(source, source_dir=tmp_path).stdout == b"left\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_killing_everything_kills_only_itself():
    source = """
import os, time
for _ in range(4):
    if os.fork() == 0: time.sleep(60)
os.kill(-1, 9); os.kill(1, 9); print("alone")
"""
    bystander = subprocess.Popen(["sleep", "60"])
    assert python(source).stdout == b"alone\n"
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


# --- shouting


def test_a_gigabyte_on_one_line():
    result = python("import os\nx = b'x' * (1 << 20)\nwhile True: os.write(1, x)")
    ended(result, "output")
    assert result.truncated and len(result.stdout) == SMALL.output_bytes


def test_more_output_than_is_kept_is_cut_but_not_punished():
    result = python(f"import sys\nprint('x' * {2 * SMALL.output_bytes}); print('y', file=sys.stderr); sys.exit(4)")
    assert (result.exit_code, result.truncated, result.reason) == (4, True, "exited")
    assert len(result.stdout) + len(result.stderr) == SMALL.output_bytes


def test_bytes_that_are_no_text_arrive_as_they_are():
    noise = bytes(range(256)) * 4 + b"\xed\xa0\x80\xff\x00"
    assert python(f"import os; os.write(1, {noise!r})").stdout == noise


def test_the_host_is_unharmed_after_all_of_this(tmp_path):
    assert run(["python", "-c", "print('fine')"]).stdout == b"fine\n"
    assert not [pid for pid in processes_with("/run/steward/inside.py") if os.getpid() in parents(pid)]


def parents(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.add(pid)
    return found
