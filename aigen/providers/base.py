"""What a model provider is to the rest of the platform: something that turns a prompt into a stream of text.

Adapters carry bytes. Prompts, parsing, retries, metering and policy belong to the callers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Message:
    """One turn: `role` is `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A request to a model.

    `model` is the provider's own model id. `max_tokens` bounds the answer. `options` carries facts that only an
    offline provider needs (for example the language asked for); a real model receives them inside the text.
    """

    system: str
    messages: tuple[Message, ...]
    model: str = ""
    max_tokens: int = 16_000
    temperature: float = 0.2
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """Tokens of one call; `estimated` when the provider did not say."""

    input_tokens: int
    output_tokens: int
    estimated: bool = False


@dataclass(frozen=True)
class Delta:
    """A piece of an answer. `finish_reason` is `stop`, `length` or `other` on the last piece with text, else None."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Provider(Protocol):
    """One configured provider endpoint.

    `stream` raises `ProviderError` with `retryable` set; an answer that ends without a `finish_reason` was cut.
    Closing the iterator closes the connection to the provider.
    """

    kind: str
    is_model: bool

    def stream(self, prompt: Prompt) -> AsyncIterator[Delta]: ...

    async def list_models(self) -> list[str]: ...
