"""A scripted upstream that speaks OpenAI's and Ollama's protocols over real HTTP, also badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One scripted answer. `cut_after` closes the connection after that many characters, without a word."""

    text: str = ""
    status: int = 200
    finish_reason: str | None = "stop"
    usage: tuple[int, int] | None = (100, 200)
    cut_after: int | None = None
    stall_seconds: float = 0.0
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    piece: int = 40
    pause: float = 0.0


class Upstream:
    """Answers requests with `replies` in turn (the last one again and again) and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.disconnected = threading.Event()
        self.url = ""

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serve() -> Iterator[Upstream]:
    upstream = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._json(
                200, {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "t"}]}
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            upstream.requests.append(body)
            upstream.headers.append(dict(self.headers))
            reply = upstream.next_reply()
            try:
                if reply.status != 200:
                    self._json(reply.status, {"error": {"message": reply.text or "scripted"}}, reply.headers)
                elif self.path.endswith("/api/chat"):
                    self._ollama(reply)
                else:
                    self._openai(reply)
            except (BrokenPipeError, ConnectionResetError):
                upstream.disconnected.set()

        def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _begin(self, content_type: str, reply: Reply) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.flush()
            if reply.stall_seconds:
                time.sleep(reply.stall_seconds)

        def _pieces(self, reply: Reply) -> Iterator[str]:
            text = reply.text if reply.cut_after is None else reply.text[: reply.cut_after]
            for start in range(0, len(text), reply.piece):
                time.sleep(reply.pause)
                yield text[start : start + reply.piece]

        def _openai(self, reply: Reply) -> None:
            self._begin("text/event-stream", reply)
            if reply.raw is not None:
                self.wfile.write(reply.raw)
                return
            base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "tiny"}
            for piece in self._pieces(reply):
                self._sse(base | {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            if reply.cut_after is not None:
                return
            self._sse(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]})
            if reply.usage:
                prompt, completion = reply.usage
                usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
                self._sse(base | {"choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")

        def _sse(self, body: Any) -> None:
            self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())
            self.wfile.flush()

        def _ollama(self, reply: Reply) -> None:
            self._begin("application/x-ndjson", reply)
            if reply.raw is not None:
                self.wfile.write(reply.raw)
                return
            base = {"model": "tiny", "created_at": "2026-01-01T00:00:00Z"}
            for piece in self._pieces(reply):
                self._line(base | {"message": {"role": "assistant", "content": piece}, "done": False})
            if reply.cut_after is None:
                counts = dict(zip(("prompt_eval_count", "eval_count"), reply.usage or (), strict=False))
                end = {
                    "message": {"role": "assistant", "content": ""},
                    "done": True,
                    "done_reason": reply.finish_reason,
                }
                self._line(base | end | counts)

        def _line(self, body: Any) -> None:
            self.wfile.write(json.dumps(body).encode() + b"\n")
            self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    upstream.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
