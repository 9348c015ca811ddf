"""Starting child processes, and proving that processes are gone.

Three facts of Linux shape this module.

* `PR_SET_PDEATHSIG`, which ends a sandbox together with its platform process, fires when the *thread* that forked ends,
  not the process. Sandboxes are started from worker threads that come and go, so one immortal thread does every fork.
* A process number is reused. A process is named by boot, pid namespace, number and start time together.
* A namespace's inode number is reused as well. Holding the namespace open keeps the number ours while we look.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PROC = Path("/proc")
_IDENTITY = re.compile(r"(?P<host>.+):(?P<boot>[0-9a-f-]+)/(?P<space>\d+):(?P<pid>\d+):(?P<started>\d+)")


@dataclass(frozen=True)
class Launch:
    """What to start. File descriptors in `pass_fds` keep their numbers in the child; all others are closed."""

    argv: Sequence[str]
    pass_fds: Sequence[int] = ()
    cwd: str = "/"
    stdin: int | IO[bytes] = subprocess.DEVNULL


class _Spawner:
    """The one thread that forks. It lives as long as the process; a forked child makes its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._work: queue.SimpleQueue[tuple[Launch, Future[subprocess.Popen[bytes]]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="steward-spawner", daemon=True).start()

    def start(self, launch: Launch) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((launch, future))
        return future.result()

    def _serve(self) -> None:
        while True:
            launch, future = self._work.get()
            try:
                future.set_result(_popen(launch))
            except BaseException as error:  # the caller gets every failure; the thread must survive it
                future.set_exception(error)


def _popen(launch: Launch) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(launch.argv),
        stdin=launch.stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(launch.pass_fds),
        cwd=launch.cwd,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        start_new_session=True,
        bufsize=0,
    )


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def spawn(launch: Launch) -> subprocess.Popen[bytes]:
    """Start a child from the immortal thread, with pipes on its output and none of the platform's environment.

    Raises:
        OSError: the program cannot be started.
    """
    global _spawner
    with _spawner_lock:
        if _spawner is None or _spawner.pid != os.getpid():
            _spawner = _Spawner()
        spawner = _spawner
    return spawner.start(launch)


def _renew_lock() -> None:
    """A fork may copy the lock while another thread held it; the child starts with a free one."""
    global _spawner_lock
    _spawner_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def process_ids() -> list[int]:
    """Numbers of all processes that this process can see."""
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


@dataclass(frozen=True)
class Stat:
    """The fields of `/proc/<pid>/stat` that the platform uses. Times are in clock ticks, `rss` in pages."""

    state: str
    parent: int
    cpu: int
    threads: int
    started: int
    rss: int

    @classmethod
    def parse(cls, line: str) -> Stat:
        # The name in parentheses may hold spaces and parentheses, so fields are counted from the last one.
        fields = line[line.rindex(")") + 2 :].split()
        cpu = sum(int(field) for field in fields[11:15])
        return cls(fields[0], int(fields[1]), cpu, int(fields[17]), int(fields[19]), int(fields[21]))


def read_stat(pid: int) -> Stat | None:
    """The process's figures, or None when they cannot be read."""
    try:
        return Stat.parse((PROC / str(pid) / "stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None


def descendants(pid: int) -> set[int]:
    """All children of a process and theirs. A daemon that was given to another parent is not among them."""
    children: dict[int, list[int]] = {}
    for other in process_ids():
        if stat := read_stat(other):
            children.setdefault(stat.parent, []).append(other)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


class PidNamespace:
    """The process tree of one sandbox, held open so that its number cannot be given to another one.

    Args:
        pid: a process inside it, as numbered here.

    Raises:
        OSError: the process is gone or belongs to somebody else.
    """

    def __init__(self, pid: int) -> None:
        self._fd = os.open(PROC / str(pid) / "ns" / "pid", os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._fd).st_ino

    def members(self) -> list[int]:
        """Processes in it now. Those of other users cannot be read, and cannot be in a namespace of ours."""
        return list(_namespace_members(self.inode))

    def is_own(self) -> bool:
        """Whether this process is in it as well, and may therefore not end it."""
        return self.inode == _own_namespace()

    def wait_empty(self, seconds: float = 3.0) -> bool:
        """Whether nobody is left in it, watched for up to `seconds`."""
        deadline = time.monotonic() + seconds
        while self.members():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _namespace_members(inode: int) -> Iterator[int]:
    for pid in process_ids():
        with contextlib.suppress(OSError):
            if (PROC / str(pid) / "ns" / "pid").stat().st_ino == inode:
                yield pid


def process_identity(pid: int | None = None) -> str:
    """A name for a process that no other process ever has: `host:boot/pidns:pid:starttime`.

    Raises:
        ProcessLookupError: there is no such process.
    """
    number = os.getpid() if pid is None else pid
    stat = read_stat(number)
    if stat is None:
        raise ProcessLookupError(number)
    return f"{socket.gethostname()}:{_boot()}/{_own_namespace()}:{number}:{stat.started}"


def is_process_dead(identity: str) -> bool:
    """True only when it can be proved from here that the process no longer runs; False also means "not known".

    Another host, another boot or another container gives no proof: their processes cannot be seen from here.
    """
    match = _IDENTITY.fullmatch(identity)
    if match is None or (match["boot"], int(match["space"])) != (_boot(), _own_namespace()):
        return False
    pid = int(match["pid"])
    return not _exists(pid) or _is_other_or_zombie(pid, int(match["started"]))


def _exists(pid: int) -> bool:
    """Asked of the kernel rather than of /proc, which may hide the processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_other_or_zombie(pid: int, started: int) -> bool:
    stat = read_stat(pid)
    if stat is None:
        return False
    # A leader that ended before its threads looks like a zombie too, but still counts them.
    return stat.started != started or (stat.state in "ZX" and stat.threads <= 1)


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _own_namespace() -> int:
    return (PROC / "self/ns/pid").stat().st_ino
