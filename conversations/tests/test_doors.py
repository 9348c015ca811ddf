"""Conversations over pages, REST and admin: what each answers, and to whom."""

from __future__ import annotations

import json
import uuid

import pytest

from accounts.tenancy import all_organisations, organisation_scope
from conversations import services
from conversations.models import Conversation, Message
from runs.execution import execute


@pytest.fixture
def conversation(acme, alice):
    with organisation_scope(acme.pk):
        return services.conversation_create(organisation_id=acme.pk, actor=alice, title="Plans")


def test_a_message_is_taken_with_202_and_names_its_run(alice_api):
    made = alice_api.post("/api/v1/conversations", {"system_prompt": "Be brief."}).json()
    assert (made["model"], made["system_prompt"]) == ("builtin", "Be brief.")
    posted = alice_api.post(made["links"]["messages"], {"message": "What can you do?"})
    assert posted.status_code == 202, posted.json()
    body = posted.json()
    assert (body["message"]["role"], body["message"]["status"]) == ("user", "succeeded")
    assert (body["answer"]["role"], body["answer"]["status"]) == ("assistant", "queued")
    assert alice_api.get(body["answer"]["links"]["run"]).json()["kind"] == "conversations.answer"
    assert alice_api.get(made["links"]["self"]).json()["title"] == "What can you do?"
    listed = alice_api.get(made["links"]["messages"]).json()["results"]
    assert [message["id"] for message in listed] == [body["answer"]["id"], body["message"]["id"]]


def test_the_same_idempotency_key_posts_once(alice_api, conversation):
    url = f"/api/v1/conversations/{conversation.pk}/messages"
    first = alice_api.post(url, {"message": "Hi"}, headers={"Idempotency-Key": "k-" + "1" * 98}).json()
    again = alice_api.post(url, {"message": "Hi"}, headers={"Idempotency-Key": "k-" + "1" * 98})
    assert (again.status_code, again.json()) == (202, first)
    assert alice_api.post(url, {"message": "Other"}, headers={"Idempotency-Key": "k-" + "1" * 98}).status_code == 409
    assert alice_api.post(url, {"message": "Hi"}, headers={"Idempotency-Key": "k-2"}).status_code == 409
    assert len(alice_api.get(url).json()["results"]) == 2


