"""Runs: queue, leases with fencing, cancel, retry, recovery."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Membership
from accounts.services.users import user_delete
from accounts.tenancy import all_organisations
from platform_site.lib.errors import Conflict
from runs import kinds, queue
from runs.context import RunFailed
from runs.events import EventDraft, LeaseLost, events_append, events_compact, events_page
from runs.execution import execute, execute_claimed
from runs.models import EventChunk, Run
from runs.services import run_cancel, run_retry, run_wait


@pytest.fixture
def kind(monkeypatch):
    """Registers a handler as a kind of work for one test."""
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))

    def register(handler, *, name="test.work", idempotent=True, **options):
        kinds.run_kind(name, label="Test", idempotent=idempotent, **options)(handler)
        return name

    return register


def reload(run: Run) -> Run:
    with all_organisations():
        return Run.objects.get(pk=run.pk)


def texts(run: Run, event_kind: str = "line") -> list[str]:
    events, _ = events_page(run.pk, 0, limit=1_000_000)
    return [event["text"] for event in events if event["kind"] == event_kind]


def seqs(run: Run) -> list[int]:
    events, _ = events_page(run.pk, 0, limit=1_000_000)
    return [event["seq"] for event in events]


@pytest.mark.django_db(transaction=True)
def test_a_run_succeeds_and_its_log_is_whole(acme, kind):
    def handler(context):
        for number in range(2500):
            context.line(f"line {number}")
        context.progress(50, "half")
        return {"answer": 42}

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    assert execute(run.pk)
    run = reload(run)
    assert (run.state, run.result, run.attempt, run.progress) == ("succeeded", {"answer": 42}, 1, 100)
    assert texts(run) == [f"line {number}" for number in range(2500)]
    assert seqs(run) == list(range(1, run.last_seq + 1))
    assert EventChunk.objects.filter(run_id=run.pk).count() <= 5
    assert not execute(run.pk), "a second delivery finds nothing to claim"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (RunFailed("the tests failed"), "failed", "the tests failed"),
        (ZeroDivisionError("secret detail"), "failed", "Something went wrong on our side; the log has the details."),
    ],
)
def test_failures_become_states_and_unforeseen_ones_show_no_detail(acme, kind, error, state, reason):
    def handler(context):
        raise error

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    execute(run.pk)
    run = reload(run)
    assert (run.state, run.reason) == (state, reason)


@pytest.mark.django_db(transaction=True)
def test_work_of_somebody_who_was_removed_meanwhile_is_not_done(acme, alice, kind):
    done = []
    run = queue.enqueue(kind(lambda context: done.append(1)), organisation_id=acme.pk, created_by=alice)
    alice.memberships.all().delete()
    execute(run.pk)
    run = reload(run)
    assert (run.state, run.reason) == ("failed", "The person who asked for this may not do it any more.")
    assert done == []


@pytest.mark.django_db(transaction=True)
def test_what_lasts_goes_on_when_the_person_who_began_it_left(acme, alice, kind):
    done = []
    lasting = kind(lambda context: done.append(1), pool="service")
    run = queue.enqueue(lasting, organisation_id=acme.pk, created_by=alice)
    alice.memberships.all().delete()
    execute(run.pk)
    assert (reload(run).state, done) == ("succeeded", [1])


@pytest.mark.django_db(transaction=True)
def test_work_of_a_deleted_user_is_cancelled_and_what_lasts_goes_on(acme, alice, administrator, kind):
    Membership.objects.create(user=administrator, organisation=acme, role="owner")
    work = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk, created_by=alice)
    lasting = kind(lambda context: None, name="test.service", pool="service")
    lasting_run = queue.enqueue(lasting, organisation_id=acme.pk, created_by=alice)
    user_delete(user=alice, actor=administrator)
    assert reload(work).state == "cancelled"
    assert (reload(lasting_run).state, reload(lasting_run).created_by) == ("queued", None)


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_lease_was_taken_writes_nothing_more(acme, kind):
    lost = threading.Event()

    def handler(context):
        context.line("before")
        context.flush()
        with all_organisations():
            Run.objects.filter(pk=context.run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        queue.sweep()
        context.line("after")
        context.flush()
        if context.cancelled.wait(5):
            lost.set()

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    execute(run.pk)
    assert lost.is_set()
    run = reload(run)
    assert run.state == "queued", "idempotent work goes back into the queue"
    assert run.recoveries == 1
    assert texts(run) == ["before"]


@pytest.mark.django_db(transaction=True)
def test_an_older_token_can_append_nothing(acme, kind):
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    first = queue.claim(run.pk, owner="one")
    with all_organisations():
        Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    queue.sweep()
    second = queue.claim(run.pk, owner="two")
    events_append(run.pk, [EventDraft.of("line", "mine")], lease_token=second.lease_token)
    with pytest.raises(LeaseLost):
        events_append(run.pk, [EventDraft.of("line", "stale")], lease_token=first.lease_token)
    assert not queue.finish(first, "succeeded")
    assert queue.finish(second, "succeeded")


@pytest.mark.django_db(transaction=True)
def test_work_that_is_not_idempotent_is_interrupted_and_can_be_retried(acme, alice, kind):
    name = kind(lambda context: {"done": True}, idempotent=False)
    run = queue.enqueue(name, organisation_id=acme.pk)
    queue.claim(run.pk, owner="a worker that dies")
    with all_organisations():
        Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert queue.sweep() == 1
    assert reload(run).state == "interrupted"
    run_retry(run=reload(run), actor=alice)
    execute(run.pk)
    assert (reload(run).state, reload(run).attempt) == ("succeeded", 2)


@pytest.mark.django_db(transaction=True)
def test_recovery_is_bounded(acme, kind):
    run = queue.enqueue(kind(lambda context: None, max_recoveries=2), organisation_id=acme.pk)
    states = []
    for _ in range(3):
        queue.claim(run.pk, owner="dies")
        with all_organisations():
            Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        queue.sweep()
        states.append(reload(run).state)
    assert states == ["queued", "queued", "interrupted"]


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_running_run_stops_it_within_a_second(acme, alice, kind, worker):
    started = threading.Event()

    def handler(context):
        started.set()
        context.cancelled.wait(30)
        context.check_cancelled()

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    assert started.wait(5)
    began = time.monotonic()
    run_cancel(run=reload(run), actor=alice)
    assert run_wait(run.pk, seconds=5)
    assert time.monotonic() - began < 2
    assert reload(run).state == "cancelled"
    with pytest.raises(Conflict):
        run_cancel(run=reload(run), actor=alice)


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_queued_run_means_it_never_starts(acme, alice, kind):
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    run_cancel(run=run, actor=alice)
    assert reload(run).state == "cancelled"
    assert not execute(run.pk)


@pytest.mark.django_db(transaction=True)
def test_the_worker_starts_new_work_within_20_ms_at_the_median(acme, kind, worker):
    started: dict[str, float] = {}

    def handler(context):
        started[str(context.run.pk)] = time.perf_counter()

    name = kind(handler)
    delays = []
    for _ in range(15):
        before = time.perf_counter()
        run = queue.enqueue(name, organisation_id=acme.pk)
        after = time.perf_counter()
        assert run_wait(run.pk, seconds=5)
        delays.append(started[str(run.pk)] - after)
        assert after - before < 2
    assert sorted(delays)[len(delays) // 2] < 0.1, delays


@pytest.mark.django_db(transaction=True)
def test_a_stopping_worker_hands_its_runs_back(acme, kind):
    from runs.worker import InProcessWorker

    name = kind(lambda context: context.cancelled.wait(20))
    running = InProcessWorker(work_slots=1)
    running.start()
    run = queue.enqueue(name, organisation_id=acme.pk)
    deadline = time.monotonic() + 5
    while reload(run).state != "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    running.stop()
    assert reload(run).state == "queued"


@pytest.mark.django_db(transaction=True)
def test_compaction_changes_rows_and_no_event(acme, kind):
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    for number in range(60):
        events_append(run.pk, [EventDraft.of("line", f"{number}")])
    before = texts(run)
    events_compact(run.pk)
    assert texts(run) == before
    assert EventChunk.objects.filter(run_id=run.pk).count() == 1
    assert events_page(run.pk, 30, limit=5)[0][0]["seq"] == 31


@pytest.mark.django_db(transaction=True)
def test_many_writers_number_without_gaps(acme, kind):
    from django.db import connections

    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)

    def write(who):
        for number in range(20):
            events_append(run.pk, [EventDraft.of("line", f"{who} {number}")])
        connections.close_all()

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seqs(reload(run)) == list(range(1, 82))


@pytest.mark.django_db(transaction=True)
def test_secrets_and_terminal_codes_do_not_reach_the_log(acme, kind):
    from platform_site.lib.secrets import register_secret

    register_secret("hunter2-hunter2")

    def handler(context):
        context.line("\x1b]8;;javascript:alert(1)\x07key=hunter2-hunter2\x00\x1b[31m\ud800")
        context.state("seen", key="sk-abcdefghijklmnopqrstuvwx", deep=[{"a": "hunter2-hunter2"}])

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    execute_claimed(queue.claim(run.pk, owner="here"))
    assert texts(run) == ["key=[redacted]\ufffd"]
    events, _ = events_page(run.pk, 0, limit=100)
    seen = next(event for event in events if event["text"] == "seen")
    assert seen["data"] == {"key": "[redacted]", "deep": [{"a": "[redacted]"}]}
