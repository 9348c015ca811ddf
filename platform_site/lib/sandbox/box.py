"""One sandbox from its start to the proof that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from platform_site.lib.errors import SandboxUnavailable
from platform_site.lib.process import Launch, PidNamespace, spawn
from platform_site.lib.sandbox import layout
from platform_site.lib.sandbox.limits import MIB, SIGNAL_REASONS, Limits, Reason
from platform_site.lib.sandbox.seccomp import seccomp_filter
from platform_site.lib.sandbox.watch import Watch

Stream = Literal["stdout", "stderr"]
OnOutput = Callable[[str, bytes], None]

START_SECONDS = 30.0
PROOF_SECONDS = 3.0
_CREDENTIALS = struct.Struct("iII")
_INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True)
class Plan:
    """What to run, and with what.

    Attributes:
        files: content and permission bits by relative path, unpacked into the working directory.
        port: where the program listens on its own loopback, for `Box.dial`; 0 when it does not.
        forever: an application rather than a job: its time is not limited.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    limits: Limits
    confined: bool
    cwd: str
    files: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    app_dir: Path | None = None
    data_dir: Path | None = None
    port: int = 0
    forever: bool = False
    stdin: bytes = b""
    cancel: threading.Event | None = None

    def header(self) -> bytes:
        files = [[path, mode, len(content)] for path, (mode, content) in self.files.items()]
        limits = _rlimits(self.limits, confined=self.confined, forever=self.forever)
        plan = {"argv": list(self.argv), "env": dict(self.env), "cwd": self.cwd, "port": self.port}
        return json.dumps(plan | {"files": files, "rlimits": limits}).encode() + b"\n"


def _rlimits(limits: Limits, *, confined: bool, forever: bool) -> dict[str, int]:
    """Ceilings that the kernel keeps for each process, behind the watch, which keeps those for all together."""
    values = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.disk_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_MSGQUEUE": 0,
        # Not the address space, of which Node.js reserves a lot, and wide enough for the watch to see and say "memory".
        "RLIMIT_DATA": 2 * limits.memory_bytes + 512 * MIB,
    }
    if confined:  # otherwise it would count every process of the platform's own user
        values["RLIMIT_NPROC"] = limits.processes + 1
    if not forever:
        values["RLIMIT_CPU"] = limits.cpu_seconds + 1
    return values


