#!/usr/bin/env python3
"""The program that runs on an appliance: it enrols, reports, and keeps the configuration that Steward wants.

    steward_agent.py enroll --url https://steward.example --code K7QM-2FWX-9TRB-HNVE-4SJC
    steward_agent.py run [--once]

One file, standard library only, Python 3.9 or newer. It keeps everything in one directory (`--state-dir`, default
/var/lib/steward-agent): `identity.json` with the key (mode 0600), `config.json`, and `spool.jsonl` with the heartbeats
that could not be delivered yet. While the server is away heartbeats are still measured, and delivered in order later.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
DEFAULT_STATE_DIR = "/var/lib/steward-agent"
INTERVAL_SECONDS = 60.0
MAX_PAUSE_SECONDS = 300.0
TIMEOUT_SECONDS = 15.0
MAX_SPOOLED = 10_000
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class AgentError(Exception):
    """Something that keeps the agent from its work; the text says what."""


class ServerAway(AgentError):
    """The server cannot be reached or cannot answer now; the same call may succeed later."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Refused(AgentError):
    """The server answered that it does not want this request."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


# --- Talking to the server ----------------------------------------------------------------------------------------
class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


OPENER = urllib.request.build_opener(NoRedirects)


def checked_url(url: str) -> str:
    """The server's address without a slash at its end. Plain HTTP is for this machine only: it would show the key."""
    parts = urllib.parse.urlsplit(url.rstrip("/"))
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise AgentError(f"{url} is not the address of a server.")
    if parts.scheme == "http" and not local:
        raise AgentError("The address must begin with https://, as the key would travel in clear.")
    return urllib.parse.urlunsplit(parts)


