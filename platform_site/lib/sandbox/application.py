"""`start`: a program that stays, such as a deployed application."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from platform_site.lib.sandbox.availability import confinement
from platform_site.lib.sandbox.box import Box, OnOutput, Plan, environment, receive_connection
from platform_site.lib.sandbox.limits import Limits, Reason

logger = logging.getLogger(__name__)

OUTPUT_SECONDS = 5.0
"""How long `wait` and `stop` give the receiver of the last output after the program ended."""


def start(
    argv: Sequence[str],
    *,
    source_dir: Path,
    data_dir: Path | None = None,
    port: int = 8080,
    env: Mapping[str, str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    on_output: OnOutput | None = None,
) -> SandboxProcess:
    """Start an application in a sandbox of its own and return while it runs.

    It sees `source_dir` read-only as /app, its working directory, and `data_dir` read-write as /data. Its network is a
    loopback of its own: it listens on 127.0.0.1:$PORT there, and `SandboxProcess.connect` or a `Door` lead to it. Where
    the platform runs as root, both directories are made accessible to the sandbox's user.

    Args:
        argv: the program and its arguments.
        port: where it listens; every application may use the same.
        env: added to a minimal environment with PORT and DATA_DIR.
        limits: memory, disk, processes and files; those on time and output are for `run` and do not apply.
        on_output: called from one thread with every piece of output, in order; a slow one slows only the application.

    Raises:
        SandboxUnavailable: there is no sandbox here and running without one was not allowed.
    """
    confined = confinement()
    data = data_dir.resolve() if data_dir else None
    source = source_dir.resolve()
    port = port if confined else _free_port()
    own = {"PORT": str(port), "DATA_DIR": "/data" if confined or data is None else str(data)}
    plan = Plan(
        argv=argv,
        env=environment(confined, str(data or source)) | own | dict(env or {}),
        limits=limits,
        confined=confined,
        cwd="/app" if confined else str(source),
        app_dir=source,
        data_dir=data,
        port=port,
        forever=True,
    )
    return SandboxProcess(Box(plan), on_output)


def _free_port() -> int:
    """Without a sandbox the application shares the host's ports; another program may still take this one first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SandboxProcess:
    """A running application. All methods may be called from any thread."""

    def __init__(self, box: Box, on_output: OnOutput | None) -> None:
        self._box = box
        self._on_output = on_output
        self._output = threading.Thread(target=self._pump, name=f"steward-output-{box.pid}", daemon=True)
        self._output.start()

    @property
    def pid(self) -> int:
        """The sandbox's first process, as numbered on the host."""
        return self._box.pid

    @property
    def reason(self) -> Reason | None:
        """Why it ended; None while it runs."""
        return self._box.reason if self._box.ended.is_set() else None

    @property
    def exit_code(self) -> int | None:
        """What it returned; None while it runs or when the platform ended it."""
        return self._box.exit_code

    @property
    def tree_gone(self) -> bool:
        """Whether it is proved that none of its processes remains."""
        return self._box.tree_gone

    @property
    def confined(self) -> bool:
        return self._box.plan.confined

    def is_alive(self) -> bool:
        return not self._box.ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end and its last output; False when `timeout` seconds passed before."""
        ended = self._box.ended.wait(timeout)
        if ended:
            self._output.join(OUTPUT_SECONDS)
        return ended

    def stop(self, grace_seconds: float = 5.0) -> bool:
        """Ask it to end, end it after `grace_seconds`, and say whether it is proved that nothing is left of it."""
        self._box.ask_to_stop()
        if not self._box.ended.wait(grace_seconds):
            self._box.kill("stopped")
        self.wait()
        return self.tree_gone

    def dial(self) -> socket.socket:
        """Ask for a connection without waiting; `receive_connection` reads the answer when the socket is readable.

        Raises:
            OSError: the application has ended.
        """
        return self._box.dial()

    def connect(self, timeout: float = 5.0) -> socket.socket:
        """A connection to the application's port.

        Raises:
            ConnectionRefusedError: it does not listen (yet).
            OSError: it has ended, or `timeout` seconds passed.
        """
        with self.dial() as reply:
            reply.settimeout(timeout)
            return receive_connection(reply)

    def _pump(self) -> None:
        self._box.pump(self._deliver)

    def _deliver(self, stream: str, data: bytes) -> None:
        if self._on_output is None:
            return
        try:
            self._on_output(stream, data)
        except Exception:
            logger.exception("The output of sandbox %s could not be handed over", self.pid)
