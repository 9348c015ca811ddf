"""The same runs, executed by Celery worker processes over Redis, RabbitMQ and a folder: fast, and nothing is lost."""

from __future__ import annotations

import statistics
import time
from contextlib import nullcontext
from datetime import datetime

import pytest

from aigen.tests.test_generation import GOOD, PROMPT, TEST
from aigen.tests.upstream import Reply
from tests.brokers.conftest import broker_of, database_of_its_own
from tests.services import require_service
from tests.serving import Reader, wait_until

pytestmark = [pytest.mark.service, pytest.mark.slow]

UNTESTED = GOOD.replace(TEST, "")
LEASE_SECONDS = 10
SWEEP_SECONDS = 5


def ask(steward, number: int = 0) -> dict:
    """A generation that needs no sandbox, so that only the queue is measured."""
    return steward.generate(prompt=f"{PROMPT}, number {number}", model="openai/tiny", include_tests=False)


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def assert_whole(steward, run_id: str) -> None:
    events = steward.events(run_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_worker_process_starts_work_at_once(broker, upstream, start_steward, start_worker, record_property):
    upstream.replies = [Reply(UNTESTED)]
    steward = start_steward(broker)
    worker = start_worker(steward)
    steward.wait_for_run(ask(steward)["run_id"], "succeeded", seconds=30)
    waits = []
    for number in range(15):
        run = steward.wait_for_run(ask(steward, number)["run_id"], "succeeded", seconds=20)
        assert run["attempt"] == 1
        waits.append(seconds_between(run["queued_at"], run["started_at"]))
        assert_whole(steward, run["id"])
    record_property("median seconds from enqueue to start", statistics.median(waits))
    record_property("longest", max(waits))
    assert statistics.median(waits) < 0.3, waits
    worker.terminate(within=20)
    assert worker.process.returncode == 0, worker.output


def test_run_of_a_killed_worker_is_taken_over(broker, upstream, start_steward, start_worker, record_property):
    upstream.replies = [Reply(UNTESTED * 30, piece=5, pause=0.02), Reply(UNTESTED)]
    steward = start_steward(broker)
    first = start_worker(steward)
    made = ask(steward)
    reader = Reader(steward, made["run_id"])
    wait_until(lambda: any(event["kind"] == "token" for event in reader.events), 30, "tokens")
    start_worker(steward)
    first.kill()
    killed = time.monotonic()
    wait_until(
        lambda: steward.get(f"/api/v1/runs/{made['run_id']}")["attempt"] == 2, LEASE_SECONDS + 30, "the second attempt"
    )
    seconds = time.monotonic() - killed
    record_property("seconds from kill -9 to the second attempt", round(seconds, 2))
    assert seconds < LEASE_SECONDS + SWEEP_SECONDS
    assert steward.wait_for_run(made["run_id"], "succeeded")["attempt"] == 2
    reader.join(20)
    assert reader.numbers == list(range(1, len(reader.events) + 1))
    assert reader.events == steward.events(made["run_id"])


def test_lease_brings_back_the_run_of_a_worker_that_nobody_can_see(
    tmp_path, upstream, start_steward, start_worker, record_property
):
    """A worker in a container of its own: only the lease tells that it is dead."""
    upstream.replies = [Reply(UNTESTED * 30, piece=5, pause=0.02), Reply(UNTESTED)]
    with broker_of("redis", tmp_path / "var") as broker:
        steward = start_steward(broker)
        first = start_worker(steward, contained=True)
        made = ask(steward)
        wait_until(lambda: steward.said(made["run_id"], "token"), 30, "tokens")
        start_worker(steward)
        first.kill()
        killed = time.monotonic()
        wait_until(lambda: steward.get(f"/api/v1/runs/{made['run_id']}")["attempt"] == 2, 60, "the second attempt")
        seconds = time.monotonic() - killed
        record_property("seconds from kill -9 to the second attempt", round(seconds, 2))
        assert seconds < LEASE_SECONDS + SWEEP_SECONDS
        steward.wait_for_run(made["run_id"], "succeeded")


def test_flushed_broker_loses_nothing(broker, upstream, start_steward, start_worker, record_property):
    upstream.replies = [Reply(UNTESTED)]
    steward = start_steward(broker)
    made = [ask(steward, number) for number in range(6)]
    broker.flush()
    start_worker(steward)
    flushed = time.monotonic()
    for generation in made:
        run = steward.wait_for_run(generation["run_id"], "succeeded", seconds=40)
        assert run["attempt"] == 1, "dispatched again and again, but executed once"
    record_property("seconds until all were done", round(time.monotonic() - flushed, 1))


def test_stopping_worker_hands_its_run_to_another(tmp_path, upstream, start_steward, start_worker):
    upstream.replies = [Reply(UNTESTED * 30, piece=5, pause=0.02), Reply(UNTESTED)]
    with broker_of("redis", tmp_path / "var") as broker:
        steward = start_steward(broker)
        first = start_worker(steward)
        made = ask(steward)
        wait_until(lambda: steward.said(made["run_id"], "token"), 30, "tokens")
        start_worker(steward)
        first.terminate(within=20)
        run = steward.wait_for_run(made["run_id"], "succeeded", seconds=30)
        assert run["attempt"] == 2
        assert_whole(steward, made["run_id"])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_lines_of_a_worker_reach_a_reader_of_another_process_quickly(
    database, tmp_path, upstream, start_steward, start_worker, record_property
):
    """Hints travel through Redis: the reader's process need not poll to see what the worker's process wrote."""
    upstream.replies = [Reply(UNTESTED * 4, piece=20, pause=0.1)]
    redis_url = require_service("redis")
    own = database_of_its_own() if database == "postgresql" else nullcontext()
    with own as url, broker_of("redis", tmp_path / "var") as broker:
        options = {"DATABASE_URL": url} if url else {}
        steward = start_steward(broker, REDIS_URL=redis_url, **options)
        start_worker(steward)
        steward.wait_for_run(ask(steward)["run_id"], "succeeded", seconds=40)
        reader = Reader(steward, ask(steward, 1)["run_id"])
        reader.join(60)
        assert reader.end_state == "succeeded"
        delays = sorted(
            arrived - datetime.fromisoformat(event["at"]).timestamp()
            for event, arrived in zip(reader.events, reader.arrivals, strict=True)
            if event["kind"] == "token"
        )
        assert len(delays) >= 15
        record_property("median seconds from line to reader", round(statistics.median(delays), 4))
        record_property("99th percentile", round(delays[int(len(delays) * 0.99) - 1], 4))
        assert statistics.median(delays) < 0.2, delays
        steward.close()
