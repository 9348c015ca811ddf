"""`kill -9` of the serving process while it generates, then a start on the same data."""

from __future__ import annotations

import time

import pytest

from aigen.tests.test_generation import GOOD, PROMPT
from aigen.tests.upstream import Reply
from tests.serving import Reader, Tree, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs("sandbox")]

TREE_SECONDS = 5
BACK_SECONDS = 15
SLOW_TEST = "    def test_slow(self):\n        __import__('time').sleep(45)\n\n    def test_sum"
SLOW_TESTS = GOOD.replace("    def test_sum", SLOW_TEST)
TODO = "a to-do list API with title, due date and done flag"


def kill_and_start(steward, run_id, record_property) -> None:
    """Kills Steward, proves that nothing of it is left, and starts it again; returns when the run is taken up."""
    tree = Tree(steward.pid)
    began = time.monotonic()
    steward.kill()
    wait_until(lambda: not tree.left(), TREE_SECONDS, "its processes to be gone")
    record_property("seconds until nothing was left", round(time.monotonic() - began, 2))
    steward.start()
    record_property("seconds of the start", round(steward.seconds_to_ready, 2))
    began = time.monotonic()
    wait_until(lambda: steward.get(f"/api/v1/runs/{run_id}")["attempt"] > 1, BACK_SECONDS, "the second attempt")
    record_property("seconds from ready to the second attempt", round(time.monotonic() - began, 2))


def assert_complete(steward, reader) -> None:
    """The reader that resumed has each event once: numbered 1..N, and the same as the stored log."""
    reader.join(30)
    assert reader.end_state == "succeeded"
    assert reader.connections > 1
    assert reader.numbers == list(range(1, len(reader.events) + 1))
    assert reader.events == steward.events(reader.run_id)


@pytest.mark.parametrize("moment", ["the model answers", "the templates write", "the tests run"])
def test_generation_survives_kill_9_while(moment, steward, upstream, record_property):
    answer = {"the model answers": Reply(GOOD * 30, piece=10, pause=0.02), "the tests run": Reply(SLOW_TESTS)}
    upstream.replies = [answer.get(moment, Reply(GOOD)), Reply(GOOD)]
    builtin = moment == "the templates write"
    made = steward.generate(prompt=TODO if builtin else PROMPT, model="builtin" if builtin else "openai/tiny")
    reader = Reader(steward, made["run_id"])
    if moment == "the tests run":
        wait_until(lambda: Tree(steward.pid).namespaces, 20, "the sandbox of the tests")
    else:
        wait_until(lambda: sum(event["kind"] == "token" for event in reader.events) > 2, 20, "tokens")
    assert steward.get(f"/api/v1/runs/{made['run_id']}")["state"] == "running"
    kill_and_start(steward, made["run_id"], record_property)
    run = steward.wait_for_run(made["run_id"], "succeeded")
    assert run["attempt"] == 2
    assert steward.get(f"/api/v1/generations/{made['id']}")["status"] == "ready"
    assert_complete(steward, reader)


def test_nothing_queued_is_lost_when_everything_dies_at_once(steward, upstream):
    """More generations than workers: some run and some wait when the process is killed, and all are done after it."""
    upstream.replies = [Reply(GOOD, piece=10, pause=0.02)]
    made = [steward.generate(prompt=f"{PROMPT}, number {number}", model="openai/tiny") for number in range(12)]
    wait_until(lambda: len(upstream.requests) >= 4, 20, "four at work")
    steward.kill()
    steward.start()
    for generation in made:
        steward.wait_for_run(generation["run_id"], "succeeded", seconds=60)
    readers = [steward.events(generation["run_id"]) for generation in made]
    assert all([event["seq"] for event in log] == list(range(1, len(log) + 1)) for log in readers)
