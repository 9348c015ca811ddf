"""The contract that every provider adapter keeps, against real HTTP that behaves and misbehaves."""

from __future__ import annotations

import asyncio

import pytest

from aigen.providers.base import Message, Prompt
from aigen.tests.upstream import Reply
from platform_site.lib.errors import ProviderError

ANSWER = "Grüße, 世界! " * 20


def provider_of(kind, upstream):
    from aigen.providers.ollama import Ollama
    from aigen.providers.openai import OpenAI

    if kind == "openai":
        return OpenAI(base_url=upstream.url + "/v1", api_key="k")
    return Ollama(hosts=[upstream.url])


async def collect(provider):
    prompt = Prompt(system="Be brief.", messages=(Message("user", "Hello"),), model="tiny", max_tokens=50)
    return [delta async for delta in provider.stream(prompt)]


@pytest.fixture(params=["openai", "ollama"])
def provider(request, upstream):
    return provider_of(request.param, upstream)


def test_an_answer_arrives_whole_with_its_end_and_usage(provider, upstream):
    upstream.replies = [Reply(ANSWER)]
    deltas = asyncio.run(collect(provider))
    assert "".join(delta.text for delta in deltas) == ANSWER
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    usage = [delta.usage for delta in deltas if delta.usage][-1]
    assert (usage.input_tokens, usage.output_tokens) == (100, 200)
    roles = [message["role"] for message in upstream.requests[0]["messages"]]
    assert roles == ["system", "user"]


def test_an_answer_at_the_length_limit_says_so(provider, upstream):
    upstream.replies = [Reply(ANSWER, finish_reason="length")]
    deltas = asyncio.run(collect(provider))
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["length"]


def test_a_cut_answer_never_claims_an_end(provider, upstream):
    upstream.replies = [Reply(ANSWER, cut_after=60)]
    try:
        deltas = asyncio.run(collect(provider))
    except ProviderError:
        return
    assert not any(delta.finish_reason for delta in deltas)


@pytest.mark.parametrize(("status", "retryable"), [(429, True), (500, True), (503, True), (400, False), (401, False)])
def test_refusals_say_whether_a_retry_helps(provider, upstream, status, retryable):
    upstream.replies = [Reply("scripted refusal", status=status)]
    with pytest.raises(ProviderError) as raised:
        asyncio.run(collect(provider))
    assert raised.value.retryable is retryable
    assert str(status) in raised.value.detail


@pytest.mark.parametrize(
    "raw", [b'data: {"half": \n\n{"half": \n', b"data: \xff\xfe\n\n\xff\xfe\n", b"data: [1]\n\n[1]\n"]
)
def test_nonsense_is_a_provider_error(provider, upstream, raw):
    upstream.replies = [Reply(raw=raw)]
    try:
        deltas = asyncio.run(collect(provider))
    except ProviderError:
        return
    assert not any(delta.finish_reason for delta in deltas)


def test_silence_ends_in_time(provider, upstream, settings):
    settings.PROVIDER_TIMEOUT_SECONDS = 0.3
    upstream.replies = [Reply(ANSWER, stall_seconds=2)]
    with pytest.raises(ProviderError) as raised:
        asyncio.run(collect(provider))
    assert raised.value.retryable


def test_nobody_listening_is_retryable():
    from aigen.providers.ollama import Ollama
    from aigen.providers.openai import OpenAI

    for provider in (OpenAI(base_url="http://127.0.0.1:9/v1", api_key=""), Ollama(hosts=["http://127.0.0.1:9"])):
        with pytest.raises(ProviderError) as raised:
            asyncio.run(collect(provider))
        assert raised.value.retryable


def test_ollama_goes_on_to_the_next_host(upstream):
    from aigen.providers.ollama import Ollama

    upstream.replies = [Reply(ANSWER)]
    deltas = asyncio.run(collect(Ollama(hosts=["http://127.0.0.1:9", upstream.url])))
    assert "".join(delta.text for delta in deltas) == ANSWER


def test_models_are_listed(upstream):
    from aigen.providers.openai import OpenAI

    assert asyncio.run(OpenAI(base_url=upstream.url + "/v1", api_key="").list_models()) == ["tiny"]
