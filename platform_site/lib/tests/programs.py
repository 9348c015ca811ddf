"""What the sandbox tests share: small limits, short programs, a server, and the rule for machines without a sandbox."""

from __future__ import annotations

import os
import time
import urllib.request
from pathlib import Path

import pytest

from platform_site.lib.sandbox import Door, Limits, Result, SandboxProcess, availability, run, start
from platform_site.lib.sandbox.limits import MIB

SMALL = Limits(
    wall_seconds=5, cpu_seconds=5, memory_bytes=96 * MIB, disk_bytes=16 * MIB, processes=20, output_bytes=64 * 1024
)

_found = availability()
needs_sandbox = pytest.mark.skipif(
    not (_found.ok and _found.confined) and os.environ.get("REQUIRE_SERVICES") != "1",
    reason=f"no sandbox here: {_found.detail}",
)


def python(source: str, limits: Limits = SMALL, **options) -> Result:
    """Run Python source in a sandbox."""
    return run(["python", "main.py"], files={"main.py": source.encode()}, limits=limits, **options)


def write_app(directory: Path, source: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "server.py").write_text(source)
    return directory


def open_files() -> int:
    """Descriptors that this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


def processes_with(marker: str) -> list[int]:
    """Processes of this host that carry a marker in their command line."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                if marker.encode() in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
            except OSError:
                continue
    return found


SERVER = """
import http.server, os, pathlib
store = pathlib.Path(os.environ["DATA_DIR"], "visits")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        store.open("a").write("x")
        self.answer(store.read_bytes())
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("listening", flush=True)
server.serve_forever()
"""


class reached:  # noqa: N801 - reads as a verb in `with`
    """A door to an application that listens by now."""

    def __init__(self, app):
        self.app = app

    def __enter__(self) -> Door:
        self.door = Door()
        self.door.attach(self.app)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self.app.is_alive():
            try:
                self.app.connect().close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        return self.door

    def __exit__(self, *error) -> None:
        self.door.close()
        self.app.stop(1)


def fetch(door: Door, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(door.url, body, timeout=10) as response:
        return bytes(response.read())


def begin(tmp_path: Path, source: str = SERVER, **options) -> SandboxProcess:
    """Start an application with data that lasts as long as the test."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    return start(["python", "server.py"], source_dir=write_app(tmp_path / "app", source), data_dir=data, **options)
