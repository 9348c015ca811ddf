"""Ollama, on one or several hosts: the first that answers is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import ollama
from django.conf import settings

from aigen.providers.base import Delta, Prompt, Usage
from platform_site.lib.errors import ProviderError

CONNECT_SECONDS = 5.0


class Ollama:
    """A list of Ollama hosts that hold the same models."""

    kind = "ollama"
    is_model = True

    def __init__(self, *, hosts: Sequence[str]) -> None:
        self._hosts = tuple(hosts) or ("http://127.0.0.1:11434",)

    def _client(self, host: str) -> ollama.AsyncClient:
        timeout = httpx.Timeout(settings.PROVIDER_TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        return ollama.AsyncClient(host=host, timeout=timeout, follow_redirects=False)

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        """The answer in pieces, from the first host that starts to answer. Answers are never joined across hosts.

        Raises:
            ProviderError: no host answered, or the one that began failed.
        """
        failure: ProviderError | None = None
        for host in self._hosts:
            begun = False
            try:
                async for delta in self._stream_from(host, prompt):
                    begun = True
                    yield delta
                return
            except ProviderError as exc:
                if begun or not exc.retryable:
                    raise
                failure = exc
        raise failure or ProviderError("No Ollama host is configured.")

    async def _stream_from(self, host: str, prompt: Prompt) -> AsyncIterator[Delta]:
        try:
            parts = await self._client(host).chat(
                model=prompt.model,
                messages=_messages(prompt),
                stream=True,
                options={"temperature": prompt.temperature, "num_predict": prompt.max_tokens},
            )
            async for part in parts:
                yield _delta(part)
        except ollama.ResponseError as exc:
            raise _from_status(exc) from exc
        except httpx.TimeoutException as exc:
            raise ProviderError("The model did not answer in time.", retryable=True) from exc
        except (httpx.HTTPError, ConnectionError) as exc:
            raise ProviderError("The Ollama host cannot be reached.", retryable=True) from exc
        except ValueError as exc:  # half JSON, invalid UTF-8, fields of the wrong type
            raise ProviderError("The Ollama host answered something that is not its protocol.") from exc

    async def list_models(self) -> list[str]:
        """The models on the first host that answers.

        Raises:
            ProviderError: none answered.
        """
        failure = ProviderError("No Ollama host is configured.")
        for host in self._hosts:
            try:
                listed = await self._client(host).list()
                return sorted(model.model for model in listed.models if model.model)
            except ollama.ResponseError as exc:
                failure = _from_status(exc)
            except (httpx.HTTPError, ConnectionError, ValueError):
                failure = ProviderError(f"The Ollama host {host} cannot be reached.", retryable=True)
        raise failure


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return system + [{"role": message.role, "content": message.content} for message in prompt.messages]


def _delta(part: Any) -> Delta:
    usage = Usage(part.prompt_eval_count or 0, part.eval_count or 0) if part.done else None
    finish = None
    if part.done:
        finish = part.done_reason if part.done_reason in ("stop", "length") else "other"
    return Delta(text=part.message.content or "", finish_reason=finish, usage=usage)


def _from_status(exc: ollama.ResponseError) -> ProviderError:
    retryable = exc.status_code == 429 or exc.status_code >= 500
    return ProviderError(f"The Ollama host answered {exc.status_code}: {str(exc.error)[:300]}", retryable=retryable)
