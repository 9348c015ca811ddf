"""Applications that mean harm, to the host, to each other or to the platform that keeps them."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from platform_site.lib.sandbox import discard_directory
from platform_site.lib.sandbox.box import receive_connection
from platform_site.lib.tests.programs import (
    SMALL,
    begin,
    needs_sandbox,
)

pytestmark = needs_sandbox


def test_an_application_that_fills_its_disk_is_ended(tmp_path):
    app = begin(tmp_path, "n = 0\nwhile True: open(f'/data/{n}', 'wb').write(b'x' * 999999); n += 1", limits=SMALL)
    assert app.wait(8)
    assert (app.reason, app.tree_gone) == ("disk", True)


def test_an_application_that_hides_its_files_is_ended(tmp_path):
    source = """
import os, time
held = []
for n in range(40):
    held.append(open("/data/x", "wb")); os.unlink("/data/x"); held[-1].write(b"x" * (1 << 20)); held[-1].flush()
time.sleep(60)
"""
    app = begin(tmp_path, source, limits=SMALL)
    assert app.wait(8)
    assert app.reason == "disk"


def test_an_application_with_a_bottomless_directory_is_ended(tmp_path):
    app = begin(
        tmp_path, "import os\nos.chdir('/data')\nwhile True: os.mkdir('d' * 200); os.chdir('d' * 200)", limits=SMALL
    )
    assert app.wait(8)
    assert app.reason == "disk"
    assert begin(tmp_path, "print('again')").wait(8)
    discard_directory(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_applications_code_is_read_only_and_its_links_lead_nowhere(tmp_path):
    target = tmp_path / "host"
    target.write_text("untouched")
    before = target.stat()
    source = f"""
import contextlib, os
for path in "/app/server.py", "/app/new":
    try: open(path, "w"); print("wrote", path)
    except OSError: pass
with contextlib.suppress(FileExistsError):
    os.symlink({str(target)!r}, "/data/link"); os.symlink("/etc", "/data/etc"); os.mkfifo("/data/fifo")
try: open("/data/link").read(); print("read")
except OSError: print("done")
"""
    for _ in range(2):  # the second start walks over what the first left behind
        assert said(tmp_path, source) == b"done\n"
    after = target.stat()
    assert target.read_text() == "untouched"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


def said(tmp_path: Path, source: str) -> bytes:
    """All output of an application that ends by itself."""
    output = bytearray()
    assert begin(tmp_path, source, on_output=lambda stream, data: output.extend(data)).wait(8)
    return bytes(output)


def test_applications_do_not_see_each_other(tmp_path):
    (tmp_path / "other").mkdir()
    ready = threading.Event()
    listens = "import socket, time\ns = socket.create_server(('127.0.0.1', 8080))\nprint(1)\ntime.sleep(60)"
    other = begin(tmp_path / "other", listens, on_output=lambda *_: ready.set())
    assert ready.wait(5)
    source = """
import os, socket
try: socket.create_connection(("127.0.0.1", 8080), 1); print("reached")
except OSError: print([name for name in os.listdir("/proc") if name.isdigit()])
"""
    assert said(tmp_path, source) == b"['1', '2']\n"
    assert other.stop(0)


def test_what_comes_out_instead_of_a_connection_is_refused():
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Path("/etc/hostname").open() as file, socket.socket(socket.AF_UNIX) as unix:
        for sent in (file, unix, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                socket.send_fds(theirs, [b"+"], [sent.fileno()])
                with pytest.raises(ConnectionRefusedError):
                    receive_connection(ours)
            sent.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_stuck_application_does_not_hold_up_the_platform(tmp_path):
    """It listens and never accepts: dials fill its queue, and still every caller gets an answer in time."""
    source = """
import socket, time
listener = socket.socket()
listener.bind(("127.0.0.1", 8080))
listener.listen(1)
print(1)
time.sleep(60)
"""
    ready = threading.Event()
    app = begin(tmp_path, source, on_output=lambda *_: ready.set())
    assert ready.wait(5)
    began = time.monotonic()
    held = []
    for _ in range(6):
        try:
            held.append(app.connect(timeout=0.3))
        except OSError:
            continue
    assert time.monotonic() - began < 3
    assert app.stop(0)
    for sock in held:
        sock.close()
