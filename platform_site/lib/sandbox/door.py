"""A loopback port of the host that leads into a sandbox.

The platform holds the port, so it is never raced for and stays the same while the application behind it restarts. For
every connection the sandbox is asked for one to the application; no path and no network is shared with it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Protocol

from platform_site.lib.sandbox.box import receive_connection

DIAL_SECONDS = 6.0
IDLE_SECONDS = 900.0
LINGER_SECONDS = 2.0
CHUNK = 65536
MAX_CONNECTIONS = 512

_BODY = b"The application is not running, or does not listen on its port yet.\n"
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class Dialer(Protocol):
    """What a door leads to: a `SandboxProcess`."""

    def dial(self) -> socket.socket: ...


class Guest(Protocol):
    """A connection in one of its states. The loop calls it when its sockets are ready and when its time is over."""

    deadline: float

    def ready(self, sock: socket.socket, mask: int) -> None: ...

    def close(self) -> None: ...


class Door:
    """A TCP listener on the host's loopback; one thread serves all its connections.

    Args:
        host, port: where to listen; port 0 is the kernel's choice.
        max_connections: more than these are answered with 503.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self.max_connections = max_connections
        self.selector = selectors.DefaultSelector()
        self.guests: set[Guest] = set()
        self._target: Dialer | None = None
        self._listener = socket.create_server((host, port), backlog=256)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._wake, self._wakeup = socket.socketpair()
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name=f"steward-door-{self.port}", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self.guests)

    def attach(self, target: Dialer | None) -> None:
        """Lead new connections there; None answers them with 503. Open ones stay with whom they reached."""
        self._target = target

    def close(self) -> None:
        """Close the port and every connection. May be called twice."""
        with contextlib.suppress(OSError):
            self._wakeup.send(b"x")
        self._thread.join()

    def _serve(self) -> None:
        try:
            while self._turn():
                self._dismiss_overdue()
        finally:
            while self.guests:  # one that waits becomes a refusal first
                next(iter(self.guests)).close()
            for sock in (self._listener, self._wake, self._wakeup):
                sock.close()
            self.selector.close()

    def _turn(self) -> bool:
        """Serve what is ready; False when the door is to be closed."""
        for key, mask in self.selector.select(1.0):
            if key.fileobj is self._wake:
                return False
            if key.fileobj is self._listener:
                self._welcome()
            elif key.data in self.guests:  # otherwise it was closed earlier in this turn
                try:
                    key.data.ready(key.fileobj, mask)
                except BlockingIOError:
                    continue
                except OSError:
                    key.data.close()
        return True

    def _welcome(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            time.sleep(0.01)  # out of descriptors: let others finish
            return
        client.setblocking(False)
        target = self._target
        if target is None or len(self.guests) >= self.max_connections:
            Refusal(self, client)
            return
        try:
            Waiting(self, client, target.dial())
        except OSError:
            Refusal(self, client)

    def _dismiss_overdue(self) -> None:
        now = time.monotonic()
        for guest in [guest for guest in self.guests if guest.deadline < now]:
            guest.close()

    def watch(self, guest: Guest, sock: socket.socket, mask: int) -> None:
        """Listen for exactly these events of a socket."""
        known = sock.fileno() in self.selector.get_map()
        if mask and known:
            self.selector.modify(sock, mask, guest)
        elif mask:
            self.selector.register(sock, mask, guest)
        elif known:
            self.selector.unregister(sock)

    def drop(self, guest: Guest, *socks: socket.socket) -> None:
        self.guests.discard(guest)
        for sock in socks:
            if sock.fileno() >= 0:
                self.watch(guest, sock, 0)
                sock.close()


class Refusal:
    """Answers 503, then reads what still comes, since closing over unread bytes would destroy the answer."""

    def __init__(self, door: Door, client: socket.socket) -> None:
        self.deadline = time.monotonic() + LINGER_SECONDS
        self._door = door
        self._client = client
        door.guests.add(self)
        try:
            client.send(UNAVAILABLE)
            client.shutdown(socket.SHUT_WR)
            door.watch(self, client, selectors.EVENT_READ)
        except OSError:
            self.close()

    def ready(self, sock: socket.socket, mask: int) -> None:
        if not sock.recv(CHUNK):
            self.close()

    def close(self) -> None:
        self._door.drop(self, self._client)


class Waiting:
    """A client whose connection to the application was asked for."""

    def __init__(self, door: Door, client: socket.socket, reply: socket.socket) -> None:
        self.deadline = time.monotonic() + DIAL_SECONDS
        self._door = door
        self._client = client
        self._reply = reply
        reply.setblocking(False)
        door.guests.add(self)
        door.watch(self, reply, selectors.EVENT_READ)

    def ready(self, sock: socket.socket, mask: int) -> None:
        try:
            server = receive_connection(self._reply)
        except OSError:
            self.close()
            return
        self._door.drop(self, self._reply)
        Link(self._door, self._client, server)

    def close(self) -> None:
        self._door.drop(self, self._reply)
        Refusal(self._door, self._client)


class Flow:
    """One direction: what was read and not yet written, and whether its source has ended."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.buffer = bytearray()
        self.ended = False
        self.shut = False

    def read(self) -> None:
        data = self.source.recv(CHUNK)
        # Programs that write head and body apart wait for this; without it each of their answers takes 40 ms.
        self.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.buffer += data
        self.ended = not data

    def write(self) -> None:
        if self.buffer:
            with contextlib.suppress(BlockingIOError):
                del self.buffer[: self.sink.send(self.buffer)]
        if self.ended and not self.buffer and not self.shut:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)


class Link:
    """A client and the application, joined until both have said everything."""

    def __init__(self, door: Door, client: socket.socket, server: socket.socket) -> None:
        self.deadline = time.monotonic() + IDLE_SECONDS
        self._door = door
        self._socks = (client, server)
        self._flows = (Flow(client, server), Flow(server, client))
        door.guests.add(self)
        for sock in self._socks:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listen()

    def ready(self, sock: socket.socket, mask: int) -> None:
        self.deadline = time.monotonic() + IDLE_SECONDS
        for flow in self._flows:
            if mask & selectors.EVENT_READ and flow.source is sock:
                flow.read()
            flow.write()
        if all(flow.shut for flow in self._flows):
            self.close()
        else:
            self._listen()

    def close(self) -> None:
        self._door.drop(self, *self._socks)

    def _listen(self) -> None:
        for sock in self._socks:
            mask = 0
            for flow in self._flows:
                if flow.source is sock and not flow.ended and len(flow.buffer) < CHUNK:
                    mask |= selectors.EVENT_READ
                if flow.sink is sock and flow.buffer:
                    mask |= selectors.EVENT_WRITE
            self._door.watch(self, sock, mask)
