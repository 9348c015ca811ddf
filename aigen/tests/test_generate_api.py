"""`POST /api/v1/generate`: what it takes, what it refuses, what it answers."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO

import httpx
import pytest

from accounts.services.families import tokens_issue
from accounts.tenancy import organisation_scope
from aigen.models import Generation
from aigen.tests.test_generation import GOOD, PROMPT
from aigen.tests.upstream import Reply

GOOD_REQUEST = {"prompt": PROMPT, "programming_language": "python", "model": "scripted/tiny"}


def assert_refused(answer, status, field=None):
    body = answer.json()
    assert answer.status_code == status, body
    assert set(body) >= {"error", "detail", "status_code", "timestamp", "path", "request_id"}
    assert body["status_code"] == status
    assert body["path"] == "/api/v1/generate"
    if field:
        assert field in body["errors"], body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "too short"}, "prompt"),
        ({"prompt": "  x        " + " " * 50}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "a nul \x00 in the description"}, "prompt"),
        ({"prompt": "an escape \x1b[31m in the description"}, "prompt"),
        ({"prompt": 12345678901}, "prompt"),
        ({"prompt": ["a", "list"]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"programming_language": "cobol"}, "programming_language"),
        ({"programming_language": ""}, "programming_language"),
        ({"programming_language": {"$ne": 1}}, "programming_language"),
        ({"model": "gpt-17"}, "model"),
        ({"model": 4}, "model"),
        ({"include_tests": "perhaps"}, "include_tests"),
        ({"include_docs": 1}, "include_docs"),
    ],
)
def test_bad_fields_are_named(alice_api, scripted_model, change, field):
    answer = alice_api.post("/api/v1/generate", GOOD_REQUEST | change)
    assert_refused(answer, 400, field)
    assert "cobol" not in change.values() or "Programming language 'cobol' is not supported" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"prompt": "a", "prompt": "b"}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"prompt": ' + b"9" * 5_000 + b"}",
    ],
)
def test_malformed_bodies_are_a_400(alice_api, body):
    answer = alice_api.post("/api/v1/generate", data=body, content_type="application/json")
    assert_refused(answer, 400)


def test_other_media_types_and_methods_are_refused(alice_api):
    assert_refused(alice_api.post("/api/v1/generate", data="a=b", content_type="text/plain"), 415)
    assert_refused(alice_api.get("/api/v1/generate"), 405)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("chunked", [False, True])
def test_five_megabytes_are_refused_before_any_work(live_asgi, alice, chunked):
    headers = {"Authorization": "Bearer " + tokens_issue(user=alice)["access"], "Content-Type": "application/json"}
    body = json.dumps({"prompt": "x" * 5_000_000}).encode()
    content = (body[start : start + 65_536] for start in range(0, len(body), 65_536)) if chunked else body
    answer = httpx.post(f"{live_asgi}/api/v1/generate", content=content, headers=headers)
    assert_refused(answer, 413)


def test_viewers_may_look_but_not_generate(victor_api, scripted_model):
    assert_refused(victor_api.post("/api/v1/generate", GOOD_REQUEST), 403)


def test_strangers_are_asked_to_sign_in(client, db):
    answer = client.post("/api/v1/generate", GOOD_REQUEST, content_type="application/json")
    assert_refused(answer, 401)


@pytest.mark.django_db(transaction=True)
@pytest.mark.needs("sandbox")
def test_the_answer_holds_code_files_tests_and_usage(alice_api, scripted_model, upstream, worker):
    upstream.replies = [Reply(GOOD)]
    answer = alice_api.post("/api/v1/generate", GOOD_REQUEST)
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["status"] == "ready"
    assert body["code"] == "def add(a, b):\n    return a + b\n"
    assert "AddTest" in body["tests"]
    assert [file["path"] for file in body["files"]] == ["adder.py", "tests/test_adder.py"]
    assert body["usage"] == {"input_tokens": 100, "output_tokens": 200, "estimated": False, "cost_usd": "0.00050000"}
    assert body["metrics"]["attempts"] == 1
    archive = alice_api.get(body["links"]["archive"])
    assert zipfile.ZipFile(BytesIO(archive.content)).namelist() == ["adder.py", "tests/test_adder.py"]
    listed = alice_api.get("/api/v1/generations?status=ready").json()
    assert [row["id"] for row in listed["results"]] == [body["id"]]


@pytest.mark.django_db(transaction=True)
def test_prefer_respond_async_answers_at_once_and_the_key_makes_it_once(alice_api, scripted_model, upstream):
    upstream.replies = [Reply(GOOD)]
    headers = {"HTTP_PREFER": "respond-async", "HTTP_IDEMPOTENCY_KEY": "one-click"}
    first = alice_api.post("/api/v1/generate", GOOD_REQUEST, **headers)
    again = alice_api.post("/api/v1/generate", GOOD_REQUEST, **headers)
    other = alice_api.post("/api/v1/generate", GOOD_REQUEST | {"prompt": "Something else entirely"}, **headers)
    assert (first.status_code, first.json()["status"]) == (202, "queued")
    assert again.json()["id"] == first.json()["id"]
    assert_refused(other, 409)


@pytest.mark.django_db(transaction=True)
def test_accepting_an_event_stream_gives_the_run_live(live_asgi, alice, scripted_model, upstream, worker):
    upstream.replies = [Reply(GOOD)]
    headers = {"Authorization": "Bearer " + tokens_issue(user=alice)["access"], "Accept": "text/event-stream"}
    answer, end = "", None
    with httpx.stream("POST", f"{live_asgi}/api/v1/generate", json=GOOD_REQUEST, headers=headers, timeout=30) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["location"].startswith("/api/v1/generations/")
        for line in stream.iter_lines():
            if line.startswith("data: ["):
                answer += "".join(e["text"] for e in json.loads(line[6:]) if e["kind"] == "token")
            elif line.startswith("data: {"):
                end = json.loads(line[6:])
    assert answer == GOOD
    assert end == {"state": "succeeded"}


@pytest.mark.parametrize("path", ["", "/files", "/archive"])
def test_a_foreign_generation_and_a_random_id_look_alike(alice, acme, bob_api, path):
    with organisation_scope(acme.pk):
        foreign = Generation.objects.create(
            organisation=acme, created_by=alice, title="t", prompt=PROMPT, language="python", model="builtin"
        )
    answers = [
        bob_api.get(f"/api/v1/generations/{generation_id}{path}")
        for generation_id in (foreign.pk, "01890000-0000-7000-8000-000000000000")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1e9", "limit=201", "cursor=x", "status=ready'--", "limit=-1"])
def test_bad_list_parameters_are_a_400(alice_api, query):
    assert alice_api.get(f"/api/v1/generations?{query}").status_code == 400
