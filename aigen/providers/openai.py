"""Any service that speaks OpenAI's chat completions over server-sent events: OpenAI, vLLM, llama.cpp, gateways."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
from django.conf import settings
from openai import AsyncOpenAI

from aigen.providers.base import Delta, Prompt, Usage
from platform_site.lib.errors import ProviderError

CONNECT_SECONDS = 10.0


class OpenAI:
    """One OpenAI-compatible endpoint; `base_url` empty means OpenAI itself."""

    kind = "openai"
    is_model = True

    def __init__(self, *, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        # The client insists on a key; servers of one's own mostly want none.
        self._api_key = api_key or "none"

    def _client(self) -> AsyncOpenAI:
        timeout = httpx2.Timeout(settings.PROVIDER_TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        # No redirects: they would carry the key to another host.
        transport = httpx2.AsyncClient(timeout=timeout, follow_redirects=False)
        return AsyncOpenAI(
            base_url=self._base_url or None,
            api_key=self._api_key,
            max_retries=0,
            timeout=timeout,
            http_client=transport,
        )

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta]:
        """The answer in pieces. An answer that ends without a finish reason was cut.

        Raises:
            ProviderError: the endpoint refused, failed, stalled or answered something else than the protocol.
        """
        async with self._client() as client:
            try:
                response = await client.chat.completions.create(**self._request(prompt))
                async with response:
                    async for chunk in response:
                        for delta in _deltas(chunk):
                            yield delta
            except openai.OpenAIError as exc:
                raise _translate(exc) from exc
            except httpx2.HTTPError as exc:
                raise ProviderError("The connection to the model was lost.", retryable=True) from exc
            except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as exc:
                raise ProviderError("The model's server answered something that is not its protocol.") from exc

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages += [{"role": message.role, "content": message.content} for message in prompt.messages]
        request: dict[str, Any] = {
            "model": prompt.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._base_url:
            return request | {"max_tokens": prompt.max_tokens, "temperature": prompt.temperature}
        # OpenAI's newer models take neither the old name nor any temperature but their own.
        return request | {"max_completion_tokens": prompt.max_tokens}

    async def list_models(self) -> list[str]:
        """The ids of the models that the endpoint offers.

        Raises:
            ProviderError: it could not be asked.
        """
        async with self._client() as client:
            try:
                page = await client.models.list()
            except openai.OpenAIError as exc:
                raise _translate(exc) from exc
            except (json.JSONDecodeError, AttributeError, TypeError) as exc:
                raise ProviderError("The server did not answer with a list of models.") from exc
            return sorted(model.id for model in page.data)


def _deltas(chunk: Any) -> list[Delta]:
    found = []
    for choice in chunk.choices or []:
        if choice.index == 0:
            text = (choice.delta.content or "") if choice.delta else ""
            found.append(Delta(text=text, finish_reason=_finish_reason(choice.finish_reason)))
    if chunk.usage:
        found.append(Delta(usage=Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)))
    return found


def _finish_reason(reason: str | None) -> str | None:
    if reason is None:
        return None
    return reason if reason in ("stop", "length") else "other"


def _translate(exc: openai.OpenAIError) -> ProviderError:
    if isinstance(exc, openai.APITimeoutError):
        return ProviderError("The model did not answer in time.", retryable=True)
    if isinstance(exc, openai.APIConnectionError):
        return ProviderError("The model's server cannot be reached.", retryable=True)
    if isinstance(exc, openai.APIStatusError):
        wait = exc.response.headers.get("retry-after", "")
        return ProviderError(
            f"The model's server answered {exc.status_code}: {_message(exc)}",
            retryable=exc.status_code == 429 or exc.status_code >= 500,
            retry_after=int(wait) if wait.isdigit() else None,
        )
    return ProviderError(f"The model's server reported an error: {str(exc)[:300]}")


def _message(exc: openai.APIStatusError) -> str:
    body = exc.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])[:300]
    return str(exc.message)[:300]
