"""How much a sandbox uses, read from the host's side, where the program can neither see nor disturb it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from platform_site.lib.process import PROC, Stat, descendants, read_stat
from platform_site.lib.sandbox.limits import Limits, Reason

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 3
"""Looks in a row at which a full disk or process table must be seen, so that a program may touch its limit."""
_SCAN_SHARE = 20
"""A scan of the data directory that took t seconds is repeated after this many times t: at most 5 % of a core."""


@dataclass
class Usage:
    """What one look found: bytes, seconds, processes with threads, files."""

    memory: int = 0
    cpu: float = 0.0
    tasks: int = 0
    disk: int = 0
    inodes: int = 0


@dataclass
class Watch:
    """Compares what a sandbox uses with what it may.

    Args:
        pid: the sandbox's first process, as numbered on the host.
        confined: whether it has its own pid namespace and file system.
        forever: whether it is an application, to which the limits on time do not apply.
        data_dir: the host directory that counts as its disk, besides its temporary directories.
    """

    pid: int
    limits: Limits
    confined: bool
    forever: bool
    data_dir: Path | None
    _started: float = field(default_factory=time.monotonic)
    _at_limit: dict[Reason, int] = field(default_factory=dict)
    _scan: tuple[int, int] = (0, 0)
    _next_scan: float = 0.0
    _looks: int = 0
    _held: int = 0

    def verdict(self) -> Reason | None:
        """The reason to end the sandbox now, if there is one."""
        limits = self.limits
        if not self.forever and time.monotonic() - self._started > limits.wall_seconds:
            return "timeout"
        usage = self.look()
        if usage.memory > limits.memory_bytes:
            return "memory"
        if not self.forever and usage.cpu > limits.cpu_seconds:
            return "cpu"
        if usage.disk > limits.disk_bytes or usage.inodes > limits.inodes:
            return "disk"
        if self._stays("disk", usage.disk > limits.disk_bytes - 2 * _PAGE):
            return "disk"
        return "processes" if self._stays("processes", usage.tasks > limits.processes) else None

    def look(self) -> Usage:
        usage = Usage()
        self._looks += 1
        pids = self._pids()
        for stat_ in filter(None, map(self._stat, pids)):
            usage.memory += stat_.rss * _PAGE
            usage.cpu += stat_.cpu / _TICKS
            usage.tasks += stat_.threads
        if usage.memory > self.limits.memory_bytes:
            usage.memory = self._proportional_memory(pids)  # pages shared between processes count once
        stored = self._add_temporary(usage)
        if self._looks % 4 == 1:
            self._held = self._held_bytes(pids)
        usage.memory += stored
        usage.disk += self._held
        self._add_data(usage)
        return usage

    def _stays(self, reason: Reason, at_limit: bool) -> bool:
        self._at_limit[reason] = self._at_limit.get(reason, 0) + 1 if at_limit else 0
        return self._at_limit[reason] >= _PATIENCE

    @property
    def _root(self) -> Path:
        return PROC / str(self.pid) / "root"

    @property
    def _proc(self) -> Path:
        return self._root / "proc" if self.confined else PROC

    def _pids(self) -> list[int]:
        """Numbers as `_proc` knows them: inside its own namespace a sandbox counts from 1."""
        if not self.confined:
            return [self.pid, *descendants(self.pid)]
        with contextlib.suppress(OSError):
            return [int(path.name) for path in self._proc.iterdir() if path.name.isdigit()]
        return []

    def _stat(self, pid: int) -> Stat | None:
        if not self.confined:
            return read_stat(pid)
        try:
            return Stat.parse((self._proc / str(pid) / "stat").read_text(errors="replace"))
        except (OSError, ValueError, IndexError):
            return None

    def _proportional_memory(self, pids: list[int]) -> int:
        return sum(map(self._proportional_set, pids))

    def _proportional_set(self, pid: int) -> int:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (self._proc / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
        return 0

    def _add_temporary(self, usage: Usage) -> int:
        """Add what the temporary directories hold, and return its bytes: as memory they count a second time."""
        if not self.confined:
            return 0
        stored = 0
        for name in ("work", "tmp", "dev/shm"):
            with contextlib.suppress(OSError):
                state = os.statvfs(self._root / name)
                stored += (state.f_blocks - state.f_bfree) * state.f_frsize
                usage.inodes += state.f_files - state.f_ffree
        usage.disk += stored
        return stored

    def _held_bytes(self, pids: list[int]) -> int:
        """Bytes of deleted files that are still open: on no directory's account, but stored."""
        if self.data_dir is None:
            return 0
        held: dict[tuple[int, int], int] = {}
        for pid in pids:
            with contextlib.suppress(OSError):
                for entry in os.scandir(self._proc / str(pid) / "fd"):
                    if str(Path(entry.path).readlink()).endswith(" (deleted)"):
                        found = entry.stat()
                        if stat.S_ISREG(found.st_mode):
                            held[found.st_dev, found.st_ino] = found.st_blocks * 512
        return sum(held.values())

    def _add_data(self, usage: Usage) -> None:
        if self.data_dir is None:
            return
        if (now := time.monotonic()) >= self._next_scan:
            self._scan = directory_usage(self.data_dir, stop_after=self.limits.inodes)
            self._next_scan = now + _SCAN_SHARE * (time.monotonic() - now)
        usage.disk += self._scan[0]
        usage.inodes += self._scan[1]


def directory_usage(root: Path, *, stop_after: int) -> tuple[int, int]:
    """Bytes stored and entries below a directory. Links are not followed; counting ends beyond `stop_after` entries."""
    seen: set[tuple[int, int]] = set()
    size = count = 0
    waiting = [str(root)]
    while waiting and count <= stop_after:
        try:
            entries = [(entry.path, entry.stat(follow_symlinks=False)) for entry in os.scandir(waiting.pop())]
        except FileNotFoundError:  # removed while we looked; the next scan sees the rest
            continue
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # too deep to be counted is too deep to be kept
                return size, stop_after + 1
            continue
        for path, found in entries:
            count += 1
            if (found.st_dev, found.st_ino) not in seen:
                size += found.st_blocks * 512
                if found.st_nlink > 1:
                    seen.add((found.st_dev, found.st_ino))
            if stat.S_ISDIR(found.st_mode):
                waiting.append(path)
    return size, count
