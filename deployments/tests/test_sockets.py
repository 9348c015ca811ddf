"""The log over a WebSocket."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from accounts.services.families import tokens_issue
from deployments import services
from deployments.tests.conftest import wait_for
from platform_site.asgi import application


def socket(deployment, user, headers=()) -> WebsocketCommunicator:
    token = tokens_issue(user=user)["access"]
    bearer = (b"authorization", f"Bearer {token}".encode())
    return WebsocketCommunicator(application, f"/ws/deployments/{deployment.pk}/logs", [bearer, *headers])


@pytest.fixture
def stopped(live, ask):
    ask(services.deployment_stop, live)
    return wait_for(live, "stopped")


async def test_member_gets_the_whole_log_and_its_end(stopped, alice):
    follower = await sync_to_async(socket)(stopped, alice)
    assert (await follower.connect())[0]
    events, end = [], None
    while end is None:
        message = json.loads(await follower.receive_from(timeout=5))
        events += message.get("events", [])
        end = message.get("end")
    assert end["state"] == "cancelled"
    assert [event["seq"] for event in events] == list(range(1, end["last_seq"] + 1))
    await follower.disconnect()


async def test_outsider_is_told_that_there_is_nothing(stopped, bob):
    follower = await sync_to_async(socket)(stopped, bob)
    await follower.connect()
    refusal = json.loads(await follower.receive_from(timeout=5))
    assert refusal["status_code"] == 404
    assert (await follower.receive_output(timeout=5))["code"] == 4404


async def test_foreign_origin_is_refused(stopped, alice):
    follower = await sync_to_async(socket)(stopped, alice, [(b"origin", b"https://evil.example")])
    connected, code = await follower.connect()
    assert not connected and code == 4403
