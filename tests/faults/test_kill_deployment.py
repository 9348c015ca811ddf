"""`kill -9` of the serving process during a deployment and under a live application, then a start on the same data."""

from __future__ import annotations

import signal
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving import Reader, Steward, Tree, listening, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs("sandbox")]

PROMPT = "a to-do list API with title, due date and done flag"
RESOURCE = "todos"
LIVE_SECONDS = 20


@pytest.fixture
def steward(tmp_path):
    """A started Steward that has nothing but the built-in templates."""
    serving = Steward(tmp_path / "var")
    try:
        serving.start().sign_in()
        yield serving
    finally:
        serving.close()


@pytest.fixture
def generation(steward):
    made = steward.generate(prompt=PROMPT, model="builtin")
    steward.wait_for_run(made["run_id"], "succeeded", seconds=60)
    assert steward.get(f"/api/v1/generations/{made['id']}")["status"] == "ready"
    return made


@pytest.fixture
def deploy(steward, generation):
    def deploy_it() -> dict:
        return steward.post("/api/v1/deployments", {"generation_id": generation["id"], "name": "To-do"})

    return deploy_it


def wait_for_live(steward, deployment) -> dict:
    path = f"/api/v1/deployments/{deployment['id']}"
    wait_until(lambda: steward.get(path)["status"] == "live", LIVE_SECONDS, "the application to be live")
    return steward.get(path)


def refuses(url: str) -> bool:
    """Whether nothing listens at the address of `url`."""
    place = urlsplit(url)
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex((place.hostname, place.port)) != 0


@pytest.mark.parametrize("moment", ["starting", "live"])
def test_application_is_back_after_kill_9_while_it_is(moment, steward, deploy, record_property):
    began = time.monotonic()
    deployment = deploy()
    reader = Reader(steward, deployment["run_id"])
    if moment == "starting":
        wait_until(lambda: any(event["text"] == "starting" for event in reader.events), LIVE_SECONDS, "its start", 0)
    else:
        live = wait_for_live(steward, deployment)
        assert httpx.get(live["url"], trust_env=False).status_code == 200
        record_property("seconds from deploy to the first answer", round(time.monotonic() - began, 2))
    tree, ports = Tree(steward.pid), listening(steward.pid)
    steward.kill()
    wait_until(lambda: not tree.left(), 5, "its processes to be gone")
    wait_until(lambda: not ports & listening(), 5, f"the ports {ports} to be free")
    steward.start()
    began = time.monotonic()
    again = wait_for_live(steward, deployment)
    record_property("seconds from ready to live again", round(time.monotonic() - began, 2))
    assert httpx.get(again["url"], trust_env=False).status_code == 200
    assert moment == "starting" or again["url"] == live["url"]
    steward.post(f"/api/v1/deployments/{deployment['id']}/stop")
    reader.join(20)
    assert reader.end_state == "cancelled"
    assert reader.connections > 1
    assert reader.numbers == list(range(1, len(reader.events) + 1))
    assert reader.events == steward.events(deployment["run_id"])
    assert refuses(again["url"])


@pytest.mark.parametrize("end", ["kill -9", "ctrl-c"])
def test_data_of_a_live_application_survives(end, steward, deploy):
    live = wait_for_live(steward, deploy())
    items = f"{live['url']}api/{RESOURCE}"
    created = httpx.post(items, json={"title": "Water the plants"}, trust_env=False)
    assert created.status_code == 201, created.text
    tree = Tree(steward.pid)
    if end == "kill -9":
        steward.kill()
    else:
        steward.stop(signal.SIGINT, within=10)
        assert steward.exit_code == 0
    wait_until(lambda: not tree.left(), 5, "its processes to be gone")
    assert refuses(live["url"])
    steward.start()
    again = wait_for_live(steward, live)
    assert again["url"] == live["url"]
    assert "Water the plants" in httpx.get(items, trust_env=False).text
