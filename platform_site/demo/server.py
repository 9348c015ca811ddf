"""A server for the walk: `manage.py up` in a process of its own, on a free port, with a data folder that is removed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from platform_site.demo.failure import StepFailed
from platform_site.env import BASE_DIR
from platform_site.lib.process import descendants, is_process_dead, process_identity

READY = re.compile(r"Steward is ready: (http://\S+?)/?\s")
START_SECONDS = 90.0
STOP_SECONDS = 25.0
TAIL_LINES = 15
# The walk uses the embedded mode whatever the installation around it is configured for; models stay as configured.
EMBEDDED = {
    "STEWARD_MODE": "embedded",
    "DEBUG": "false",
    "SIGN_UP_OPEN": "true",
    "HTTPS_ONLY": "false",
    "ALLOWED_HOSTS": "127.0.0.1",
    "REDIS_URL": "",
    "MONGODB_URL": "",
    "CELERY_BROKER_URL": "",
}


def environment(folder: Path) -> dict[str, str]:
    """This process's environment with the data in `folder` and nothing outside of it."""
    own = EMBEDDED | {
        "STEWARD_VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'steward.sqlite3'}",
        "PYTHONUNBUFFERED": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in own}
    return inherited | own


class Server:
    """A running server. `stop` ends it as Ctrl-C would; `discard` leaves nothing of it whatever happened.

    Args:
        folder: a data folder that stays; by default one of its own, removed by `discard`.
        program: what Python runs; it takes the arguments of `manage.py up`.
    """

    def __init__(self, *, folder: Path | None = None, program: Sequence[str] = ("manage.py", "up")) -> None:
        self._keeps_folder = folder is not None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="steward-demo-"))
        self.url = ""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, *program, "--host", "127.0.0.1", "--port", "0"],
            cwd=BASE_DIR,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the walk alone, which then ends the server itself
        )
        self._reader = threading.Thread(target=self._read, name="demo-server", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        for line in self._process.stdout:
            self._tail.append(line.rstrip())
            if found := READY.search(line):
                self.url = found[1]
                self._ready.set()
        self._ready.set()

    def wait_ready(self) -> str:
        """The base URL once it answers there.

        Raises:
            StepFailed: it ended or took too long; with the last lines that it printed.
        """
        if not self._ready.wait(START_SECONDS) or not self.url:
            raise StepFailed(f"The server did not become ready.\n{self.last_lines()}")
        return self.url

    def last_lines(self) -> str:
        return "\n".join(self._tail)

    def children(self) -> set[str]:
        """Names of all processes below the server, which no later process can have."""
        found = set()
        for pid in descendants(self._process.pid):
            try:
                found.add(process_identity(pid))
            except ProcessLookupError:  # it ended between the two looks
                continue
        return found

    def stop(self) -> None:
        """Ends it with SIGINT and checks that it ended well.

        Raises:
            StepFailed: it took too long, failed, or left processes behind.
        """
        left = self.children()
        self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as exc:
            raise StepFailed(f"The server did not end within {STOP_SECONDS:g} seconds after Ctrl-C.") from exc
        self._reader.join(5)
        if code != 0 or "Stopped." not in self._tail:
            raise StepFailed(f"The server ended with exit code {code}.\n{self.last_lines()}")
        if not gone(left, seconds=3):
            raise StepFailed("The server ended and left processes behind.")

    def discard(self) -> None:
        """Ends it by force if it still runs, and removes its data."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the server behind
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if not self._keeps_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def gone(identities: set[str], *, seconds: float) -> bool:
    """Whether every named process has ended, watched for up to `seconds`."""
    deadline = time.monotonic() + seconds
    while not all(is_process_dead(identity) for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
