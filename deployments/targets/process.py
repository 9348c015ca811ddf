"""The target `process`: applications run in sandboxes on this machine, behind doors that Steward holds.

Cookies do not tell ports apart, so an application on Steward's own host name could read and set the session of whoever
visits it. Every app therefore answers on a loopback address of its own, 127.x.y.z with x from 64 to 126, derived from
its id: Linux answers on all of them, and browsers take each for another site. `DEPLOYMENT_ADDRESS` puts all apps on one
address instead, which makes them reachable from other machines and gives that protection up: use an address that no
name of Steward leads to. Where a system has no such addresses (macOS), deploying fails with a message that says so.

A door is a listening socket kept in this process by app, with a port that the kernel chose. It stays open while the
application behind it is restarted or replaced, so the URL stays and no connection is refused meanwhile. A release that
another worker process takes over gets a new port if the old one is still held, and so does an app whose port was taken
while Steward was down.
"""

from __future__ import annotations

import errno
import hashlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings

from aigen.entry_points import command_expand
from deployments.targets.base import Address, Instance, OnOutput, Placement
from platform_site.lib import sandbox
from platform_site.lib.errors import Unavailable

APP_PORT = 8080
LIMITS = sandbox.Limits(open_files=1024)
_FIRST, _LAST = 64, 126


def app_address(app_id: uuid.UUID) -> str:
    """The loopback address of an app: always the same, never 127.0.0.1, and no other app's but by a rare chance."""
    if settings.DEPLOYMENT_ADDRESS:
        return str(settings.DEPLOYMENT_ADDRESS)
    x, y, z = hashlib.sha256(app_id.bytes).digest()[:3]
    return f"127.{_FIRST + x % (_LAST - _FIRST + 1)}.{y}.{1 + z % 254}"


class SandboxedInstance:
    """An application in its sandbox."""

    def __init__(self, process: sandbox.SandboxProcess, host: str) -> None:
        self.process = process
        self._host = host

    def is_alive(self) -> bool:
        return self.process.is_alive()

    def probe(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        with self.process.connect(seconds) as connection:
            return _ask(connection, self._host, deadline)

    def end_reason(self) -> str:
        self.process.wait(1.0)
        if self.process.reason == "exited":
            return f"It ended with exit code {self.process.exit_code}."
        return sandbox.REASON_TEXT[self.process.reason or "lost"].replace("The program", "It")

    def stop(self, grace_seconds: float) -> bool:
        return self.process.stop(grace_seconds)


def _ask(connection: socket.socket, host: str, deadline: float) -> int:
    """The status of `GET /`. A slow or endless answer costs no more time and memory than a short one."""
    connection.settimeout(max(0.01, deadline - time.monotonic()))
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: steward\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while b"\n" not in answer and len(answer) < 1024:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError("no answer in time")
        connection.settimeout(left)
        if not (piece := connection.recv(1024)):
            break
        answer += piece
    version, _, rest = answer.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ConnectionError("the answer is not HTTP")
    return int(rest[:3])


@dataclass
class _Held:
    """An open door: the deployment that it leads to, and the one that it led to before."""

    door: sandbox.Door
    holder: uuid.UUID
    process: sandbox.SandboxProcess
    before: tuple[uuid.UUID, sandbox.SandboxProcess] | None = None


class Process:
    """Applications in sandboxes of this process, and the doors to them."""

    def __init__(self) -> None:
        self._held: dict[uuid.UUID, _Held] = {}
        self._lock = threading.Lock()

    def start(self, placement: Placement, on_output: OnOutput) -> SandboxedInstance:
        process = sandbox.start(
            _argv(placement),
            source_dir=placement.source,
            data_dir=placement.data,
            port=APP_PORT,
            limits=LIMITS,
            on_output=on_output,
        )
        return SandboxedInstance(process, app_address(placement.app_id))

    @contextmanager
    def leading(self, placement: Placement, instance: Instance, wanted_port: int | None) -> Iterator[Address]:
        if not isinstance(instance, SandboxedInstance):
            raise TypeError("the instance was started by another target")
        held = self._lead(placement, instance.process, wanted_port)
        try:
            yield Address(*held.door.address)
        except BaseException:
            self._lead_back(placement, held)
            raise

    def _lead(self, placement: Placement, process: sandbox.SandboxProcess, wanted_port: int | None) -> _Held:
        with self._lock:
            held = self._held.get(placement.app_id)
            if held is None:
                door = _open_door(app_address(placement.app_id), wanted_port)
                held = self._held[placement.app_id] = _Held(door, placement.deployment_id, process)
            else:
                held.before = (held.holder, held.process)
                held.holder, held.process = placement.deployment_id, process
            held.door.attach(process)
            return held

    def _lead_back(self, placement: Placement, held: _Held) -> None:
        with self._lock:
            if held.before is not None:
                (held.holder, held.process), held.before = held.before, None
                held.door.attach(held.process)
                return
            del self._held[placement.app_id]
        held.door.close()

    def withdraw(self, placement: Placement) -> bool:
        with self._lock:
            held = self._held.get(placement.app_id)
            if held is None:
                return False
            if held.before is not None and held.before[0] == placement.deployment_id:
                held.before = None  # nothing leads back to somebody who left
            if held.holder != placement.deployment_id:
                return False
            del self._held[placement.app_id]
        held.door.close()
        return True


def _open_door(host: str, wanted_port: int | None) -> sandbox.Door:
    """A door on `wanted_port` if it is free, else on one that the kernel chooses.

    Raises:
        Unavailable: this machine does not have the address.
    """
    try:
        if wanted_port:
            try:
                return sandbox.Door(host, wanted_port)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
        return sandbox.Door(host, 0)
    except OSError as error:
        raise Unavailable(
            f"The application cannot listen on {host}: {error.strerror or error}. "
            "DEPLOYMENT_ADDRESS names an address of this machine to be used instead."
        ) from error


def _argv(placement: Placement) -> list[str]:
    if sandbox.availability().confined:
        return command_expand(placement.command, {"PORT": str(APP_PORT), "DATA_DIR": "/data"})
    return _filled_in_by_shell(placement.command)


def _filled_in_by_shell(command: Sequence[str]) -> list[str]:
    """Without a sandbox the port is chosen at the start, so a shell fills it in; everything else is quoted."""
    marks = {name: f"\ue000{name}\ue001" for name in ("PORT", "DATA_DIR")}
    line = " ".join(_quoted(part) for part in command_expand(command, marks))
    for name, mark in marks.items():
        line = line.replace(mark, f"'\"${name}\"'")
    return ["/bin/sh", "-c", f"exec {line}"]


def _quoted(part: str) -> str:
    return "'" + part.replace("'", "'\"'\"'") + "'"
