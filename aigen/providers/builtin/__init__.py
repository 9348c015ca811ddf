"""The provider that needs no model: it writes applications from templates, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from aigen.providers.base import Delta, Prompt, Usage

from .reader import read_prompt
from .writing import write_for

__all__ = ["Builtin"]

CHARACTERS_PER_TOKEN = 4


class Builtin:
    """Deterministic and offline; `is_model` is False, and every answer's first sentence says the same.

    `delay_seconds` is the pause after every piece of text; 0 streams as fast as the reader takes it.
    """

    kind = "builtin"
    is_model = False

    def __init__(self, *, delay_seconds: float = 0.001) -> None:
        self.delay_seconds = delay_seconds

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        """The answer in pieces; the last one carries the finish reason and the estimated usage."""
        text = await asyncio.to_thread(write_answer_to, prompt)
        allowed = max(1, prompt.max_tokens) * CHARACTERS_PER_TOKEN
        finish_reason = "stop" if len(text) <= allowed else "length"
        for piece in split_pieces(text[:allowed]):
            yield Delta(text=piece)
            await asyncio.sleep(self.delay_seconds)
        usage = Usage(estimate_input(prompt), estimate_tokens(text[:allowed]), estimated=True)
        yield Delta(finish_reason=finish_reason, usage=usage)

    async def list_models(self) -> list[str]:
        return ["builtin"]


def write_answer_to(prompt: Prompt) -> str:
    """The whole answer; equal prompts give equal bytes."""
    return write_for(read_prompt(prompt))


def split_pieces(text: str, *, size: int = 40) -> Iterator[str]:
    """The text in pieces of about `size` characters, of slightly varying length as a model's tokens have."""
    start = 0
    while start < len(text):
        end = start + size - 6 + (start * 7) % 13
        yield text[start:end]
        start = end


def estimate_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def estimate_input(prompt: Prompt) -> int:
    return estimate_tokens(prompt.system) + sum(estimate_tokens(message.content) for message in prompt.messages)
