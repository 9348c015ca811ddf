"""The built-in provider streams like a model, says that it is none, and is the same every time."""

from __future__ import annotations

import asyncio
import time

import pytest

from aigen.answers import parse_answer
from aigen.providers.base import Delta, Message, Prompt
from aigen.providers.builtin import Builtin

TODO = "a to-do list API with title, due date and done flag"


async def collect(prompt: Prompt, *, delay_seconds: float = 0) -> list[Delta]:
    return [delta async for delta in Builtin(delay_seconds=delay_seconds).stream(prompt)]


def ask(text: str, **options: object) -> Prompt:
    return Prompt("Write software.", (Message("user", text),), model="builtin", options=options)


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_it_streams_pieces_then_says_how_it_ended_and_what_it_cost():
    deltas = await collect(ask(TODO))
    pieces = [delta.text for delta in deltas if delta.text]
    assert len(pieces) > 500
    assert max(map(len, pieces)) < 100
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.estimated
    assert usage.output_tokens == pytest.approx(len(text_of(deltas)) / 4, abs=1)
    assert usage.input_tokens > 0


async def test_the_first_sentence_and_the_readme_say_that_no_model_was_involved():
    answer = text_of(await collect(ask(TODO)))
    assert answer.startswith("This comes from Steward's built-in templates; no language model wrote it.")
    parsed = parse_answer(answer, language="python", finish_reason="stop")
    readme = next(file.content for file in parsed.files if file.path == "README.md")
    assert "No language model was involved" in readme
    assert not Builtin.is_model
    assert await Builtin().list_models() == ["builtin"]


async def test_equal_prompts_give_equal_answers():
    first, second = await collect(ask(TODO)), await collect(ask(TODO))
    assert first == second


@pytest.mark.slow
async def test_a_typical_application_takes_a_second_or_so():
    started = time.perf_counter()
    deltas = await collect(ask(TODO), delay_seconds=0.001)
    assert len(text_of(deltas)) > 25_000
    assert 0.5 < time.perf_counter() - started < 8


async def test_a_limit_on_tokens_cuts_the_answer_and_says_so():
    prompt = Prompt("", (Message("user", TODO),), max_tokens=100)
    deltas = await collect(prompt)
    assert len(text_of(deltas)) == 400
    assert deltas[-1].finish_reason == "length"
    assert not parse_answer(text_of(deltas), language="python", finish_reason="length").complete


async def test_closing_the_stream_early_is_clean():
    stream = Builtin(delay_seconds=0).stream(ask(TODO))
    async for _ in stream:
        break
    await stream.aclose()


async def test_the_loop_stays_free_while_it_streams():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    task = asyncio.create_task(tick())
    await collect(Prompt("", (Message("user", TODO),), max_tokens=3000), delay_seconds=0.0005)
    task.cancel()
    assert ticks > 10


async def test_asked_to_repair_it_gives_the_same_application_and_says_so():
    first = text_of(await collect(ask(TODO, language="python", prompt=TODO)))
    turns = (Message("user", TODO), Message("assistant", first), Message("user", "The tests failed."))
    second = text_of(await collect(Prompt("", turns, options={"language": "python", "prompt": TODO})))
    assert "cannot repair anything" in second
    assert parse_answer(second, language="python", finish_reason="stop").files == (
        parse_answer(first, language="python", finish_reason="stop").files
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("write a function that predicts the weather", "do not know the function"),
        ("a to-do list in Rust", "do not write the language"),
        ("hello, who are you?", "cannot hold a conversation"),
        ("a word count command line tool in html", "HTML has no command line"),
    ],
)
async def test_what_it_cannot_do_gives_words_and_no_file(text, reason):
    answer = text_of(await collect(ask(text)))
    assert reason in answer
    assert "path=" not in answer
    assert "```" not in answer
    assert parse_answer(answer, language="python", finish_reason="stop").files == ()
