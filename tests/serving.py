"""A real Steward: `manage.py up` as a process of its own, on data that outlives it, and what people do with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parent.parent
PROC = Path("/proc")
LISTEN = "0A"
READY = re.compile(r"Steward is ready: (http://\S+?)/ ")
PASSWORD = re.compile(r"Password, shown only this once: (\S+)")
Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer], seconds: float, what: str, pause: float = 0.02) -> Answer:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(pause)
    return answer


class Steward:
    """A serving process that can be killed and started again on the same data and port."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = environment
        self.port = 0
        self.url = ""
        self.output: list[str] = []
        self.seconds_to_ready = 0.0
        self.process: subprocess.Popen[str] | None = None
        self._token = ""

    # --- Its life -------------------------------------------------------------------------------------------------
    def start(self) -> Steward:
        """Returns once it says that it is ready; its port stays the same from the second start on."""
        began = time.monotonic()
        self.process = spawn_up(self, self.port)
        self.output = []
        threading.Thread(target=self._collect, args=(self.process,), daemon=True).start()
        ready = wait_until(lambda: self._match(READY) or self.exit_code is not None, 60, "Steward to be ready")
        assert isinstance(ready, str), "\n".join(self.output)
        self.seconds_to_ready = time.monotonic() - began
        self.url, self.port = ready, int(ready.rsplit(":", 1)[1])
        return self

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        return next((found[1] for line in list(self.output) if (found := pattern.search(line))), None)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`, and nothing else."""
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def stop(self, number: signal.Signals, *, within: float) -> float:
        """Asks it to end and answers how many seconds that took."""
        began = time.monotonic()
        self.send(number)
        assert self.process is not None
        self.process.wait(within)
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it after a test, whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    # --- What people do with it -----------------------------------------------------------------------------------
    def sign_in(self) -> None:
        """Signs in as the first administrator, whose password only the first start says."""
        password = wait_until(lambda: self._match(PASSWORD), 5, "the first administrator's password")
        body = {"email": "admin@steward.local", "password": password}
        answer = httpx.post(f"{self.url}/api/v1/auth/login", json=body, trust_env=False)
        self._token = answer.raise_for_status().json()["access"]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(self.url + path, params=parameters, headers=self.headers, timeout=30, trust_env=False)
        return answer.raise_for_status().json()

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        headers = self.headers | headers
        answer = httpx.post(self.url + path, json=body, headers=headers, timeout=60, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def generate(self, **fields: Any) -> dict[str, Any]:
        """Asks for a generation and returns at once."""
        body = {"programming_language": "python", **fields}
        return self.post("/api/v1/generate", body, Prefer="respond-async")

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """The whole log of a run, read in pages."""
        events: list[dict[str, Any]] = []
        while True:
            page = self.get(f"/api/v1/runs/{run_id}/events", after=len(events))
            events += page["events"]
            if page["next_after"] >= page["last_seq"]:
                return events

    def said(self, run_id: str, kind: str, text: str = "") -> bool:
        """Whether the run's log holds an event of `kind` with `text` (or any)."""
        return any(event["kind"] == kind and text in event["text"] for event in self.events(run_id))

    def wait_for_run(self, run_id: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """The run, once it is in one of `states`."""
        found: dict[str, Any] = {}

        def reached() -> bool:
            found.update(self.get(f"/api/v1/runs/{run_id}"))
            return found["state"] in states

        try:
            wait_until(reached, seconds, f"the run to be {' or '.join(states)}", 0.05)
        except AssertionError as exc:
            raise AssertionError(f"{exc}: {found}\n{self.events(run_id)[-5:]}\n" + "\n".join(self.output)) from None
        return found


def environment_of(steward: Steward) -> dict[str, str]:
    """What its processes are started with, and nothing of this process's own configuration."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = {"STEWARD_VAR_DIR": str(steward.folder), "PYTHONUNBUFFERED": "1", "LOG_LEVEL": "WARNING"}
    return kept | own | steward.environment


def spawn_up(steward: Steward, port: int) -> subprocess.Popen[str]:
    """Starts `manage.py up` on a Steward's data."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=ROOT,
        env=environment_of(steward),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Reader(threading.Thread):
    """Follows a run over server-sent events through whatever happens to the server, as a browser's EventSource does."""

    def __init__(self, steward: Steward, run_id: str) -> None:
        super().__init__(daemon=True)
        self.events: list[dict[str, Any]] = []
        self.arrivals: list[float] = []
        self.end_state = ""
        self.connections = 0
        self.closing = False
        self._steward = steward
        self.run_id = run_id
        self._path = f"/api/v1/runs/{run_id}/events"
        self.start()

    def run(self) -> None:
        while not self.end_state and not self.closing:
            try:
                self._follow()
            except httpx.HTTPError:
                time.sleep(0.1)

    def _follow(self) -> None:
        last = str(self.events[-1]["seq"]) if self.events else "0"
        headers = self._steward.headers | {"Accept": "text/event-stream", "Last-Event-ID": last}
        url = self._steward.url + self._path
        with httpx.stream("GET", url, headers=headers, timeout=30, trust_env=False) as answer:
            answer.raise_for_status()
            self.connections += 1
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: ") and name == "events":
                    frame = json.loads(line[6:])
                    self.events += frame
                    self.arrivals += [time.time()] * len(frame)
                elif line.startswith("data: ") and name == "end":
                    self.end_state = json.loads(line[6:])["state"]

    @property
    def numbers(self) -> list[int]:
        return [event["seq"] for event in self.events]


# --- Who is left --------------------------------------------------------------------------------------------------
class Tree:
    """The processes below a process at one moment, and whether any of them, or of their namespaces, is left."""

    def __init__(self, root: int) -> None:
        self.members = {pid: _started(pid) for pid in _descendants(root)}
        own = _namespace(os.getpid())
        self.namespaces = {space for pid in self.members if (space := _namespace(pid)) not in (0, own)}

    def left(self) -> list[int]:
        """Numbers of those that still run."""
        same = [pid for pid, started in self.members.items() if started and _started(pid) == started]
        return sorted({*same, *(pid for pid in _all_processes() if _namespace(pid) in self.namespaces)})


def _all_processes() -> list[int]:
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


def _fields(pid: int) -> list[str]:
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    """When a process started, in clock ticks; empty for one that is gone or a zombie."""
    fields = _fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _descendants(root: int) -> set[int]:
    parents = {pid: int(fields[1]) for pid in _all_processes() if (fields := _fields(pid))}
    found, grown = {root}, True
    while grown:
        children = {pid for pid, parent in parents.items() if parent in found} - found
        found, grown = found | children, bool(children)
    return found - {root}


def _namespace(pid: int) -> int:
    try:
        return (PROC / str(pid) / "ns" / "pid").stat().st_ino
    except OSError:
        return 0


def listening(pid: int | None = None) -> set[str]:
    """The TCP addresses, as /proc writes them, that a process (or anybody) listens on."""
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    listeners = {row[1]: f"socket:[{row[9]}]" for row in rows if row[3] == LISTEN}
    if pid is None:
        return set(listeners)
    held = {str(path.readlink()) for path in (PROC / str(pid) / "fd").iterdir() if path.is_symlink()}
    return {address for address, inode in listeners.items() if inode in held}
