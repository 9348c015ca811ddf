"""Answers are runs: streamed, kept, stopped, failed, tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from accounts.tenancy import organisation_scope
from aigen import registry
from aigen.models import ProviderEndpoint
from aigen.providers.base import Delta, Prompt, Usage
from conversations import services
from conversations.history import logged_answer, newest_that_fit
from conversations.models import Message
from platform_site.lib.errors import Conflict, ProviderError
from runs import queue
from runs.execution import execute
from runs.models import Run


class Scripted:
    """A provider that says what the test tells it to; `hold` keeps it in mid-answer."""

    kind, is_model = "scripted", True

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []
        self.pieces = ["Hello ", "world", "."]
        self.finish_reason: str | None = "stop"
        self.error: ProviderError | None = None
        self.hold = False
        self.said = threading.Event()

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        import asyncio

        self.prompts.append(prompt)
        for piece in self.pieces:
            yield Delta(text=piece)
        self.said.set()
        while self.hold:
            await asyncio.sleep(0.02)
        if self.error:
            raise self.error
        yield Delta(finish_reason=self.finish_reason, usage=Usage(7, 3))

    async def list_models(self) -> list[str]:
        return ["parrot"]


@pytest.fixture
def provider(monkeypatch, transactional_db):
    scripted = Scripted()
    monkeypatch.setitem(registry.PROVIDERS, "scripted", lambda endpoint: scripted)
    ProviderEndpoint.objects.create(
        name="test", kind="scripted", default_model="parrot", price_input=100_000, price_output=200_000
    )
    return scripted


@pytest.fixture
def conversation(provider, acme, alice):
    with organisation_scope(acme.pk):
        yield services.conversation_create(organisation_id=acme.pk, actor=alice, model="test/parrot")


def answer_of(exchange: services.Exchange) -> Message:
    return Message.objects.select_related("run").get(pk=exchange.answer.pk)


def test_the_answer_is_streamed_and_kept_with_what_it_cost(conversation, alice, provider):
    exchange = services.message_post(conversation=conversation, actor=alice, text="Say hello")
    assert execute(exchange.run.pk)
    answer = answer_of(exchange)
    assert (answer.status, answer.content, answer.finish_reason) == ("succeeded", "Hello world.", "stop")
    assert Decimal(answer.run.result["cost"]) == Decimal("1.3")
    assert (answer.run.result["input_tokens"], answer.run.result["output_tokens"]) == (7, 3)
    assert logged_answer(answer.run.pk, last_seq=answer.run.last_seq) == "Hello world."
    assert provider.prompts[0].messages[-1].content == "Say hello"


def test_the_next_question_brings_the_whole_branch_and_hangs_below_the_answer(conversation, alice, provider):
    first = services.message_post(conversation=conversation, actor=alice, text="One")
    execute(first.run.pk)
    second = services.message_post(conversation=conversation, actor=alice, text="Two")
    execute(second.run.pk)
    assert second.question.parent_id == first.answer.pk
    assert [(m.role, m.content) for m in provider.prompts[1].messages] == [
        ("user", "One"),
        ("assistant", "Hello world."),
        ("user", "Two"),
    ]


def test_two_answers_are_never_written_at_once(conversation, alice):
    services.message_post(conversation=conversation, actor=alice, text="One")
    with pytest.raises(Conflict):
        services.message_post(conversation=conversation, actor=alice, text="Two")
    assert Message.objects.filter(conversation=conversation).count() == 2


def test_stop_keeps_what_had_come(conversation, alice, provider):
    provider.hold = True
    exchange = services.message_post(conversation=conversation, actor=alice, text="Talk")
    worker = threading.Thread(target=_execute_and_close, args=(exchange.run.pk,))
    worker.start()
    assert provider.said.wait(10)
    services.conversation_stop(conversation=conversation, actor=alice)
    worker.join(timeout=10)
    answer = answer_of(exchange)
    assert (answer.status, answer.content) == ("cancelled", "Hello world.")


def _execute_and_close(run_id) -> None:
    from django.db import connections

    execute(run_id)
    connections.close_all()


@pytest.mark.parametrize(
    ("finish_reason", "error"),
    [(None, None), ("stop", ProviderError("The connection broke.", retryable=True))],
    ids=["no terminal marker", "broken in mid-answer"],
)
def test_a_cut_answer_fails_and_keeps_its_text(conversation, alice, provider, finish_reason, error):
    provider.finish_reason, provider.error = finish_reason, error
    exchange = services.message_post(conversation=conversation, actor=alice, text="Talk")
    execute(exchange.run.pk)
    answer = answer_of(exchange)
    assert (answer.status, answer.content) == ("failed", "Hello world.")
    assert answer.run.reason


def test_an_answer_whose_worker_died_is_interrupted_keeps_its_text_and_can_be_retried(conversation, alice, provider):
    exchange = services.message_post(conversation=conversation, actor=alice, text="Talk")
    run = queue.claim(exchange.run.pk, owner="somewhere else")
    _write_as_the_dead_worker(run, "Hel")
    Run.objects.filter(pk=run.pk).update(lease_expires_at="2020-01-01T00:00:00Z")
    assert queue.sweep() == 1
    answer = answer_of(exchange)
    assert (answer.status, answer.content) == ("interrupted", "Hel")
    queue.retry(run.pk)
    assert answer_of(exchange).status == "queued"
    execute(run.pk)
    assert (answer_of(exchange).status, answer_of(exchange).content) == ("succeeded", "Hello world.")


def _write_as_the_dead_worker(run: Run, text: str) -> None:
    from runs.events import EventDraft, events_append

    events_append(run.pk, [EventDraft.of("token", text, stream="answer")], lease_token=run.lease_token)


def test_without_a_model_the_answer_says_that_it_is_none(acme, alice, transactional_db):
    with organisation_scope(acme.pk):
        conversation = services.conversation_create(organisation_id=acme.pk, actor=alice, model="builtin")
        exchange = services.message_post(conversation=conversation, actor=alice, text="Who are you?")
        execute(exchange.run.pk)
        answer = answer_of(exchange)
    assert answer.status == "succeeded"
    assert answer.content.startswith("I am not a language model")
    assert "studio" in answer.content


def test_the_worker_answers_by_itself(conversation, alice, worker):
    exchange = services.message_post(conversation=conversation, actor=alice, text="Say hello")
    deadline = time.monotonic() + 10
    while answer_of(exchange).status != "succeeded" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answer_of(exchange).content == "Hello world."


def test_history_keeps_the_newest_turns_and_always_the_question():
    def turn(role: str, content: str) -> Message:
        return Message(role=role, content=content)

    branch = [turn("user", "a" * 50), turn("assistant", "b" * 50), turn("user", "c" * 50)]
    assert [m.content[0] for m in newest_that_fit(branch, characters=500)] == ["a", "b", "c"]
    assert [m.content[0] for m in newest_that_fit(branch, characters=110)] == ["c"]
    assert [m.content[0] for m in newest_that_fit(branch, characters=10)] == ["c"]
    unanswered = [turn("user", "a"), turn("assistant", ""), turn("user", "c")]
    assert [m.content for m in newest_that_fit(unanswered)] == ["a", "c"]
