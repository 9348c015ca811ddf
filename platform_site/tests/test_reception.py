"""What the server takes in before any work: bodies, headers and addresses have an end, in bytes and in time."""

from __future__ import annotations

import socket
import time

import pytest
from django.conf import settings as configured


def connection_to(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def answer_of(connection: socket.socket) -> bytes:
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def test_an_endless_body_is_cut_at_the_limit_without_an_account(live_asgi):
    connection = connection_to(live_asgi)
    connection.sendall(
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    sent, block = 0, b"10000\r\n" + b"x" * 65536 + b"\r\n"
    try:
        while sent < 2 * 1024**3:
            connection.sendall(block)
            sent += 65536
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 8 * configured.MAX_BODY_BYTES, "what lies in the buffers of both sides is all that was taken"


def test_a_body_that_announces_too_much_is_refused_unread(live_asgi):
    connection = connection_to(live_asgi)
    connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2147483648\r\n\r\n")
    assert answer_of(connection).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_not_waited_for(live_asgi, settings):
    settings.BODY_SECONDS = 0.5
    connection = connection_to(live_asgi)
    connection.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n")
    began = time.monotonic()
    for _ in range(20):  # a byte now and then does not help
        try:
            connection.sendall(b"{")
        except OSError:
            break
        time.sleep(0.1)
    answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") and b'"status_code": 408' in answer
    assert time.monotonic() - began < 5


def test_slow_bodies_hold_no_worker(live_asgi):
    import httpx

    slow = [connection_to(live_asgi) for _ in range(100)]
    for connection in slow:
        connection.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
    assert httpx.get(f"{live_asgi}/health", timeout=5, trust_env=False).status_code == 200
    for connection in slow:
        connection.close()


def test_headers_have_an_end(live_asgi):
    for filler in (b"X-Long: " + b"x" * 200_000, b"\r\n".join(b"X-%d: y" % n for n in range(200)) + b"\r\n\r\n"):
        connection = connection_to(live_asgi)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + filler)
        assert answer_of(connection).startswith(b"HTTP/1.1 400 ")
    connection = connection_to(live_asgi)
    connection.sendall(b"GET /health?" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert answer_of(connection).startswith(b"HTTP/1.1 400 ")


def test_headers_that_do_not_come_are_not_waited_for(live_asgi, monkeypatch):
    monkeypatch.setattr("platform_site.lib.server.HEAD_SECONDS", 0.3)
    connection = connection_to(live_asgi)
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    began = time.monotonic()
    assert answer_of(connection) == b""
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "target", [b"/api/v1/runs?q=\xff\xfe", b"/api/v1/runs?q=%00", b"/api/v1/runs%00", b"/\xc3\xa9"]
)
def test_addresses_hold_no_bytes_that_are_none(target, live_asgi):
    connection = connection_to(live_asgi)
    connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert (b"application/json" in answer) == target.isascii(), "the parser itself refuses the others"


def test_connections_are_kept_between_requests(live_asgi):
    import httpx

    with httpx.Client(base_url=live_asgi, trust_env=False) as client:
        for _ in range(3):
            assert client.get("/health").status_code == 200
            assert client.post("/api/v1/auth/login", json={}).status_code == 400


# --- Forms --------------------------------------------------------------------------------------------------------
def test_pages_take_no_files_and_no_endless_forms(alice_pages):
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("x.txt", b"x")
    assert alice_pages.post("/studio", {"prompt": "x", "file": file}).status_code == 400
    assert alice_pages.post("/studio", {f"field{number}": "x" for number in range(1_100)}).status_code == 400


def test_a_large_form_is_refused_where_no_edge_stands_in_front(alice_pages):
    answer = alice_pages.post("/studio", "prompt=" + "x" * 1_100_000, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413