def call(
    method: str, url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One request: status, headers in lower case, body. 304 is an answer like 200.

    Raises:
        ServerAway: try again later.
        Refused: trying again would change nothing.
    """
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Accept": "application/json"})
    request.add_header("User-Agent", f"steward-agent/{VERSION}")
    if data is not None:
        request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, lowered(answer.headers), answer.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as exc:
        return answered_with_error(exc)
    except (OSError, http.client.HTTPException) as exc:  # refused, timed out, no such name, broken TLS, half an answer
        raise ServerAway(f"{type(exc).__name__}: {exc}") from exc


def answered_with_error(exc: urllib.error.HTTPError) -> tuple[int, dict[str, str], bytes]:
    headers = lowered(exc.headers)
    if exc.code == 304:
        return 304, headers, b""
    detail = ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        detail = str(json.loads(exc.read(MAX_ANSWER_BYTES)).get("detail", ""))
    if exc.code == 429 or exc.code >= 500:
        wait = headers.get("retry-after", "")
        raise ServerAway(f"{exc.code}: {detail}", float(wait) if wait.isdigit() else 0.0)
    raise Refused(exc.code, detail)


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# --- What is kept on disk -----------------------------------------------------------------------------------------
class State:
    """The agent's directory. Files are replaced whole and on disk before anything relies on them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.identity_file = directory / "identity.json"
        self.config_file = directory / "config.json"
        self.spool_file = directory / "spool.jsonl"

    def identity(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.identity_file.read_text()))
        except FileNotFoundError:
            raise AgentError("This appliance is not enrolled. Run `enroll --url … --code …` first.") from None
        except (OSError, ValueError) as exc:
            raise AgentError(f"{self.identity_file} cannot be read: {exc}") from exc

    def config(self) -> dict[str, Any]:
        """`{"etag", "version", "config"}` as last fetched, empty before the first time."""
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self.config_file.read_text()))
        return {}

    def write(self, path: Path, text: str) -> None:
        """Replaces `path` so that after a power cut it is the old or the new one, readable by its owner only."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)

    def spooled(self) -> list[dict[str, Any]]:
        """Heartbeats that wait, oldest first. A line that a power cut tore is left out."""
        beats = []
        with contextlib.suppress(FileNotFoundError):
            for line in self.spool_file.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    beats.append(json.loads(line))
        return beats

    def spool(self, beats: list[dict[str, Any]]) -> None:
        """Keeps what waits; of more than `MAX_SPOOLED` the oldest give way."""
        if beats:
            self.write(self.spool_file, "".join(json.dumps(beat) + "\n" for beat in beats[-MAX_SPOOLED:]))
        else:
            self.spool_file.unlink(missing_ok=True)


# --- What is measured ---------------------------------------------------------------------------------------------
def measure() -> dict[str, float]:
    """Load, memory and disk of this machine; what cannot be read is left out."""
    metrics: dict[str, float] = {"cpu_count": os.cpu_count() or 1}
    with contextlib.suppress(OSError):
        metrics["load_1m"], metrics["load_5m"], metrics["load_15m"] = os.getloadavg()
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage("/")
        metrics.update(disk_total_bytes=disk.total, disk_free_bytes=disk.free)
    with contextlib.suppress(OSError, ValueError, KeyError):
        memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        for name, source in (("memory_total_bytes", "MemTotal"), ("memory_available_bytes", "MemAvailable")):
            metrics[name] = int(memory[source].split()[0]) * 1024
    return metrics


def uptime_seconds() -> float:
    with contextlib.suppress(OSError, ValueError):
        return float(Path("/proc/uptime").read_text().split()[0])
    return 0.0


def new_beat(appliance_id: str, config_version: int | None) -> dict[str, Any]:
    """A heartbeat of this moment. Its `beat_id` lets the server notice one that is sent twice."""
    return {
        "appliance_id": appliance_id,
        "beat_id": str(uuid.uuid4()),
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017 - Python 3.9 has no datetime.UTC
        "version": VERSION,
        "uptime_seconds": uptime_seconds(),
        "config_version": config_version,
        "metrics": measure(),
    }


# --- The work -----------------------------------------------------------------------------------------------------
class Agent:
    """An enrolled appliance."""

    def __init__(self, state: State) -> None:
        identity = state.identity()
        self.state = state
        self.url = checked_url(identity["url"])
        self.appliance_id = identity["appliance_id"]
        self._headers = {"Authorization": f"Bearer {identity['key']}"}

    def beat(self) -> None:
        """Measures, delivers what waits and this, oldest first, and fetches a configuration that is new.

        Raises:
            ServerAway: what was not delivered is spooled.
            Refused: the server does not know this appliance; everything stays spooled.
        """
        waiting = [*self.state.spooled(), new_beat(self.appliance_id, self.state.config().get("version"))]
        desired = None
        try:
            while waiting:
                desired = self._deliver(waiting[0])
                del waiting[0]
        finally:
            self.state.spool(waiting)
        if desired is not None and desired != self.state.config().get("version"):
            self.fetch_config()

    def _deliver(self, beat: dict[str, Any]) -> int | None:
        """Sends one heartbeat and answers the version of the configuration that the server wants."""
        try:
            _, _, body = call("POST", f"{self.url}/api/v1/heartbeat", beat, self._headers)
        except Refused as exc:
            if exc.status != 400:
                raise
            # A heartbeat that will never be taken must not hold up the others.
            say(f"The server does not take a heartbeat of {beat.get('measured_at')}: {exc}")
            return None
        try:
            return int(json.loads(body)["config_version"])
        except (ValueError, KeyError, TypeError) as exc:
            raise ServerAway("The server's answer is not a heartbeat's answer.") from exc

    def fetch_config(self) -> None:
        """Fetches the desired configuration unless it is the one at hand."""
        etag = self.state.config().get("etag")
        headers = dict(self._headers, **({"If-None-Match": etag} if etag else {}))
        status, answer, body = call("GET", f"{self.url}/api/v1/appliance/{self.appliance_id}/config", None, headers)
        if status == 304:
            return
        try:
            document = json.loads(body)
            kept = {"etag": answer.get("etag"), "version": int(document["version"]), "config": document["config"]}
        except (ValueError, KeyError, TypeError) as exc:
            raise ServerAway("The server's answer is not a configuration.") from exc
        self.state.write(self.state.config_file, json.dumps(kept))
        say(f"Configuration {kept['version']} fetched.")


def pause_after(failures: int, retry_after: float, interval: float) -> float:
    """Seconds to wait: the interval, after failures longer each time; spread, so that a fleet does not come at once."""
    if failures == 0:
        return interval * random.uniform(0.9, 1.1)
    longest = max(interval, MAX_PAUSE_SECONDS)
    return max(retry_after, min(longest, interval * 2 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0))


def run_forever(agent: Agent, interval: float, stop: threading.Event) -> None:
    failures = 0
    while not stop.is_set():
        retry_after = 0.0
        try:
            agent.beat()
            failures = 0
        except ServerAway as exc:
            failures, retry_after = failures + 1, exc.retry_after
            say(f"The server is away, heartbeats wait: {exc}")
        except Refused as exc:
            failures += 1
            say(f"The server refuses this appliance: {exc}")
        except OSError as exc:  # a full or read-only disk; the heartbeat of this moment is lost, the agent is not
            failures += 1
            say(f"The state cannot be written: {exc}")
        stop.wait(pause_after(failures, retry_after, interval))


def enroll(state: State, url: str, code: str) -> None:
    """Uses the code up and keeps the key that it brings."""
    if state.identity_file.exists():
        raise AgentError(f"This appliance is enrolled already; remove {state.identity_file} to enrol it anew.")
    url = checked_url(url)
    # Written before it is needed: a code that was used up for a key that cannot be kept would be lost.
    state.write(state.directory / "writable", "")
    (state.directory / "writable").unlink()
    try:
        _, _, body = call("POST", f"{url}/api/v1/enroll", {"code": code})
    except (Refused, ServerAway) as exc:
        raise AgentError(f"Enrolment failed: {exc}") from exc
    answer = json.loads(body)
    identity = {"url": url, "appliance_id": answer["appliance_id"], "key": answer["key"]}
    state.write(state.identity_file, json.dumps(identity))
    say(f"Enrolled as {answer['appliance_id']}.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="steward-agent", description="Reports this appliance to Steward.")
    parser.add_argument("--version", action="version", version=VERSION)
    # Given before or after the command; the environment serves the systemd unit.
    common = argparse.ArgumentParser(add_help=False)
    directory = os.environ.get("STATE_DIRECTORY", DEFAULT_STATE_DIR)
    common.add_argument("--state-dir", type=Path, default=Path(directory), help=f"default {DEFAULT_STATE_DIR}")
    commands = parser.add_subparsers(dest="command", required=True)
    join = commands.add_parser("enroll", parents=[common], help="use a one-time code")
    join.add_argument("--url", required=True, help="the address of Steward")
    join.add_argument(
        "--code", required=True, help="the code shown when the appliance was added; - reads it from input"
    )
    run = commands.add_parser("run", parents=[common], help="send heartbeats until stopped")
    run.add_argument("--once", action="store_true", help="send one and end; 0 when it was delivered")
    run.add_argument("--interval", type=float, default=INTERVAL_SECONDS, help="seconds between heartbeats")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    state = State(options.state_dir)
    try:
        if options.command == "enroll":
            enroll(state, options.url, sys.stdin.readline().strip() if options.code == "-" else options.code)
            return 0
        agent = Agent(state)
        if options.once:
            agent.beat()
            return 0
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_forever(agent, max(1.0, options.interval), stop)
        return 0
    except (AgentError, OSError) as exc:
        say(str(exc))
        return 1


if __name__ == "__main__":
    sys.exit(main())