def test_with_accept_the_post_itself_streams(alice_api, conversation):
    url = f"/api/v1/conversations/{conversation.pk}/messages"
    answer = alice_api.post(url, {"message": "Hi"}, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/event-stream")


async def test_the_stream_carries_the_answer_to_its_end(transactional_db, worker, conversation, alice):
    from asgiref.sync import sync_to_async
    from django.test import AsyncClient

    client = AsyncClient()
    await sync_to_async(client.force_login)(alice)
    url = f"/api/v1/conversations/{conversation.pk}/messages"
    answer = await client.post(
        url, {"message": "Hi"}, content_type="application/json", headers={"Accept": "text/event-stream"}
    )
    text = b"".join([piece async for piece in answer.streaming_content]).decode()
    assert "I am not a language model" in text
    assert text.rstrip().endswith('data: {"state": "succeeded"}')


def test_stop_cancels_the_answer_and_says_when_there_is_none(alice_api, conversation):
    base = f"/api/v1/conversations/{conversation.pk}"
    assert alice_api.post(f"{base}/stop").status_code == 409
    alice_api.post(f"{base}/messages", {"message": "Hi"})
    assert alice_api.post(f"{base}/stop").json()["state"] == "cancelled"
    assert alice_api.get(f"{base}/messages").json()["results"][0]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": "  \n "}, "message"),
        ({"message": "x" * 32_001}, "message"),
        ({"message": "a\x00b"}, "message"),
        ({"message": "\ud800"}, "message"),
        ({"message": "\x1b[2J"}, "message"),
        ({"message": ["x"]}, "message"),
    ],
    ids=["missing", "blank", "too long", "NUL", "lone surrogate", "only control", "wrong type"],
)
def test_bad_messages_are_refused_by_name(alice_api, conversation, body, field):
    url = f"/api/v1/conversations/{conversation.pk}/messages"
    answer = alice_api.generic("POST", url, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400, answer.json()
    assert field in answer.json()["errors"]


def test_an_unknown_model_is_refused(alice_api):
    assert "model" in alice_api.post("/api/v1/conversations", {"model": "gpt-nine"}).json()["errors"]


@pytest.mark.parametrize("suffix", ["", "/messages"])
def test_an_outsider_meets_404_as_for_an_id_that_never_was(bob_api, conversation, suffix):
    theirs = bob_api.get(f"/api/v1/conversations/{conversation.pk}{suffix}")
    nobodys = bob_api.get(f"/api/v1/conversations/{uuid.uuid4()}{suffix}")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["detail"] == nobodys.json()["detail"]


def test_an_outsider_can_neither_post_nor_stop_nor_list(bob_api, bob_pages, conversation):
    base = f"/api/v1/conversations/{conversation.pk}"
    assert bob_api.post(f"{base}/messages", {"message": "Hi"}).status_code == 404
    assert bob_api.post(f"{base}/stop").status_code == 404
    assert bob_api.get("/api/v1/conversations").json()["results"] == []
    assert bob_pages.get(f"/conversations/{conversation.pk}").status_code == 404
    assert bob_pages.post(f"/conversations/{conversation.pk}", {"message": "Hi"}).status_code == 404


def test_a_viewer_reads_and_may_not_write(victor_api, conversation):
    base = f"/api/v1/conversations/{conversation.pk}"
    assert victor_api.get(base).status_code == 200
    assert victor_api.post(f"{base}/messages", {"message": "Hi"}).status_code == 403
    assert victor_api.post("/api/v1/conversations", {}).status_code == 403


def test_strangers_are_sent_to_sign_in(client, conversation):
    assert client.get(f"/api/v1/conversations/{conversation.pk}").status_code == 401
    assert client.get(f"/conversations/{conversation.pk}").status_code == 302


def test_the_page_begins_a_conversation_and_shows_it_as_text(alice_pages, acme):
    answer = alice_pages.post("/conversations", {"message": "<img src=x onerror=alert(1)>", "model": "builtin"})
    assert answer.status_code == 302
    page = alice_pages.get(answer["Location"])
    assert "&lt;img src=x onerror=alert(1)&gt;" in page.content.decode()
    assert "<img src=x" not in page.content.decode()
    busy = alice_pages.post(answer["Location"], {"message": "And?"})
    assert busy.status_code == 409
    assert "still being written" in busy.content.decode()
    assert alice_pages.get("/conversations").status_code == 200
    with organisation_scope(acme.pk):
        assert Message.objects.count() == 2


def test_a_refused_first_message_leaves_no_empty_conversation(alice_pages):
    assert alice_pages.post("/conversations", {"message": "", "model": "builtin"}).status_code == 400
    assert alice_pages.post("/conversations", {"message": "\x1b[2J", "model": "builtin"}).status_code == 400
    with all_organisations():
        assert Conversation.objects.count() == 0


def test_lists_take_few_queries_whatever_their_length(alice_api, acme, alice, django_assert_max_num_queries):
    with organisation_scope(acme.pk):
        for number in range(12):
            services.conversation_create(organisation_id=acme.pk, actor=alice, title=f"Talk {number}")
    with django_assert_max_num_queries(5):
        assert len(alice_api.get("/api/v1/conversations").json()["results"]) == 12


def test_admin_shows_who_and_when_but_not_what(transactional_db, client, administrator, acme, alice, conversation):
    with organisation_scope(acme.pk):
        exchange = services.message_post(conversation=conversation, actor=alice, text="My secret plan")
        execute(exchange.run.pk)
    client.force_login(administrator)
    for url in ["/admin/conversations/conversation/", f"/admin/conversations/conversation/{conversation.pk}/change/"]:
        page = client.get(url)
        assert page.status_code == 200
        assert "alice" in page.content.decode().lower()
        assert "My secret plan" not in page.content.decode()


def test_asking_a_model_is_limited_and_reading_is_not(alice_api, alice_pages, conversation, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"generate": "1/min"}
    url = f"/api/v1/conversations/{conversation.pk}/messages"
    first, second = (alice_api.post(url, {"message": "Hi"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 429)
    assert int(second.headers["Retry-After"]) > 0
    assert {alice_api.get(url).status_code for _ in range(3)} == {200}
    page = f"/conversations/{conversation.pk}"
    answers = [alice_pages.post(page, {"message": "Hi"}).status_code for _ in range(61)]
    assert answers[-1] == 429
