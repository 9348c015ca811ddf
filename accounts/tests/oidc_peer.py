"""An OpenID Connect provider that does as it is told, lies included. It checks what providers check: PKCE, client, URI.

`peer.lie(...)` changes the next answers; without a lie it is honest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "steward", "a secret of the client: 100%"


@lru_cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key for all tests; making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk_of(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", "alg": "RS256"}


def left_half_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


class Peer:
    """The provider's state, and what it was asked."""

    def __init__(self) -> None:
        self.issuer = ""
        self.person: dict[str, Any] = {"sub": "sub-1", "email": "nora@example.org", "email_verified": True}
        self.keys = [jwk_of(rsa_key("good"), "good")]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.gives_refresh_token = True
        self.problems: list[str] = []
        self.discovery: dict[str, Any] = {}
        self.id_claims: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.sign_honestly
        self.userinfo: dict[str, Any] | bytes | None = None
        self.answer: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: False

    def lie(self, **changes: Any) -> None:
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def count(self, path: str) -> int:
        return sum(1 for one, _ in self.asked if one == path)

    # --- The browser's part -------------------------------------------------------------------------------------
    def approve(self, url: str) -> str:
        """What a browser is sent back with after somebody signed in at `url`: the callback's path and query."""
        query = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(self.issuer + "/authorize?")
        assert query["response_type"] == "code" and query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256" and len(query["code_challenge"]) == 43
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        target = urlsplit(query["redirect_uri"])
        return f"{target.path}?{urlencode({'code': code, 'state': query['state']})}"

    # --- The endpoints ------------------------------------------------------------------------------------------
    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "scopes_supported": ["openid", "email", "profile", "offline_access"],
            **self.discovery,
        }

    def tokens(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        if not self._knows_client(authorization):
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form.get("refresh_token", ""))
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            self.problems.append("PKCE")
            return 400, {"error": "invalid_grant"}
        return 200, self._grant({"nonce": asked["nonce"]})

    def _knows_client(self, authorization: str) -> bool:
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        return [unquote(part) for part in pair] == [CLIENT_ID, CLIENT_SECRET]

    def _refresh(self, token: str) -> tuple[int, dict[str, Any]]:
        if self.refresh_tokens.pop(token, None) != self.person["sub"]:
            return 400, {"error": "invalid_grant"}
        return 200, self._grant({})

    def _grant(self, more: dict[str, Any]) -> dict[str, Any]:
        access, now = secrets.token_urlsafe(12), int(time.time())
        honest = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "at_hash": left_half_hash(access)}
        claims = {**honest, **self.person, **more, **self.id_claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        answer = {"access_token": access, "token_type": "Bearer", "id_token": self.sign(claims)}
        if self.gives_refresh_token:
            answer["refresh_token"] = secrets.token_urlsafe(12)
            self.refresh_tokens[answer["refresh_token"]] = self.person["sub"]
        return answer

    def sign_honestly(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, rsa_key("good"), algorithm="RS256", headers={"kid": "good"})

    def said_of_person(self) -> dict[str, Any] | bytes:
        return self.person if self.userinfo is None else self.userinfo


class Handler(BaseHTTPRequestHandler):
    peer: Peer

    def do_GET(self) -> None:
        self._note({})
        if self.peer.answer(self):
            return
        if self.path == "/.well-known/openid-configuration":
            self.send(200, self.peer.document())
        elif self.path == "/keys":
            self.send(200, {"keys": self.peer.keys})
        elif self.path == "/userinfo":
            self.send(200, self.peer.said_of_person())
        else:
            self.send(404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._note(form)
        if not self.peer.answer(self):
            self.send(*self.peer.tokens(form, self.headers.get("Authorization", "")))

    def _note(self, form: dict[str, str]) -> None:
        self.peer.asked.append((self.path, form))

    def send(self, status: int, body: dict[str, Any] | bytes, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if isinstance(body, dict) else "application/jwt")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def running_peer() -> Iterator[Peer]:
    """A peer on a free port of this machine, in a thread."""
    peer = Peer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("PeerHandler", (Handler,), {"peer": peer}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # callers that hang up are what is tested
    peer.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
