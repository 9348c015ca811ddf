"""`manage.py up` as people meet it: first start, second start, the port taken, and its end by each signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time

import httpx
import pytest
import websockets

from aigen.tests.test_generation import GOOD, PROMPT
from aigen.tests.upstream import Reply
from tests.serving import Reader, Steward, Tree, spawn_up, wait_until

END_SECONDS = 10


@pytest.fixture
def slow_generation(steward, upstream):
    """A generation that would take a minute, under way."""
    upstream.replies = [Reply(GOOD * 30, piece=5, pause=0.02), Reply(GOOD)]
    made = steward.generate(prompt=PROMPT, model="openai/tiny")
    wait_until(lambda: steward.said(made["run_id"], "token"), 20, "its first tokens")
    return made


@pytest.fixture
def viewers(steward, slow_generation):
    """Three event streams, three WebSockets and a request that waits for the generation's end."""
    readers = [Reader(steward, slow_generation["run_id"]) for _ in range(3)]
    address = f"{steward.url.replace('http', 'ws')}/ws/runs/{slow_generation['run_id']}"

    async def watch() -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async with websockets.connect(address, additional_headers=steward.headers) as viewer:
                async for _ in viewer:
                    pass

    def wait_for_answer() -> None:
        body = {"prompt": PROMPT + ", waited for", "programming_language": "python", "model": "openai/tiny"}
        with contextlib.suppress(httpx.HTTPError):
            url = f"{steward.url}/api/v1/generate"
            httpx.post(url, json=body, headers=steward.headers, timeout=60, trust_env=False)

    watching = [threading.Thread(target=lambda: asyncio.run(watch()), daemon=True) for _ in range(3)]
    for thread in [*watching, threading.Thread(target=wait_for_answer, daemon=True)]:
        thread.start()
    wait_until(lambda: all(reader.events for reader in readers), 10, "the streams")
    time.sleep(0.5)
    return readers


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_signal_ends_it_cleanly_with_viewers_and_work_and_the_work_goes_on(
    number, steward, upstream, slow_generation, viewers, record_property
):
    upstream.replies = [Reply(GOOD)]
    tree = Tree(steward.pid)
    seconds = steward.stop(number, within=END_SECONDS)
    record_property("seconds to the end", round(seconds, 2))
    assert steward.exit_code == 0, "\n".join(steward.output)
    wait_until(lambda: steward.output[-1:] == ["Stopped."], 2, "its last line")
    assert not any("Traceback" in line for line in steward.output), "\n".join(steward.output)
    assert not tree.left()
    steward.start()
    run = steward.wait_for_run(slow_generation["run_id"], "succeeded", seconds=30)
    assert run["attempt"] == 2
    for reader in viewers:
        reader.join(20)
        assert reader.end_state == "succeeded"
        assert reader.numbers == list(range(1, len(reader.events) + 1))


@pytest.mark.slow
def test_second_start_takes_seconds_keeps_all_data_and_the_administrator(steward, upstream, record_property):
    upstream.replies = [Reply(GOOD)]
    made = steward.generate(prompt=PROMPT, model="openai/tiny")
    steward.wait_for_run(made["run_id"], "succeeded")
    before = {
        "generation": steward.get(f"/api/v1/generations/{made['id']}"),
        "files": steward.get(f"/api/v1/generations/{made['id']}/files"),
        "log": steward.events(made["run_id"]),
        "me": steward.get("/api/v1/users/me"),
    }
    steward.stop(signal.SIGINT, within=END_SECONDS)
    steward.start()
    record_property("seconds of the second start", round(steward.seconds_to_ready, 2))
    assert steward.seconds_to_ready < 10
    assert not any("Password" in line or "administrator" in line for line in steward.output)
    assert before == {
        "generation": steward.get(f"/api/v1/generations/{made['id']}"),
        "files": steward.get(f"/api/v1/generations/{made['id']}/files"),
        "log": steward.events(made["run_id"]),
        "me": steward.get("/api/v1/users/me"),
    }, "the token of before the stop still works, and everything is as it was"


@pytest.mark.slow
def test_the_password_is_stored_nowhere_in_clear(steward):
    password = next(line.split()[-1] for line in steward.output if line.startswith("Password"))
    for path in steward.folder.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_taken_port_is_said_and_the_first_one_is_unharmed(steward, upstream):
    upstream.replies = [Reply(GOOD, piece=20, pause=0.05)]
    made = steward.generate(prompt=PROMPT, model="openai/tiny")
    wait_until(lambda: steward.said(made["run_id"], "token"), 20, "its first tokens")
    second = spawn_up(steward, steward.port)
    output, _ = second.communicate(timeout=30)
    assert second.returncode != 0
    assert f"Port {steward.port} on 127.0.0.1 cannot be used" in output
    assert "Traceback" not in output
    assert steward.wait_for_run(made["run_id"], "succeeded")["attempt"] == 1


def test_taken_port_is_said_before_anything_is_touched(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = spawn_up(Steward(tmp_path / "var"), taken.getsockname()[1])
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cannot be used" in output and "Traceback" not in output
    assert not list((tmp_path / "var").glob("*.sqlite3"))
