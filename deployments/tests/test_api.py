"""The REST routes, as members, viewers and outsiders meet them."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from deployments.tests.conftest import get, wait_for, wait_until

ACTIONS = ["cancel", "stop", "restart", "rollback"]
READS = ["", "/logs", "/logs/stream", "/logs/download"]


def url(deployment, rest: str = "") -> str:
    return f"/api/v1/deployments/{deployment.pk}{rest}"


def same_but_for_the_moment(body: dict) -> dict:
    return {name: value for name, value in body.items() if name not in ("timestamp", "path", "request_id")}


@pytest.fixture
def queued(db, generation, deploy):
    """A deployment that no worker takes."""
    return deploy(generation())


@pytest.mark.needs("sandbox")
def test_one_call_deploys_and_the_answer_leads_on(worker, generation, alice_api):
    answer = alice_api.post("/api/v1/deployments", {"generation_id": str(generation().pk), "name": "Counter"})
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"id", "app", "release", "status", "reason", "target", "url", "run_id", "created_at",
                         "live_at", "stopped_at", "links"}  # fmt: skip
    assert body["app"]["slug"] == "counter" and body["release"]["number"] == 1 and body["target"] == "process"

    def now() -> dict:
        return alice_api.get(body["links"]["self"]).json()

    wait_until(lambda: now()["status"] == "live")
    assert now()["url"].startswith("http://127.")
    assert alice_api.post(body["links"]["stop"]).status_code == 202
    wait_until(lambda: now()["status"] == "stopped")
    assert now()["url"] == "" and now()["stopped_at"]


def test_same_idempotency_key_makes_one_deployment(generation, alice_api):
    ready, other = generation(), generation()
    body = {"generation_id": str(ready.pk), "name": "Counter"}
    first = alice_api.post("/api/v1/deployments", body, headers={"Idempotency-Key": "k1"})
    again = alice_api.post("/api/v1/deployments", body, headers={"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    body["generation_id"] = str(other.pk)
    assert alice_api.post("/api/v1/deployments", body, headers={"Idempotency-Key": "k1"}).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"name": ";touch M"}, {"name": "`touch M`"}, {"name": "$(touch M)"}, {"name": "a\nb"}, {"name": "-rf"},
        {"name": "--upload-pack=x"}, {"name": ""}, {"name": "   "}, {"name": "x" * 81}, {"name": "nul\0l"},
        {"name": "../../etc"}, {"name": "<script>"}, {"name": ["a"]}, {"name": None},
        {"name": "a\u202eb"}, {"name": "a\n"},
        {"target": "kubernetes"}, {"target": "process; id"}, {"target": None},
        {"generation_id": "1"}, {"generation_id": None}, {"generation_id": ["x"]}, {"accept_unverified": "perhaps"},
    ],
    ids=repr,
)  # fmt: skip
def test_hostile_fields_are_refused_clearly(generation, alice_api, change):
    body = {"generation_id": str(generation().pk), "name": "Counter"} | change
    answer = alice_api.post("/api/v1/deployments", body)
    assert answer.status_code == 400, answer.content
    assert set(change) == set(answer.json()["errors"])
    assert alice_api.get("/api/v1/apps").json()["results"] == []


@pytest.mark.parametrize("name", ["To-do list", "Zähler 2", "買い物", "R&D (v2)", "O'Brien's", "a"])
def test_ordinary_names_are_taken_as_they_are(generation, alice_api, name):
    answer = alice_api.post("/api/v1/deployments", {"generation_id": str(generation().pk), "name": name})
    assert answer.status_code == 202 and answer.json()["app"]["name"] == name


def test_same_name_means_a_new_release_of_the_same_app(generation, alice_api):
    bodies = [
        alice_api.post("/api/v1/deployments", {"generation_id": str(generation().pk), "name": name}).json()
        for name in ("My app", "my APP", "Another")
    ]
    assert [body["release"]["number"] for body in bodies] == [1, 2, 1]
    app = alice_api.get(f"/api/v1/apps/{bodies[0]['app']['id']}").json()
    assert app["name"] == "My app" and [release["number"] for release in app["releases"]] == [2, 1]
    assert app["deployment"]["id"] == bodies[1]["id"]


def test_command_line_tools_are_not_deployable(generation, alice_api):
    tool = generation(files={"tool.py": "import sys\nprint(sys.argv)\n", "README.md": "# Tool\n"})
    answer = alice_api.post("/api/v1/deployments", {"generation_id": str(tool.pk), "name": "Tool"})
    assert answer.status_code == 400
    assert "command-line tools and functions cannot be deployed" in answer.json()["detail"]
    assert alice_api.get("/api/v1/apps").json()["results"] == []


@pytest.mark.parametrize("status", ["queued", "running", "failed", "cancelled", "interrupted", "unverified"])
def test_only_ready_generations_are_deployed(generation, alice_api, status):
    body = {"generation_id": str(generation(status=status).pk), "name": "Counter"}
    assert alice_api.post("/api/v1/deployments", body).status_code == 409
    accepted = alice_api.post("/api/v1/deployments", body | {"accept_unverified": True}).status_code
    assert accepted == (202 if status == "unverified" else 409)


def test_viewer_sees_but_does_not_operate(queued, generation, victor_api):
    body = {"generation_id": str(generation().pk), "name": "Counter"}
    assert victor_api.post("/api/v1/deployments", body).status_code == 403
    assert [victor_api.post(url(queued, f"/{action}")).status_code for action in ACTIONS] == [403] * 4
    assert victor_api.get(url(queued)).json()["status"] == "queued"
    assert victor_api.get(url(queued, "/logs")).status_code == 200


def test_another_organisations_deployment_and_no_deployment_look_alike(queued, generation, bob_api):
    for accept in ("application/json", "text/event-stream"):
        for rest in READS:
            theirs = bob_api.get(url(queued, rest), headers={"Accept": accept})
            nobodys = bob_api.get(f"/api/v1/deployments/{uuid.uuid4()}{rest}", headers={"Accept": accept})
            streams = rest in ("/logs/stream", "/logs/download")
            assert theirs.status_code == nobodys.status_code == (404 if streams or "json" in accept else 406)
            assert same_but_for_the_moment(theirs.json()) == same_but_for_the_moment(nobodys.json())
    for action in ACTIONS:
        theirs, nobodys = (
            bob_api.post(url(queued, f"/{action}")),
            bob_api.post(f"/api/v1/deployments/{uuid.uuid4()}/{action}"),
        )
        assert theirs.status_code == nobodys.status_code == 404
        assert same_but_for_the_moment(theirs.json()) == same_but_for_the_moment(nobodys.json())
    assert bob_api.get(f"/api/v1/apps/{queued.app_id}").status_code == 404
    theirs = {"generation_id": str(queued.release.generation_id), "name": "Mine now"}
    assert bob_api.post("/api/v1/deployments", theirs).status_code == 404
    assert bob_api.get("/api/v1/deployments").json()["results"] == []
    assert bob_api.get(f"/api/v1/deployments?app={queued.app_id}").json()["results"] == []
    assert bob_api.get("/api/v1/apps").json()["results"] == []


def test_nobody_gets_in_without_signing_in(queued):
    visitor = Client()
    for rest in READS:
        assert visitor.get(url(queued, rest)).status_code == 401
    for action in ACTIONS:
        assert visitor.post(url(queued, f"/{action}")).status_code == 401
    assert visitor.get("/api/v1/apps").status_code == 401


def test_lists_are_paged_filtered_and_cheap(generation, deploy, alice_api, django_assert_max_num_queries):
    made = [deploy(generation(), name=f"App {number}") for number in range(5)]
    with django_assert_max_num_queries(5):
        first = alice_api.get("/api/v1/apps?limit=3").json()
    rest = alice_api.get(f"/api/v1/apps?limit=3&cursor={first['next_cursor']}").json()
    names = [app["name"] for app in first["results"] + rest["results"]]
    assert names == ["App 4", "App 3", "App 2", "App 1", "App 0"]
    assert first["results"][0]["deployment"]["id"] == str(made[4].pk)
    with django_assert_max_num_queries(5):
        page = alice_api.get("/api/v1/deployments?status=queued").json()
    assert len(page["results"]) == 5
    assert alice_api.get("/api/v1/deployments?status=live").json()["results"] == []
    assert alice_api.get("/api/v1/deployments?status=nice").status_code == 400
    assert alice_api.get("/api/v1/deployments?app=1").status_code == 400
    assert alice_api.get("/api/v1/deployments?limit=1e9").status_code == 400


def test_actions_that_do_not_fit_say_so(queued, alice_api):
    assert "wait until it is live" in alice_api.post(url(queued, "/restart")).json()["detail"]
    assert "no earlier release" in alice_api.post(url(queued, "/rollback")).json()["detail"]
    assert alice_api.post(url(queued, "/cancel")).json()["status"] == "stopped"
    assert alice_api.post(url(queued, "/stop")).status_code == 409
    assert alice_api.post(url(queued, "/cancel")).status_code == 409


def test_live_application_is_stopped_rather_than_cancelled(live, alice_api):
    answer = alice_api.post(url(live, "/cancel"))
    assert answer.status_code == 409 and "Stop it instead" in answer.json()["detail"]
    assert get(live) == "one"


def test_old_deployment_does_not_come_back_over_a_newer_one(live, generation, deploy, alice_api):
    newer = wait_for(deploy(generation(version="two")), "live")
    wait_for(live, "stopped")
    answer = alice_api.post(url(live, "/restart"))
    assert answer.status_code == 409 and "newer deployment" in answer.json()["detail"]
    assert alice_api.post(f"/api/v1/runs/{live.run_id}/retry").status_code == 202
    assert wait_for(live, "stopped").reason == "Release 2 is live."
    assert get(newer) == "two"
