"""What it costs to know who calls, and how soon somebody who was signed out is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx

from bench.figures import Figure, median_and_p99
from bench.installation import ACCOUNT, Installation

SIGN_INS, REQUESTS, ENDINGS = 15, 200, 5


def measure(installation: Installation) -> Iterator[Figure]:
    with httpx.Client(base_url=installation.url) as client:
        made = _timed(SIGN_INS, lambda: _login(client))
        yield from median_and_p99("Sign-in with password (Argon2)", made, f"{SIGN_INS} one by one, one connection")
        refresh = _login(client)["refresh"]

        def rotate() -> None:
            nonlocal refresh
            refresh = _ok(client.post("/api/v1/auth/refresh", json={"refresh": refresh}))["refresh"]

        yield from median_and_p99("Refresh of a token family", _timed(50, rotate), "50 one by one, one connection")
        for name, token in (("access token", _login(client)["access"]), ("personal access token", _made_token(client))):
            headers = {"Authorization": f"Bearer {token}"}
            asked = _timed(REQUESTS, lambda headers=headers: _ok(client.get("/api/v1/users/me", headers=headers)))
            yield from median_and_p99(f"GET /api/v1/users/me with {name}", asked, f"{REQUESTS} one by one")
    gone = [_ending(installation) for _ in range(ENDINGS)]
    yield Figure("Signed out to stream closed, longest", max(gone), "s", f"{ENDINGS} event streams, one after another")


def _timed(count: int, act: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def _ok(answer: httpx.Response) -> dict[str, str]:
    answer.raise_for_status()
    body: dict[str, str] = answer.json()
    return body


def _login(client: httpx.Client) -> dict[str, str]:
    return _ok(client.post("/api/v1/auth/login", json={name: ACCOUNT[name] for name in ("email", "password")}))


def _made_token(client: httpx.Client) -> str:
    headers = {"Authorization": f"Bearer {_login(client)['access']}"}
    return _ok(client.post("/api/v1/tokens", json={"name": "bench"}, headers=headers))["token"]


def _ending(installation: Installation) -> float:
    """Seconds from the end of a sign-in to the end of the stream that it opened."""
    run_id = installation.enqueue("bench.lines", count=1, rate=1, delay_seconds=12)
    with httpx.Client(base_url=installation.url, timeout=30) as client:
        tokens = _login(client)
        headers = {"Authorization": f"Bearer {tokens['access']}", "Accept": "text/event-stream"}
        with client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=headers) as stream:
            lines = stream.iter_lines()
            next(lines)
            httpx.post(f"{installation.url}/api/v1/auth/logout", json={"refresh": tokens["refresh"]}).raise_for_status()
            began = time.monotonic()
            for _ in lines:
                pass
            return time.monotonic() - began