class Box:
    """A started sandbox. Threads: the caller pumps output; one watcher keeps the limits and notices the end.

    Raises:
        SandboxUnavailable: it could not be started; the detail says why.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.started = time.monotonic()
        self.reason: Reason | None = None
        self.exit_code: int | None = None
        self.tree_gone = False
        self.duration = 0.0
        self.ended = threading.Event()
        self._asked = False
        self._killed_at = 0.0
        self._lock = threading.Lock()
        self._namespace: PidNamespace | None = None
        self._init_fd = -1
        self.control, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            with inner:
                self._process = self._launch(inner)
            self.pid = self._arrive()
        except BaseException:
            self._abandon()
            raise
        threading.Thread(target=self._watch, name=f"steward-sandbox-{self.pid}", daemon=True).start()

    def pump(self, receive: Callable[[Stream, bytes], None]) -> None:
        """Hand over all output as it comes, until nobody holds the pipes. A slow receiver slows only the program."""
        pipes = {"stdout": _pipe(self._process.stdout), "stderr": _pipe(self._process.stderr)}
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            for name, pipe in pipes.items():
                selector.register(pipe, selectors.EVENT_READ, name)
                stack.enter_context(pipe)
            while selector.get_map():
                for key, _ in selector.select():
                    if data := os.read(key.fd, 65536):
                        receive(key.data, data)
                    else:
                        selector.unregister(key.fileobj)

    def dial(self) -> socket.socket:
        """Ask for a connection to the program's port. The answer is read with `receive_connection`.

        Raises:
            OSError: the sandbox is gone.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self.control, [b"dial"], [theirs.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            ours.close()
            raise
        return ours

    def ask_to_stop(self) -> None:
        """Ask the program to end by itself."""
        self._asked = True
        with contextlib.suppress(OSError):
            self.control.send(b"stop", socket.MSG_DONTWAIT)

    def kill(self, reason: Reason) -> None:
        """End everything in it. The first reason stays; a program that had already ended keeps its own end."""
        with self._lock:
            if self.ended.is_set():
                return
            try:
                if self._init_fd >= 0:
                    signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
                else:
                    self.control.shutdown(socket.SHUT_RDWR)  # outside a sandbox the first process kills its children
            except OSError:
                return
            self.reason = self.reason or reason
            self._killed_at = self._killed_at or time.monotonic()

    def _insist(self) -> None:
        """A first process that does not leave when it is told to is ended, even if children of it stay behind."""
        if time.monotonic() - self._killed_at > PROOF_SECONDS:
            self._process.kill()

    def _launch(self, inner: socket.socket) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as stack:
            payload = _memory_file(stack, self.plan.header(), *(content for _, content in self.plan.files.values()))
            stdin = os.fdopen(_memory_file(stack, self.plan.stdin), "rb", closefd=False) if self.plan.stdin else None
            tail = [str(inner.fileno()), str(payload)]
            keep = [inner.fileno(), payload]
            if not self.plan.confined:
                argv = [sys.executable, "-I", "-S", str(_INSIDE), *tail]
                return spawn(Launch(argv, keep, stdin=stdin or subprocess.DEVNULL))
            descriptors = _descriptors(stack)
            keep += [descriptors.init, *descriptors.etc.values()]
            keep += [descriptors.seccomp] if descriptors.seccomp is not None else []
            python = f"{layout.PYTHON_HOME}/bin/python"
            argv = layout.command(self._view(), descriptors, [python, "-I", "-S", layout.INIT_PATH, *tail])
            return spawn(Launch(argv, keep, stdin=stdin or subprocess.DEVNULL))

    def _view(self) -> layout.View:
        plan = self.plan
        user = layout.pick_user(plan.data_dir)
        view = layout.View(plan.app_dir, plan.data_dir, not plan.forever, plan.limits.disk_bytes, user)
        layout.prepare_directories(view)
        return view

    def _arrive(self) -> int:
        """Wait until the program was started; the number of the sandbox's first process on the host.

        The kernel adds that number to the greeting. bubblewrap could write it to a pipe, but if the platform died just
        then, the broken pipe would leave a half-made sandbox behind for ever.
        """
        self.control.settimeout(START_SECONDS)
        try:
            greeting, ancillary, _, _ = self.control.recvmsg(64, socket.CMSG_SPACE(_CREDENTIALS.size))
            if greeting != b"started":
                raise self._failure()
            pid: int = _CREDENTIALS.unpack(ancillary[0][2])[0]
            if self.plan.confined:
                self._init_fd = os.pidfd_open(pid)
                self._namespace = PidNamespace(pid)
            self.control.send(b"seen")
        except OSError as error:
            raise self._failure() from error
        self.control.settimeout(None)
        if self._namespace and self._namespace.is_own():
            raise SandboxUnavailable("The sandbox shares its processes with the host.")
        return pid

    def _failure(self) -> SandboxUnavailable:
        """What the sandbox's own programs said before they gave up."""
        self._process.kill()
        said = _pipe(self._process.stderr).read(4096).decode(errors="replace").strip().splitlines()
        return SandboxUnavailable(f"The sandbox did not start: {said[-1] if said else 'no reason was given'}")

    def _abandon(self) -> None:
        self.control.close()
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.wait()
            _pipe(self._process.stdout).close()
            _pipe(self._process.stderr).close()
        self._release()

    def _watch(self) -> None:
        watch = Watch(self.pid, self.plan.limits, self.plan.confined, self.plan.forever, self.plan.data_dir)
        tick = 200 if self.plan.forever else 50
        exit_fd = os.pidfd_open(self._process.pid)
        poll = select.poll()
        poll.register(exit_fd, select.POLLIN)
        try:
            while not poll.poll(tick):
                if self.plan.cancel is not None and self.plan.cancel.is_set():
                    self.kill("cancelled")
                elif self._killed_at:
                    self._insist()
                elif verdict := watch.verdict():
                    self.kill(verdict)
        finally:
            os.close(exit_fd)
            self._conclude()

    def _conclude(self) -> None:
        code = self._process.wait()
        self.tree_gone = self._namespace.wait_empty(PROOF_SECONDS) if self._namespace else code >= 0
        with self._lock:
            self.duration = time.monotonic() - self.started
            if self.reason is None:
                self.reason, self.exit_code = self._own_end(code)
            self._release()
            self.control.close()
            self.ended.set()

    def _own_end(self, code: int) -> tuple[Reason, int | None]:
        """Reason and exit code of a program that the platform did not end."""
        if code < 0:
            return "lost", None
        if self._asked:
            return "stopped", code
        if code in SIGNAL_REASONS:
            return SIGNAL_REASONS[code], None
        return "exited", code

    def _release(self) -> None:
        if self._namespace:
            self._namespace.close()
        if self._init_fd >= 0:
            os.close(self._init_fd)
            self._init_fd = -1


def environment(confined: bool, scratch: str = "") -> dict[str, str]:
    """What a program's environment holds before its caller adds to it."""
    if confined:
        return layout.base_environment()
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def receive_connection(reply: socket.socket) -> socket.socket:
    """The connection that was asked for. What comes out of a sandbox may be anything, so it is looked at.

    Raises:
        ConnectionRefusedError: the program does not listen (yet).
    """
    _, descriptors, _, _ = socket.recv_fds(reply, 1, 1)
    for descriptor in descriptors:
        try:
            connection = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            continue
        if connection.type == socket.SOCK_STREAM and connection.family in (socket.AF_INET, socket.AF_INET6):
            return connection
        connection.close()
    raise ConnectionRefusedError("The application does not listen on its port.")


def _descriptors(stack: contextlib.ExitStack) -> layout.Descriptors:
    rules = seccomp_filter()
    return layout.Descriptors(
        init=_memory_file(stack, _INSIDE.read_bytes()),
        seccomp=None if rules is None else _memory_file(stack, rules),
        etc={path: _memory_file(stack, text.encode()) for path, text in layout.ETC_FILES.items()},
    )


def _memory_file(stack: contextlib.ExitStack, *parts: bytes) -> int:
    """A file without a name that holds `parts`, read from its start, closed with the stack."""
    descriptor = os.memfd_create("steward", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        for part in parts:
            file.write(part)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without pipes")
    return pipe
