"""The walk itself: each step is done through the doors that people use, and checked before the next begins."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from platform_site.demo.client import STREAM_TIMEOUT, TIMEOUT, Api, Event, Follower, check, stream_events
from platform_site.demo.exercise import Exercise, exercise_for
from platform_site.demo.failure import StepFailed
from platform_site.demo.server import Server, gone
from platform_site.demo.terminal import Terminal
from platform_site.demo.writing import WritingView

LIVE_SECONDS = 60.0
LOG_SECONDS = 10.0
STOP_SECONDS = 20.0
STEPS = 9


@dataclass(frozen=True)
class Wish:
    """What is to be built. An empty model means the first one that is configured."""

    prompt: str
    language: str
    model: str


@dataclass(frozen=True)
class _Site:
    """The deployed application: its address, the links of its deployment, its log, and what runs for it now."""

    url: str
    links: dict[str, str]
    log: Follower
    processes: Callable[[], set[str]]


class Walk:
    """One walk. `walk` raises `StepFailed` at the first thing that did not happen; `rows` holds what did."""

    def __init__(self, wish: Wish, terminal: Terminal) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self.step = ""
        self._wish = wish
        self._terminal = terminal
        self._cleanup = ExitStack()
        self._number = 0
        self._details: list[tuple[str, str, str]] = []

    def walk(self) -> None:
        """All steps, in order; whatever was started is ended again.

        Raises:
            StepFailed: a step did not happen.
        """
        with self._cleanup:
            server, api = self._start()
            self._sign_up(api)
            generation = self._generate(api)
            site = self._deploy(api, server, generation)
            app = httpx.Client(base_url=site.url, timeout=TIMEOUT, trust_env=False)
            self._cleanup.callback(app.close)
            exercise = self._use(app, generation)
            self._watch(app, exercise, site.log)
            self._restart(api, app, site, exercise)
            app.close()
            self._stop(api, site)
            api.close()
            self._end(server)

    @contextmanager
    def _timed(self, name: str, note: Callable[[], str] = str) -> Iterator[None]:
        """One step: its heading, its row with seconds, and foreign errors as failures of this step."""
        self._number += 1
        self.step = name
        self._terminal.heading(f"[{self._number}/{STEPS}] {name}")
        started = time.monotonic()
        try:
            yield
        except httpx.HTTPError as exc:
            raise StepFailed(f"{type(exc).__name__}: {exc}") from exc
        self.rows.append(_row(name, time.monotonic() - started, note()))
        self.rows += self._details
        self._details = []

    def _start(self) -> tuple[Server, Api]:
        with self._timed("Start a server of its own", lambda: "cold, with an empty data folder"):
            server = Server()
            self._cleanup.callback(server.discard)
            api = Api(server.wait_ready())
            self._cleanup.callback(api.close)
            check(api.http.get("/sign-in"))
            self._terminal.line(f"{server.url}/ answers")
        return server, api

    def _sign_up(self, api: Api) -> None:
        with self._timed("Sign up through the API"):
            account = {
                "email": f"demo-{secrets.token_hex(4)}@example.org",
                "password": secrets.token_urlsafe(18),
                "name": "Demo",
                "organization": "Demo",
            }
            answer = api.post("/api/v1/auth/signup", account)
            api.sign_in(answer["access"])
            me = api.get("/api/v1/users/me")
            self._terminal.line(f"{me['email']} in the organisation {answer['organization']['name']}")

    def _generate(self, api: Api) -> dict[str, Any]:
        with self._timed("Write, check and test the application"):
            self._terminal.line(f"“{self._wish.prompt}”, {self._wish.language}, by {self._model_label(api)}")
            body = {"prompt": self._wish.prompt, "programming_language": self._wish.language}
            if self._wish.model:
                body["model"] = self._wish.model
            view = WritingView(self._terminal)
            headers = {"Accept": "text/event-stream"}
            stream = api.http.stream("POST", "/api/v1/generate", json=body, headers=headers, timeout=STREAM_TIMEOUT)
            with stream as response:
                if not response.is_success:
                    response.read()
                check(response)
                for event in stream_events(response):
                    view.take(event)
            generation: dict[str, Any] = api.get(response.headers["Location"])
            self._check_generation(generation, view)
        return generation

    def _model_label(self, api: Api) -> str:
        """What Steward calls the model that will be asked; it says of `builtin` that it is none."""
        offered = api.get("/api/v1/models")["results"]
        wanted = [model["label"] for model in offered if self._wish.model in ("", model["name"])]
        return str(wanted[0]) if wanted else self._wish.model

    def _check_generation(self, generation: dict[str, Any], view: WritingView) -> None:
        metrics, best = generation["metrics"], generation["attempts"][-1] if generation["attempts"] else None
        if generation["status"] != "ready" or best is None:
            raise StepFailed(f"The generation is {generation['status']}: {generation['reason']}")
        if view.end_state != "succeeded" or not view.test_lines or best["test_exit_code"] != 0:
            raise StepFailed("The tests were not seen to run and pass.")
        size = f"{metrics['files']} files, {metrics['lines']:,} lines by {generation['model']}"
        self._details = [
            _row("  of that: written", metrics["model_seconds"], size),
            _row("  of that: checked", metrics["check_seconds"], "paths, syntax, the language's own parser"),
            _row("  of that: tested", metrics["test_seconds"], generation["reason"]),
        ]

    def _deploy(self, api: Api, server: Server, generation: dict[str, Any]) -> _Site:
        idle = server.children()
        with self._timed("Deploy it and reach it", lambda: "until its first HTTP answer"):
            body = {"generation_id": generation["id"], "name": "Demo application"}
            links = api.post("/api/v1/deployments", body)["links"]
            log = Follower(api, links["stream"], self._show)
            log.await_event(_is_live, since=0, seconds=LIVE_SECONDS, what="The application being live")
            deployment = api.get(links["self"])
            if deployment["status"] != "live":
                raise StepFailed(f"The deployment is {deployment['status']}: {deployment['reason']}")
            answer = httpx.get(deployment["url"], timeout=TIMEOUT, trust_env=False)
            if answer.status_code >= 500:
                raise StepFailed(f"The application answered {answer.status_code}.")
            self._terminal.line(f"{deployment['url']} answers {answer.status_code}")
        return _Site(deployment["url"], links, log, lambda: server.children() - idle)

    def _show(self, event: Event) -> None:
        if event["kind"] == "line":
            self._terminal.line(f"| {event['text']}")
        elif event["kind"] == "state" and event["stream"] != "run":
            self._terminal.line(f"· {event['text']}")

    def _use(self, app: httpx.Client, generation: dict[str, Any]) -> Exercise:
        with self._timed("Use it over HTTP"):
            exercise = exercise_for(generation)
            self._terminal.line(exercise.first(app))
            self._terminal.line(exercise.again(app, secrets.token_hex(4)))
        return exercise

    def _watch(self, app: httpx.Client, exercise: Exercise, log: Follower) -> None:
        delay = 0.0
        with self._timed("See that request in its live log", lambda: f"{delay * 1000:.0f} ms after the answer came"):
            marker, since = secrets.token_hex(8), log.count
            exercise.again(app, marker)
            asked = time.monotonic()
            came = log.await_event(
                lambda event: event["kind"] == "line" and marker in event["text"],
                since=since,
                seconds=LOG_SECONDS,
                what=f"A log line with {marker}",
            )
            delay = max(0.0, came - asked)

    def _restart(self, api: Api, app: httpx.Client, site: _Site, exercise: Exercise) -> None:
        with self._timed("Restart it", lambda: exercise.kept):
            since, before = site.log.count, site.processes()
            api.post(site.links["restart"])
            site.log.await_event(_is_live, since=since, seconds=LIVE_SECONDS, what="Being live again")
            if before & site.processes():
                raise StepFailed("It is live, but processes from before the restart are still there.")
            self._terminal.line(exercise.again(app, secrets.token_hex(4)))

    def _stop(self, api: Api, site: _Site) -> None:
        with self._timed("Stop it", lambda: "its port refuses, none of its processes is left"):
            own = site.processes()
            if not own:
                raise StepFailed("The application's processes were not seen, so their end cannot be shown.")
            api.post(site.links["stop"])
            site.log.await_event(_is_end, since=0, seconds=STOP_SECONDS, what="The end of its log")
            stopped = api.get(site.links["self"])
            if stopped["status"] != "stopped":
                raise StepFailed(f"The deployment is {stopped['status']}: {stopped['reason']}")
            _check_refused(site.url)
            if not gone(own, seconds=1.0):
                raise StepFailed("Processes of the application are left.")
            self._terminal.line(f"{len(own)} processes ended, {site.url} refuses connections")

    def _end(self, server: Server) -> None:
        with self._timed("End the server", lambda: "exit code 0, no process left"):
            server.stop()
            _check_refused(server.url)


def _row(name: str, seconds: float, note: str) -> tuple[str, str, str]:
    return name, f"{seconds:.2f} s", note


def _is_end(event: Event) -> bool:
    return event["kind"] == "end"


def _is_live(event: Event) -> bool:
    return event["kind"] == "state" and event["text"] == "live"


def _check_refused(url: str) -> None:
    """Raises `StepFailed` if anything still listens at `url`."""
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname or "", where.port or 0), timeout=2).close()
    except ConnectionRefusedError:
        return
    except OSError as exc:
        raise StepFailed(f"{url} does not refuse connections, it fails: {exc}") from exc
    raise StepFailed(f"Something still listens at {url}.")
