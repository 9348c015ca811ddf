"""The one way to call a model from a run: streamed into its log, measured, stopped when the run is cancelled."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from aigen.providers.base import Prompt, Usage
from aigen.registry import ModelChoice, provider_for
from observability import metrics
from platform_site.lib.errors import ProviderError
from runs.context import RunCancelled, RunContext

CANCEL_SECONDS = 0.1
MAX_TRIES = 3
MAX_ANSWER_CHARACTERS = 4 * 1024 * 1024
CHARACTERS_PER_TOKEN = 4
CUT = "cut"


@dataclass(frozen=True)
class Completion:
    """What a model answered.

    `finish_reason` is `stop` for an answer that the model ended itself; `length`, `other` and `cut` (the connection
    ended in mid-answer) are incomplete. `cost` is in US dollars, None where no price is known.
    """

    text: str
    finish_reason: str
    usage: Usage
    seconds: float
    cost: Decimal | None
    error: str = ""


class AnswerStopped(RunCancelled):
    """The run was cancelled in mid-answer; `completion` holds what had come."""

    def __init__(self, completion: Completion) -> None:
        super().__init__()
        self.completion = completion


def stream_answer(context: RunContext, choice: ModelChoice, prompt: Prompt, *, stream: str = "answer") -> Completion:
    """Calls the model, sends its answer to the run's log as `token` events and answers the whole.

    Temporary failures are tried again with a growing pause while nothing of the answer has come; later ones end the
    answer as `cut`, so that two answers are never spliced.

    Raises:
        AnswerStopped: the run was cancelled; the connection to the provider is closed.
        ProviderError: no answer could be had.
    """
    return asyncio.run(_Call(context, choice, prompt, stream).run())


class _Call:
    def __init__(self, context: RunContext, choice: ModelChoice, prompt: Prompt, stream: str) -> None:
        self._context = context
        self._choice = choice
        self._prompt = prompt
        self._stream = stream
        self._pieces: list[str] = []
        self._characters = 0
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._started = time.monotonic()

    async def run(self) -> Completion:
        task = asyncio.create_task(self._with_retries())
        while not task.done():
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)
            if self._context.cancelled.is_set() and not task.done():
                # Asked again until it has ended: Python 3.11's `wait_for` forgets a cancellation that meets an answer.
                while not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=CANCEL_SECONDS)
                self._count("stopped")
                raise AnswerStopped(self._completion(CUT))
        return task.result()

    async def _with_retries(self) -> Completion:
        for number in range(1, MAX_TRIES + 1):
            try:
                await self._consume()
                break
            except ProviderError as exc:
                if self._pieces:
                    self._count("cut")
                    return self._completion(CUT, error=exc.detail)
                if not exc.retryable or number == MAX_TRIES:
                    self._count("failed")
                    raise
                await self._pause(number, exc)
        self._count("answered")
        return self._completion(self._finish_reason or CUT)

    async def _pause(self, number: int, exc: ProviderError) -> None:
        """Exponential backoff with full jitter, or as long as the provider asked for."""
        seconds = min(exc.retry_after, 30) if exc.retry_after else random.uniform(0.2, 0.5 * 2**number)  # noqa: S311
        self._context.state("provider_retry", reason=exc.detail, try_number=number, wait_seconds=round(seconds, 1))
        await asyncio.sleep(seconds)

    async def _consume(self) -> None:
        deltas = provider_for(self._choice.endpoint).stream(self._prompt)
        try:
            while True:
                try:
                    delta = await asyncio.wait_for(anext(deltas), settings.PROVIDER_TIMEOUT_SECONDS)
                except StopAsyncIteration:
                    return
                except TimeoutError as exc:
                    raise ProviderError("The model stopped answering.", retryable=True) from exc
                self._usage = delta.usage or self._usage
                self._finish_reason = delta.finish_reason or self._finish_reason
                if delta.text:
                    self._take(delta.text)
        finally:
            await deltas.aclose()  # type: ignore[attr-defined]

    def _take(self, text: str) -> None:
        self._pieces.append(text)
        self._characters += len(text)
        self._context.token(text, stream=self._stream)
        if self._characters > MAX_ANSWER_CHARACTERS:
            raise ProviderError("The model's answer is longer than 4 million characters.")

    def _completion(self, finish_reason: str, *, error: str = "") -> Completion:
        text = "".join(self._pieces)
        usage = self._usage or self._estimate(text)
        provider = self._choice.endpoint.name
        metrics.MODEL_TOKENS.labels(provider=provider, direction="input").inc(usage.input_tokens)
        metrics.MODEL_TOKENS.labels(provider=provider, direction="output").inc(usage.output_tokens)
        seconds = time.monotonic() - self._started
        return Completion(text, finish_reason, usage, seconds, self._choice.endpoint.cost_of(usage), error)

    def _estimate(self, text: str) -> Usage:
        asked = len(self._prompt.system) + sum(len(message.content) for message in self._prompt.messages)
        return Usage(asked // CHARACTERS_PER_TOKEN, len(text) // CHARACTERS_PER_TOKEN, estimated=True)

    def _count(self, outcome: str) -> None:
        metrics.MODEL_CALLS.labels(provider=self._choice.endpoint.name, outcome=outcome).inc()
