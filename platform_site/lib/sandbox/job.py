"""`run`: a program with an end, such as the tests of generated code."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from platform_site.lib.errors import InvalidRequest, TooLarge
from platform_site.lib.sandbox.availability import confinement
from platform_site.lib.sandbox.box import Box, OnOutput, Plan, Stream, environment
from platform_site.lib.sandbox.limits import Limits, Result

OUTPUT_PATIENCE = 8
"""A program that prints this many times what is kept is ended with the reason "output"."""


def run(
    argv: Sequence[str],
    *,
    files: Mapping[str, bytes] | None = None,
    source_dir: Path | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    cancel: threading.Event | None = None,
    on_output: OnOutput | None = None,
    stdin: bytes = b"",
) -> Result:
    """Run a program to its end in a sandbox, in a temporary directory that holds the given files.

    Args:
        argv: the program and its arguments; found on the sandbox's own PATH (`python`, `node`, Debian's tools).
        files: content by relative path.
        source_dir: a host directory whose regular files are copied in as well; links and the rest are left out.
        env: added to a minimal environment; nothing of the platform's own is passed on.
        limits: ceilings; the result's `reason` names the one that ended the program.
        cancel: ends the program within about 100 ms when set.
        on_output: called in this thread with every piece of output that is kept.
        stdin: what the program reads from its standard input.

    Raises:
        SandboxUnavailable: there is no sandbox here and running without one was not allowed.
        InvalidRequest: a path is absolute, climbs out or is otherwise not a plain relative path.
        TooLarge: the files are over the disk limit.
    """
    confined = confinement()
    with tempfile.TemporaryDirectory(prefix="steward-run-") as scratch:
        plan = Plan(
            argv=argv,
            env=environment(confined, scratch) | dict(env or {}),
            limits=limits,
            confined=confined,
            cwd="/work" if confined else scratch,
            files=collect(files or {}, source_dir, limits.disk_bytes),
            stdin=stdin,
            cancel=cancel,
        )
        return execute(plan, on_output)


def execute(plan: Plan, on_output: OnOutput | None = None) -> Result:
    """Run a plan to its end."""
    box = Box(plan)
    output = _Output(box, on_output)
    try:
        box.pump(output.receive)
    except BaseException:  # the caller's on_output gave up, so the program must not go on
        box.kill("cancelled")
        raise
    finally:
        box.ended.wait()
    return Result(
        exit_code=box.exit_code,
        stdout=bytes(output.kept["stdout"]),
        stderr=bytes(output.kept["stderr"]),
        duration_seconds=box.duration,
        reason=box.reason or "lost",
        truncated=output.total > plan.limits.output_bytes,
        tree_gone=box.tree_gone,
        confined=plan.confined,
    )


class _Output:
    """Keeps the first bytes, counts the rest, and ends a program that never stops printing."""

    def __init__(self, box: Box, on_output: OnOutput | None) -> None:
        self.kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.total = 0
        self._box = box
        self._on_output = on_output
        self._room = box.plan.limits.output_bytes

    def receive(self, stream: Stream, data: bytes) -> None:
        self.total += len(data)
        kept, self._room = data[: self._room], max(0, self._room - len(data))
        if kept:
            self.kept[stream] += kept
            if self._on_output:
                self._on_output(stream, kept)
        if self.total > OUTPUT_PATIENCE * self._box.plan.limits.output_bytes:
            self._box.kill("output")


def collect(files: Mapping[str, bytes], source_dir: Path | None, limit: int) -> dict[str, tuple[int, bytes]]:
    """Permission bits and content by relative path; `files` win over those of `source_dir`."""
    found = dict(_read_tree(source_dir, limit)) if source_dir else {}
    found |= {_checked(path): (0o644, content) for path, content in files.items()}
    if sum(len(content) for _, content in found.values()) > limit:
        raise TooLarge("The files are larger than the sandbox's disk.")
    for path in found:
        if any(str(parent) in found for parent in PurePosixPath(path).parents):
            raise InvalidRequest(f"A file stands where {path!r} needs a directory.")
    return found


def _checked(path: str) -> str:
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest(f"{path!r} is not a plain relative path.")
    return path


def _read_tree(root: Path, limit: int) -> Iterator[tuple[str, tuple[int, bytes]]]:
    """Regular files only, opened without following links, so that nothing outside the directory can be meant."""
    read = 0
    for directory, _, names, descriptor in os.fwalk(root):
        for name in names:
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                with os.fdopen(os.open(name, flags, dir_fd=descriptor), "rb") as file:
                    state = os.fstat(file.fileno())
                    read += state.st_size
                    if read > limit:
                        raise TooLarge("The files are larger than the sandbox's disk.")
                    if stat.S_ISREG(state.st_mode):
                        path = (Path(directory) / name).relative_to(root)
                        yield str(path), (0o755 if state.st_mode & stat.S_IXUSR else 0o644, file.read())
