"""The walk's side of the API: requests that must succeed, and event streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from platform_site.demo.failure import StepFailed

TIMEOUT = httpx.Timeout(30.0)
STREAM_TIMEOUT = httpx.Timeout(30.0, read=60.0)  # a quiet stream says that it is alive every 15 seconds
Event = dict[str, Any]


class Api:
    """A client of `/api/v1` with a token."""

    def __init__(self, base_url: str) -> None:
        # The walk speaks to this machine alone, so a proxy of the environment is left out.
        self.http = httpx.Client(base_url=base_url, timeout=TIMEOUT, trust_env=False)

    def sign_in(self, access: str) -> None:
        self.http.headers["Authorization"] = f"Bearer {access}"

    def get(self, path: str) -> Any:
        return self._json(self.http.get(path))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._json(self.http.post(path, json=body))

    def _json(self, response: httpx.Response) -> Any:
        check(response)
        return response.json()

    def close(self) -> None:
        self.http.close()


def check(response: httpx.Response) -> None:
    """Raises `StepFailed` with the answer's own explanation unless it is a success."""
    if response.is_success:
        return
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text[:300]
    raise StepFailed(f"{response.request.method} {response.request.url.path} answered {response.status_code}: {detail}")


def stream_events(response: httpx.Response) -> Iterator[Event]:
    """The events of a server-sent stream, one by one; the last is `{"kind": "end", "state": …}`."""
    name = ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and name == "events":
            yield from json.loads(value)
        elif field == "data" and name == "end":
            yield {"kind": "end", **json.loads(value)}
            return


class Follower:
    """Follows one event stream in a thread; others wait for what comes in it."""

    def __init__(self, api: Api, path: str, on_event: Callable[[Event], None]) -> None:
        self._api = api
        self._path = path
        self._on_event = on_event
        self._events: list[tuple[float, Event]] = []
        self._changed = threading.Condition()
        self._error = ""
        self._thread = threading.Thread(target=self._follow, name="demo-log", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """How many events have come: `await_event` can look from here on."""
        with self._changed:
            return len(self._events)

    def _follow(self) -> None:
        headers = {"Accept": "text/event-stream"}
        try:
            with self._api.http.stream("GET", self._path, headers=headers, timeout=STREAM_TIMEOUT) as response:
                if not response.is_success:
                    response.read()
                check(response)
                for event in stream_events(response):
                    self._take(event)
        except (httpx.HTTPError, StepFailed, RuntimeError) as exc:
            with self._changed:
                self._error = f"The stream {self._path} broke: {exc}"
                self._changed.notify_all()

    def _take(self, event: Event) -> None:
        with self._changed:
            self._events.append((time.monotonic(), event))
            self._changed.notify_all()
        self._on_event(event)

    def await_event(self, wanted: Callable[[Event], bool], *, since: int, seconds: float, what: str) -> float:
        """When the first wanted event from number `since` on came, by the monotonic clock.

        Raises:
            StepFailed: the stream ended or broke before, or `seconds` passed.
        """
        deadline = time.monotonic() + seconds
        looked = since
        with self._changed:
            while True:
                for came, event in self._events[looked:]:
                    if wanted(event):
                        return came
                    if event["kind"] == "end":
                        raise StepFailed(f"The log ended ({event['state']}) before {what}. {self._reason()}".rstrip())
                looked = len(self._events)
                left = deadline - time.monotonic()
                if self._error or left <= 0:
                    raise StepFailed(self._error or f"{what} did not happen within {seconds:g} seconds.")
                self._changed.wait(left)

    def _reason(self) -> str:
        """The last reason that the log gives."""
        reasons = [event["data"]["reason"] for _, event in self._events if "reason" in event.get("data", {})]
        return str(reasons[-1]) if reasons else ""
