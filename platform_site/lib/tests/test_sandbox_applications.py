"""An application that stays: how it is reached, how its output arrives, how it is stopped."""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import socket
import textwrap
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from platform_site.lib.sandbox import Door, Limits
from platform_site.lib.sandbox.limits import MIB
from platform_site.lib.tests.programs import (
    SMALL,
    begin,
    fetch,
    needs_sandbox,
    open_files,
    reached,
)

pytestmark = needs_sandbox
ROOT = Path(__file__).resolve().parents[3]


def test_an_application_is_reached_through_its_door_and_keeps_its_data(tmp_path):
    for visits in (b"x", b"xx"):
        with reached(begin(tmp_path, limits=SMALL)) as door:
            assert fetch(door) == visits
    assert (tmp_path / "data/visits").read_bytes() == b"xx"


def test_an_application_outlives_the_limits_on_time(tmp_path):
    app = begin(tmp_path, limits=Limits(wall_seconds=0.2, cpu_seconds=0))
    with reached(app) as door:
        time.sleep(0.6)
        assert fetch(door) == b"x"


def test_a_door_says_503_while_nobody_is_behind_it(tmp_path):
    door = Door()
    try:
        for _ in range(3):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(door, b"x" * 10000)
            assert refused.value.code == 503
        app = begin(tmp_path, "import time; time.sleep(60)")
        door.attach(app)
        with pytest.raises(urllib.error.HTTPError):
            fetch(door)
        app.stop(0)
        with pytest.raises(urllib.error.HTTPError):
            fetch(door)
    finally:
        door.close()
    door.close()
    with pytest.raises(OSError):
        socket.create_connection(door.address, 1)


def test_a_large_body_arrives_whole_in_both_directions(tmp_path):
    body = os.urandom(5 * MIB)
    with reached(begin(tmp_path)) as door:
        assert fetch(door, body) == body


def test_half_closed_connections_still_get_their_answer(tmp_path):
    source = """
    import os, socket
    server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    while True:
        peer, _ = server.accept()
        total = 0
        while data := peer.recv(65536): total += len(data)
        peer.sendall(str(total).encode()); peer.close()
    """
    with reached(begin(tmp_path, textwrap.dedent(source))) as door, socket.create_connection(door.address, 5) as client:
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"300000"
        assert client.recv(100) == b""


def test_thousands_of_connections_leave_nothing_behind(tmp_path):
    with reached(begin(tmp_path)) as door:
        fetch(door)
        before = open_files()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sizes = set(pool.map(lambda n: len(fetch(door, b"y" * (n % 7))), range(2000)))
        assert sizes == set(range(7))
        deadline = time.monotonic() + 3
        while (door.connections or open_files() > before) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert door.connections == 0
        assert open_files() <= before


def test_a_full_door_answers_instead_of_growing(tmp_path):
    with reached(begin(tmp_path)) as held:
        door = Door(max_connections=3)
        door.attach(held._target)
        idle = [socket.create_connection(door.address) for _ in range(3)]
        time.sleep(0.1)
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(door)
        assert refused.value.code == 503
        for sock in idle:
            sock.close()
        time.sleep(0.1)
        assert fetch(door) == b"x"
        door.close()


def test_the_clients_keep_one_connection_for_many_requests(tmp_path):
    with reached(begin(tmp_path)) as door:
        client = http.client.HTTPConnection(*door.address)
        for count in range(1, 20):
            client.request("GET", "/")
            assert client.getresponse().read() == b"x" * count
        client.close()


def test_all_output_of_an_application_arrives_in_order_even_at_a_slow_receiver(tmp_path):
    received = bytearray()

    def slowly(stream: str, data: bytes) -> None:
        time.sleep(0.005)
        received.extend(data)

    app = begin(tmp_path, "for n in range(50000): print(n)", on_output=slowly)
    assert app.wait(20)
    assert received.split() == [str(n).encode() for n in range(50_000)]
    assert (app.reason, app.exit_code, app.tree_gone) == ("exited", 0, True)


def test_stop_asks_first(tmp_path):
    source = """
    import signal, sys, time
    def bye(*_): print("bye", flush=True); sys.exit(7)
    signal.signal(signal.SIGTERM, bye)
    print("ready", flush=True)
    while True: time.sleep(1)
    """
    lines: list[bytes] = []
    app = begin(tmp_path, textwrap.dedent(source), on_output=lambda stream, data: lines.append(data))
    while not lines:
        time.sleep(0.01)
    assert app.stop(5) is True
    assert (app.reason, app.exit_code, b"".join(lines)) == ("stopped", 7, b"ready\nbye\n")
    assert app.is_alive() is False


def test_stop_insists_when_asking_does_not_help(tmp_path):
    source = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0: os.setsid()
    print("ready", flush=True)
    while True: time.sleep(1)
    """
    ready = threading.Event()
    app = begin(tmp_path, textwrap.dedent(source), on_output=lambda stream, data: ready.set())
    assert ready.wait(5)
    began = time.monotonic()
    assert app.stop(0.3) is True
    assert time.monotonic() - began < 1
    assert (app.reason, app.exit_code) == ("stopped", None)


def test_a_crash_is_told(tmp_path):
    app = begin(tmp_path, "raise SystemExit(9)")
    assert app.wait(5)
    assert (app.reason, app.exit_code) == ("exited", 9)
    with pytest.raises(OSError):
        app.connect()
