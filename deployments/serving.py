"""Keeps one deployed application up, from its release to the proof that nothing of it is left.

A new release is started beside the one that is live, and takes its address over once it answers; for that moment both
use the app's data directory, as they do with any rolling restart.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from deployments.lifecycle import deployment_advance, deployment_check_newest, deployment_go_live
from deployments.models import Deployment, DeploymentStatus
from deployments.releases import data_directory, release_directory
from deployments.targets import target_get
from deployments.targets.base import Instance, Placement
from platform_site.lib.secrets import redact
from platform_site.lib.text import LineSplitter, shorten
from runs.context import RunCancelled, RunContext, RunFailed

PROBE_PAUSE = 0.03
PROBE_PAUSE_AFTER_ERROR = 0.25
PROBE_SECONDS = 2.0
WATCH_SECONDS = 0.1
WISH_SECONDS = 0.5
GRACE_SECONDS = 3.0
DRAIN_SECONDS = 0.5
MAX_CRASHES, CRASH_WINDOW_SECONDS = 3, 60.0
BACKOFF_SECONDS = 0.5
TAIL_LINES = 3


class Down(Exception):
    """The application does not answer any more, or never did; the text says why."""


@dataclass
class Output:
    """What an application prints, as lines of its run's log; the last ones are kept for the reason of a failure."""

    context: RunContext
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _splitters: dict[str, LineSplitter] = field(default_factory=dict)

    def receive(self, stream: str, data: bytes) -> None:
        self._say(stream, self._splitters.setdefault(stream, LineSplitter()).feed(data))

    def close(self) -> None:
        """Says what had no newline yet."""
        for stream, splitter in self._splitters.items():
            self._say(stream, splitter.close())

    def _say(self, stream: str, lines: list[str]) -> None:
        for line in lines:
            self.context.line(line, stream=stream)
            if line.strip():
                self.tail.append(line)


