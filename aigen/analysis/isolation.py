"""A few disposable processes in which hostile source text is parsed.

A worker serves many files, so a check costs a fraction of a millisecond beyond the parsing itself. It limits its own
processor time and memory, holds no environment, file or connection of the platform, and ends when its input ends. One
that dies takes nothing with it; the next check starts another. Parsing there also leaves this process free to stream.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from aigen.analysis.findings import SyntaxFinding
from platform_site.lib.errors import Unavailable
from platform_site.lib.process import Launch, spawn

MAX_WORKERS = 2
ANSWER_SECONDS = 10.0
"""How long a caller waits at most. A worker ends itself far sooner, by its processor time."""

START_SECONDS = 30.0
READY = b"ready\n"
"""What a worker says first: one that cannot start must not be taken for one that a text has killed."""
HEADER = struct.Struct(">I")
_ROOT = str(Path(__file__).resolve().parents[2])


class WorkerFailedError(Exception):
    """The worker died or did not answer: the text is too much for the parser."""


class _Worker:
    def __init__(self) -> None:
        argv = [sys.executable, "-m", "aigen.analysis.worker"]
        try:
            self._process = spawn(Launch(argv, cwd=_ROOT, stdin=subprocess.PIPE))
        except OSError as exc:
            raise Unavailable("The syntax checker cannot be started", retryable=True) from exc
        try:
            self._receive(len(READY), time.monotonic() + START_SECONDS)
        except (OSError, EOFError) as exc:
            self.discard()
            raise Unavailable("The syntax checker cannot be started", retryable=True) from exc

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, str]) -> list[dict[str, Any]]:
        """The worker's answer. Raises `WorkerFailedError`; the worker is of no use after that."""
        data = json.dumps(request).encode()
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            self._send(HEADER.pack(len(data)) + data)
            (size,) = HEADER.unpack(self._receive(HEADER.size, deadline))
            findings: list[dict[str, Any]] = json.loads(self._receive(size, deadline))
        except (OSError, ValueError, EOFError) as exc:
            raise WorkerFailedError("it is too large or too deeply nested for the parser") from exc
        return findings

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  (a pipe was asked for)
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101  (always a pipe)
        received = b""
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        while len(received) < size:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise EOFError("no answer in time")
            piece = self._process.stdout.read(size - len(received))
            if not piece:
                raise EOFError("the worker died")
            received += piece
        return received

    def discard(self) -> None:
        """End the process and forget its pipes."""
        with contextlib.suppress(OSError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


class _Pool:
    """At most `MAX_WORKERS` workers, started when they are needed and kept."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(MAX_WORKERS)
        self._idle: list[_Worker] = []

    def ask(self, request: dict[str, str]) -> list[dict[str, Any]]:
        with self._slots:
            worker = self._take()
            try:
                findings = worker.ask(request)
            except BaseException:
                worker.discard()
                raise
            self._idle.append(worker)
            return findings

    def _take(self) -> _Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return _Worker()
            if worker.is_alive():
                return worker
            worker.discard()


_pool = _Pool()


def _renew_pool() -> None:
    """A forked child must not talk over its parent's pipes."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_renew_pool)


def inspect_isolated(path: str, content: str, language: str) -> list[SyntaxFinding]:
    """`aigen.analysis.parsing.inspect` in a worker.

    Raises:
        WorkerFailedError: the text was too much for the parser.
        Unavailable: no worker can be started.
    """
    findings = _pool.ask({"path": path, "content": content, "language": language})
    return [SyntaxFinding(path, **finding) for finding in findings]
