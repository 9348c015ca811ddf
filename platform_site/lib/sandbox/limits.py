"""What a sandboxed program may use, and what is said when it ends."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

MIB = 1024 * 1024

Reason = Literal["exited", "timeout", "cancelled", "stopped", "cpu", "memory", "disk", "output", "processes", "lost"]

REASON_TEXT: dict[Reason, str] = {
    "exited": "The program ended by itself.",
    "timeout": "The program ran longer than it may and was ended.",
    "cancelled": "The program was ended because its run was cancelled.",
    "stopped": "The program was stopped.",
    "cpu": "The program used more processor time than it may and was ended.",
    "memory": "The program used more memory than it may and was ended.",
    "disk": "The program stored more data or files than it may and was ended.",
    "output": "The program printed far more than is kept and was ended.",
    "processes": "The program started as many processes and threads as it may and was ended.",
    "lost": "The sandbox ended without saying why.",
}
"""One sentence for a person, by reason."""

SIGNAL_REASONS: dict[int, Reason] = {128 + signal.SIGXCPU: "cpu", 128 + signal.SIGXFSZ: "disk"}
"""Exit codes of programs that the kernel ended at a limit."""


@dataclass(frozen=True)
class Limits:
    """Ceilings for one sandbox, all its processes together unless said otherwise.

    Attributes:
        wall_seconds: time on the clock; not applied to applications that keep running.
        cpu_seconds: processor time; not applied to applications that keep running.
        memory_bytes: resident memory, files in the temporary directories included.
        disk_bytes: stored data, and the size of any one file.
        processes: processes and threads at the same time.
        output_bytes: standard output and error that is kept, together; the rest is counted and discarded.
        open_files: open descriptors in each process.
        inodes: files and directories.
    """

    wall_seconds: float = 60.0
    cpu_seconds: int = 60
    memory_bytes: int = 512 * MIB
    disk_bytes: int = 256 * MIB
    processes: int = 64
    output_bytes: int = MIB
    open_files: int = 256
    inodes: int = 20_000


@dataclass(frozen=True)
class Result:
    """How a program ended.

    Attributes:
        exit_code: what the program returned, 128 + n when a signal ended it; None when the platform ended it.
        stdout, stderr: what was kept of its output.
        duration_seconds: from the request until nothing was left of it.
        reason: why it ended; `REASON_TEXT` says it in a sentence.
        truncated: whether output was discarded.
        tree_gone: whether it is proved that no process of it remains.
        confined: False only when the explicit setting allowed a run without a sandbox.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    duration_seconds: float
    reason: Reason
    truncated: bool
    tree_gone: bool
    confined: bool = True

    @property
    def ok(self) -> bool:
        return self.reason == "exited" and self.exit_code == 0


@dataclass(frozen=True)
class Availability:
    """Whether programs can be run, and one sentence about it. `confined` is False when they would run unprotected."""

    ok: bool
    detail: str
    confined: bool = True