class Serving:
    """One attempt of a `deployments.serve` run."""

    def __init__(self, context: RunContext, deployment: Deployment) -> None:
        self._context = context
        self._deployment = deployment
        self._target = target_get(deployment.target)
        self._placement: Placement | None = None
        self._instance: Instance | None = None
        self._output = Output(context)
        self._crashes: deque[float] = deque(maxlen=MAX_CRASHES)
        self._restarts = deployment.restart_requests
        self._was_live = False

    def run(self) -> None:
        """Returns only by an exception.

        Raises:
            RunCancelled: somebody stopped or replaced it, or the run was taken away.
            RunFailed: it never answered, or keeps crashing.
        """
        try:
            self._placement = self._build()
            self._bring_up(self._placement)
            self._keep_up(self._placement)
        except Down as down:
            raise RunFailed(self._explain(str(down))) from down
        finally:
            self._end()

    def _build(self) -> Placement:
        release = self._deployment.release
        deployment_check_newest(self._deployment)
        self._context.state("building", release=release.number)
        source = release_directory(release)
        self._tell(f"Release {release.number}, sha256 {release.archive_sha256}, verified.")
        self._tell(f"Command: {' '.join(release.command)}")
        data = data_directory(self._deployment.app_id)
        return Placement(self._deployment.app_id, self._deployment.pk, source, data, tuple(release.command))

    def _bring_up(self, placement: Placement) -> None:
        """Starts the application and returns when it is live."""
        self._context.check_cancelled()
        deployment_advance(self._context, DeploymentStatus.STARTING)
        self._context.state("starting")
        self._output = Output(self._context)
        self._instance = self._target.start(placement, self._output.receive)
        self._context.state("health")
        self._await_answer(self._instance)
        self._go_live(placement, self._instance)

    def _await_answer(self, instance: Instance) -> None:
        """The health gate: `GET /` must be answered with less than 500."""
        seconds = settings.DEPLOYMENT_HEALTH_SECONDS
        deadline = time.monotonic() + seconds
        last = "nothing listens on its port"
        while (left := deadline - time.monotonic()) > 0:
            pause = PROBE_PAUSE
            try:
                status = instance.probe(min(left, PROBE_SECONDS))
                if status < 500:
                    self._tell(f"GET / answered {status}.")
                    return
                last, pause = f"GET / answered {status}", PROBE_PAUSE_AFTER_ERROR
            except OSError as exc:
                last = "nothing listens on its port" if isinstance(exc, ConnectionRefusedError) else str(exc)
            if not instance.is_alive():
                raise Down(f"It ended before it answered. {instance.end_reason()}")
            if self._context.cancelled.wait(pause):
                raise RunCancelled
        raise Down(f"It did not answer within {seconds:g} seconds: {last}.")

    def _go_live(self, placement: Placement, instance: Instance) -> None:
        wanted = self._deployment.app.port
        address = deployment_go_live(self._context, self._deployment, self._target, placement, instance)
        if wanted and address.port != wanted:
            self._tell(f"Port {wanted} was taken meanwhile; the application has a new address.")
        self._deployment.app.port = address.port
        self._was_live = True
        self._context.state("live", url=f"http://{address.host}:{address.port}/")

    def _keep_up(self, placement: Placement) -> None:
        while True:
            try:
                if self._instance is None:
                    self._bring_up(placement)
                self._watch()
                self._context.state("restarting", reason="A restart was asked for.")
            except Down as down:
                self._back_off(down)
            self._stop_instance()

    def _watch(self) -> None:
        """Returns when a restart is wanted.

        Raises:
            Down: the application ended.
            RunCancelled: the run is to end.
        """
        next_look = 0.0
        while not self._context.cancelled.wait(WATCH_SECONDS):
            if self._instance is None or not self._instance.is_alive():
                raise Down(self._instance.end_reason() if self._instance else "It is gone.")
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + WISH_SECONDS
                if self._restart_is_wanted():
                    return
        raise RunCancelled

    def _restart_is_wanted(self) -> bool:
        try:
            wishes = Deployment.objects.filter(pk=self._deployment.pk).values_list("restart_requests", flat=True)
            asked = wishes.first() or 0
        except DatabaseError:  # the application goes on without the database
            close_old_connections()
            return False
        wanted, self._restarts = asked > self._restarts, max(asked, self._restarts)
        return wanted

    def _back_off(self, down: Down) -> None:
        """Waits before the next start, longer each time; too many crashes in a short time end the deployment."""
        self._crashes.append(time.monotonic())
        if len(self._crashes) == MAX_CRASHES and self._crashes[-1] - self._crashes[0] < CRASH_WINDOW_SECONDS:
            raise Down(f"It crashed {MAX_CRASHES} times within a minute. {down}") from down
        seconds = BACKOFF_SECONDS * 2 ** (len(self._crashes) - 1)
        reason = self._explain(str(down))
        deployment_advance(self._context, DeploymentStatus.STARTING, reason=reason)
        self._context.state("restarting", reason=reason, after_seconds=seconds)
        if self._context.cancelled.wait(seconds):
            raise RunCancelled

    def _end(self) -> None:
        """Closes the door, unless a newer release stands behind it, and ends the application."""
        replaced = False
        if self._placement is not None:
            replaced = self._was_live and not self._target.withdraw(self._placement)
        if replaced:  # what it was asked before the address moved on may still be answered
            threading.Event().wait(DRAIN_SECONDS)
        self._stop_instance()

    def _stop_instance(self) -> None:
        """Ends the application and proves that nothing of it is left.

        Raises:
            RunFailed: that could not be proved.
        """
        instance, self._instance = self._instance, None
        if instance is None:
            return
        gone = instance.stop(GRACE_SECONDS)
        self._output.close()
        if not gone:
            raise RunFailed("It was stopped, but processes of it may be left: the proof that they are gone failed.")
        self._context.state("stopped")

    def _explain(self, reason: str) -> str:
        last = " | ".join(self._output.tail)
        return redact(shorten(f"{reason} Last output: {last}" if last else reason, 500))

    def _tell(self, text: str) -> None:
        self._context.line(text, stream="build")
