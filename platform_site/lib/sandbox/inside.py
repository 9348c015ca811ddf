"""The first process inside a sandbox: unpacks the files, sets the limits, starts the program, reaps and ends.

It runs as process 1 of the sandbox, so when it ends the kernel ends everything else in there. It is given two
descriptors: a control socket and the plan. It imports nothing of the platform, because inside there is no platform. The
platform trusts nothing it says: the program shares its user and may speak in its place.

Control messages from the platform: `seen` (once, the answer to `started`), `stop` (ask the program to end), `dial` with
a descriptor (send back through it a connection to the program's port), end of file (the platform is gone: end at once).
To the platform: `started`.
"""

# pathlib would double the time that every sandbox takes to start
# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH208
from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from typing import IO, Any

DIAL_SECONDS = 5.0
MAX_DIALS = 64
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    with os.fdopen(int(sys.argv[2]), "rb") as payload:
        plan: dict[str, Any] = json.loads(payload.readline())
        os.umask(0o022)
        unpack(payload, plan["files"], plan["cwd"])
    if os.getpid() != 1:
        adopt_orphans()
    restrain(plan["rlimits"])
    wakeup = arm()
    program = launch(plan["argv"], plan["env"], plan["cwd"])
    control.send(b"started")
    if not control.recv(16):  # the platform takes hold of this process before it may end
        end(137)
    end(Supervisor(control, wakeup, program, plan["port"]).run())


def unpack(payload: IO[bytes], files: list[list[Any]], root: str) -> None:
    for path, mode, size in files:
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            while size:
                size -= file.write(payload.read(min(size, 1 << 20)))


def restrain(rlimits: dict[str, int]) -> None:
    """Lower the limits of this process, which every later process inherits."""
    with contextlib.suppress(OSError):
        os.nice(5)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("800")
    for name, value in rlimits.items():
        number = getattr(resource, name)
        ceiling = resource.getrlimit(number)[1]
        value = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(number, (value, value))


def arm() -> socket.socket:
    """Turn SIGCHLD into something that can be waited for together with the control socket."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def launch(argv: list[str], env: dict[str, str], cwd: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(cwd)
        os.execvpe(argv[0], argv, env)  # noqa: S606 - an argv list, which is the point
    except (OSError, ValueError) as error:
        os.write(2, f"{argv[0]}: {getattr(error, 'strerror', None) or error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


class Supervisor:
    """Waits for the program, for orphans and for the platform, all in one loop."""

    def __init__(self, control: socket.socket, wakeup: socket.socket, program: int, port: int) -> None:
        self.control = control
        self.wakeup = wakeup
        self.program = program
        self.port = port
        self.dials: dict[socket.socket, tuple[socket.socket, float]] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)
        self.selector.register(wakeup, selectors.EVENT_READ)

    def run(self) -> int:
        """Exit code for the whole sandbox."""
        while True:
            # Looked at before every wait: the program may have ended before the loop began.
            if (code := self.reap()) is not None:
                return code
            for key, _ in self.selector.select(1.0 if self.dials else None):
                if key.fileobj is self.wakeup:
                    with contextlib.suppress(OSError):
                        self.wakeup.recv(4096)
                elif key.fileobj is self.control:
                    if not self.obey():
                        return 137
                elif isinstance(key.fileobj, socket.socket):
                    self.answer(key.fileobj)
            self.forget_slow_dials()

    def reap(self) -> int | None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            if pid == self.program:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def obey(self) -> bool:
        """Carry out one message; False when the platform is gone."""
        message, descriptors, _, _ = socket.recv_fds(self.control, 64, 1)
        if message == b"stop":
            with contextlib.suppress(OSError):
                os.killpg(self.program, signal.SIGTERM)
        for descriptor in descriptors:
            self.dial(socket.socket(fileno=descriptor))
        return bool(message)

    def dial(self, reply: socket.socket) -> None:
        if len(self.dials) >= MAX_DIALS:
            reply.close()
            return
        try:
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:  # out of descriptors
            reply.close()
            return
        if connection.connect_ex(("127.0.0.1", self.port)) not in (0, errno.EINPROGRESS):
            connection.close()
            reply.close()
            return
        self.dials[connection] = (reply, time.monotonic() + DIAL_SECONDS)
        self.selector.register(connection, selectors.EVENT_WRITE)

    def answer(self, connection: socket.socket) -> None:
        """Hand a finished connection to the platform; closing the reply without one says that nobody listens."""
        reply, _ = self.dials.pop(connection)
        self.selector.unregister(connection)
        with reply, connection, contextlib.suppress(OSError):
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                socket.send_fds(reply, [b"+"], [connection.fileno()])

    def forget_slow_dials(self) -> None:
        now = time.monotonic()
        for connection in [c for c, (_, deadline) in self.dials.items() if deadline < now]:
            reply, _ = self.dials.pop(connection)
            self.selector.unregister(connection)
            connection.close()
            reply.close()


def adopt_orphans() -> None:
    """Outside a pid namespace: become the parent of daemons, so that `end` can find them."""
    import ctypes  # costs more than the rest of this file, and the confined case does not need it

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(code: int) -> None:
    """Leave. As process 1 that ends everything; otherwise every child is killed, and theirs as they are inherited."""
    while os.getpid() != 1 and (children := own_children()):
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(OSError):
                os.waitpid(child, 0)
    os._exit(code)


def own_children() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            line = file.read()
            if int(line[line.rindex(b")") + 2 :].split()[1]) == os.getpid():
                found.append(int(name))
    return found


if __name__ == "__main__":
    main()
