"""A Steward whose runs are executed by Celery workers, over each broker; every process is a real one."""

from __future__ import annotations

import fcntl
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Queue

from aigen.tests.upstream import serve
from tests.services import require_service
from tests.serving import ROOT, Steward, environment_of

QUEUES = ("work", "service")
REDIS_DATABASE = "/10"  # it is flushed, so it is not the one that other tests use


class Broker:
    """A broker that is emptied before and after, and that can lose everything it holds."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._folder = folder

    def flush(self) -> None:
        """Forgets every message."""
        if self.url.startswith("redis"):
            with redis.Redis.from_url(self.url) as client:
                client.flushdb()
        elif self.url.startswith("filesystem"):
            for path in (self._folder / "queue").glob("*.msg"):
                path.unlink()
        else:
            with Connection(self.url) as connection:
                for name in QUEUES:
                    Queue(name)(connection.default_channel).declare()
                    Queue(name)(connection.default_channel).purge()


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Lets one test at a time use the broker: its queues have fixed names."""
    with (Path(tempfile.gettempdir()) / f"steward-tests-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def broker_of(name: str, folder: Path) -> Iterator[Broker]:
    if name == "filesystem":
        yield Broker("filesystem://", folder)
        return
    with alone(name):
        url = require_service(name)
        broker = Broker(url.rsplit("/", 1)[0] + REDIS_DATABASE if name == "redis" else url, folder)
        broker.flush()
        yield broker
        broker.flush()


class Worker:
    """A Celery worker process; `contained` puts it into a pid namespace of its own, as a container would."""

    def __init__(self, steward: Steward, *, contained: bool = False) -> None:
        celery = [
            "-m",
            "celery",
            "-A",
            "platform_site.celery",
            "worker",
            "-P",
            "threads",
            "-c",
            "4",
            "-Q",
            "work,service",
        ]
        argv = [sys.executable, *celery, "-n", f"{secrets.token_hex(4)}@%h", "--loglevel", "WARNING"]
        if contained:
            argv = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--die-with-parent", *argv]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 # closed by the fixture
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=environment_of(steward), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )

    @property
    def output(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self, *, within: float) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(within)


@contextmanager
def database_of_its_own() -> Iterator[str]:
    """The URL of a new, empty PostgreSQL database."""
    server = require_service("postgresql")
    name = f"steward_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server.rsplit("/", 1)[0] + "/" + name
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def upstream():
    with serve() as running:
        yield running


@pytest.fixture(params=["redis", "rabbitmq", "filesystem"])
def broker(request, tmp_path):
    with broker_of(request.param, tmp_path / "var") as running:
        yield running


@pytest.fixture
def start_steward(tmp_path, upstream):
    """Starts the serving process without a worker of its own."""
    started: list[Steward] = []

    def start(broker: Broker, **environment: str) -> Steward:
        model = {"OPENAI_BASE_URL": upstream.url + "/v1", "OPENAI_MODEL": "tiny"}
        serving = Steward(tmp_path / "var", CELERY_BROKER_URL=broker.url, **model, **environment)
        started.append(serving)
        serving.start().sign_in()
        return serving

    yield start
    for serving in started:
        serving.close()


@pytest.fixture
def start_worker():
    workers: list[Worker] = []

    def start(steward: Steward, **options: bool) -> Worker:
        workers.append(Worker(steward, **options))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait(10)
        worker.log.close()
