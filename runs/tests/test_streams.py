"""Three doors to one log: JSON pages, server-sent events and WebSockets, over a real server."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time

import httpx
import pytest
import websockets

from accounts.services.families import tokens_issue
from runs import queue
from runs.events import EventDraft, events_append
from runs.execution import execute
from runs.tests.test_runs import kind  # noqa: F401

LINES = 20_000


@pytest.fixture
def bearer(alice):
    return {"Authorization": "Bearer " + tokens_issue(user=alice)["access"]}


@pytest.fixture
def log_writer(acme, kind):  # noqa: F811
    """A run that writes LINES lines while it is read."""

    def handler(context):
        for number in range(LINES):
            context.line(f"line {number}")
            if number % 1000 == 0:
                time.sleep(0.02)

    run = queue.enqueue(kind(handler), organisation_id=acme.pk)
    thread = threading.Thread(target=execute, args=(run.pk,))
    thread.start()
    yield run
    thread.join()


async def read_sse(base, run_id, headers, chance):
    """All events of a run, over as many connections as `chance` breaks."""
    events, last, connections = [], 0, 0
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as client:
        while True:
            connections += 1
            accept = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
            async with client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=accept) as response:
                assert response.status_code == 200
                name, broken = "", False
                async for line in response.aiter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: ") and name == "events":
                        frame = json.loads(line[6:])
                        events += frame
                        last = frame[-1]["seq"]
                        if random.random() < chance:
                            broken = True
                            break
                    elif line.startswith("data: ") and name == "end":
                        return events, connections
                if not broken:
                    await asyncio.sleep(0.05)


async def read_socket(base, run_id, headers, chance):
    events, last, connections = [], 0, 0
    while True:
        connections += 1
        url = f"{base.replace('http', 'ws')}/ws/runs/{run_id}?after={last}"
        async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
            async for message in socket:
                body = json.loads(message)
                if "end" in body:
                    return events, connections
                events += body["events"]
                last = events[-1]["seq"]
                if random.random() < chance:
                    break


def assert_whole(events):
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["text"] for event in events if event["kind"] == "line"] == [f"line {n}" for n in range(LINES)]


@pytest.mark.django_db(transaction=True)
def test_20_000_lines_arrive_once_and_in_order_whatever_breaks(live_asgi, log_writer, bearer):
    random.seed(7)

    async def read_all():
        return await asyncio.gather(
            *(read_sse(live_asgi, log_writer.pk, bearer, 0.2) for _ in range(2)),
            *(read_socket(live_asgi, log_writer.pk, bearer, 0.2) for _ in range(2)),
        )

    for events, connections in asyncio.run(read_all()):
        assert_whole(events)
        assert connections > 1


@pytest.mark.django_db(transaction=True)
def test_json_pages_hold_the_same_events(live_asgi, log_writer, bearer):
    events, after = [], 0
    with httpx.Client(base_url=live_asgi, headers=bearer, timeout=20) as client:
        while True:
            page = client.get(f"/api/v1/runs/{log_writer.pk}/events", params={"after": after}).json()
            events += page["events"]
            after = page["next_after"]
            if page["state"] == "succeeded" and after == page["last_seq"]:
                break
    assert_whole(events)


@pytest.mark.django_db(transaction=True)
def test_a_slow_viewer_slows_nobody(live_asgi, log_writer, bearer):
    """A reader that never reads holds neither the run nor another reader up."""

    async def read():
        async with httpx.AsyncClient(base_url=live_asgi, headers=bearer, timeout=20) as lazy:
            accept = {"Accept": "text/event-stream"}
            async with lazy.stream("GET", f"/api/v1/runs/{log_writer.pk}/events", headers=accept):
                return await asyncio.wait_for(read_sse(live_asgi, log_writer.pk, bearer, 0), 15)

    events, _ = asyncio.run(read())
    assert_whole(events)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", ["-1", "1.5", "x", "٣", "9" * 30, "1 OR 1=1"])
def test_a_place_that_is_no_number_is_a_400(live_asgi, acme, kind, bearer, after):  # noqa: F811
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    for accept in ("application/json", "text/event-stream"):
        answer = httpx.get(
            f"{live_asgi}/api/v1/runs/{run.pk}/events", params={"after": after}, headers=bearer | {"Accept": accept}
        )
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"]["after"]


@pytest.mark.django_db(transaction=True)
def test_an_outsider_sees_a_foreign_run_as_one_that_does_not_exist(live_asgi, acme, bob, kind):  # noqa: F811
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    headers = {"Authorization": "Bearer " + tokens_issue(user=bob)["access"]}
    unknown = "01890000-0000-7000-8000-000000000000"

    async def closed_with(run_id):
        url = f"{live_asgi.replace('http', 'ws')}/ws/runs/{run_id}"
        async with websockets.connect(url, additional_headers=headers) as socket:
            said = json.loads(await socket.recv())
            await socket.wait_closed()
            return socket.close_code, said

    for accept in ("application/json", "text/event-stream"):
        foreign, random_one = (
            httpx.get(f"{live_asgi}/api/v1/runs/{run_id}/events", headers=headers | {"Accept": accept})
            for run_id in (run.pk, unknown)
        )
        assert foreign.status_code == random_one.status_code == 404
        assert foreign.json()["detail"] == random_one.json()["detail"]
    assert asyncio.run(closed_with(run.pk)) == asyncio.run(closed_with(unknown))
    assert asyncio.run(closed_with(run.pk))[0] == 4404


@pytest.mark.django_db(transaction=True)
def test_sockets_need_a_known_person_and_refuse_foreign_origins(live_asgi, acme, alice, kind, client):  # noqa: F811
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    url = f"{live_asgi.replace('http', 'ws')}/ws/runs/{run.pk}"
    client.force_login(alice)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())

    async def connect(**headers):
        async with websockets.connect(url, additional_headers=headers) as socket:
            return json.loads(await socket.recv())

    assert asyncio.run(connect())["status_code"] == 401
    assert asyncio.run(connect(Cookie=cookie))["status_code"] == 401, "no Origin: not a browser, so no cookie counts"
    assert "events" in asyncio.run(connect(Cookie=cookie, Origin=live_asgi))
    with pytest.raises(websockets.InvalidStatus) as refused:
        asyncio.run(connect(Cookie=cookie, Origin="https://evil.example"))
    assert refused.value.response.status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_line_reaches_an_open_stream_quickly(live_asgi, acme, bearer, kind):  # noqa: F811
    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    arrived = {}

    def write():
        time.sleep(0.3)
        for number in range(20):
            sent[f"{number}"] = time.perf_counter()
            events_append(run.pk, [EventDraft.of("line", f"{number}")])
            time.sleep(0.02)

    sent: dict[str, float] = {}
    thread = threading.Thread(target=write)
    thread.start()
    with httpx.stream(
        "GET", f"{live_asgi}/api/v1/runs/{run.pk}/events", headers=bearer | {"Accept": "text/event-stream"}, timeout=10
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: ["):
                for event in json.loads(line[6:]):
                    arrived[event["text"]] = time.perf_counter()
            if len(arrived.keys() & sent.keys()) == 20:
                break
    thread.join()
    delays = sorted(arrived[text] - sent[text] for text in sent)
    assert delays[10] < 0.1, delays


@pytest.mark.django_db(transaction=True)
def test_viewers_that_leave_are_forgotten(live_asgi, acme, bearer, kind):  # noqa: F811
    from observability.metrics import STREAM_VIEWERS

    def viewers_become(count):
        deadline = time.monotonic() + 5
        while STREAM_VIEWERS._value.get() != count and time.monotonic() < deadline:
            time.sleep(0.02)
        return STREAM_VIEWERS._value.get() == count

    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    assert viewers_become(0), "those of earlier tests have left"

    async def come_and_go():
        url = f"{live_asgi.replace('http', 'ws')}/ws/runs/{run.pk}"
        sockets = [await websockets.connect(url, additional_headers=bearer) for _ in range(20)]
        for socket in sockets:
            await socket.recv()
        async with httpx.AsyncClient(base_url=live_asgi, headers=bearer) as client:
            accept = {"Accept": "text/event-stream"}
            async with client.stream("GET", f"/api/v1/runs/{run.pk}/events", headers=accept) as response:
                async for _ in response.aiter_lines():
                    break
                assert await asyncio.to_thread(viewers_become, 21)
        for socket in sockets:
            await socket.close()

    asyncio.run(come_and_go())
    assert viewers_become(0)


@pytest.mark.django_db(transaction=True)
def test_one_reader_serves_all_viewers_of_a_run(live_asgi, acme, bearer, kind, monkeypatch):  # noqa: F811
    from runs import events as log

    run = queue.enqueue(kind(lambda context: None), organisation_id=acme.pk)
    reads = []
    read = log.frames_after
    monkeypatch.setattr(log, "frames_after", lambda *args, **kwargs: reads.append(args) or read(*args, **kwargs))
    url = f"{live_asgi.replace('http', 'ws')}/ws/runs/{run.pk}"

    async def watch():
        sockets = [await websockets.connect(url, additional_headers=bearer) for _ in range(20)]
        for socket in sockets:
            await socket.recv()
        reads.clear()
        for number in range(10):
            await asyncio.to_thread(events_append, run.pk, [EventDraft.of("line", f"{number}")])
        for socket in sockets:
            texts = []
            while len(texts) < 10:
                texts += [event["text"] for event in json.loads(await socket.recv())["events"]]
            assert texts == [f"{number}" for number in range(10)]
            await socket.close()

    asyncio.run(watch())
    assert 1 <= len(reads) <= 12, "20 viewers cost no more reads than one"
