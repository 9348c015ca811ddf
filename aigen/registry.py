"""Which models can be chosen, and the provider behind a chosen one.

A model's public name is `endpoint/model`; the endpoint `builtin` has one, called `builtin`. Endpoints come from the
environment and from the administrators; one of the database hides one of the environment with the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from django.conf import settings

from aigen.models import ProviderEndpoint
from aigen.providers.base import Provider, Usage
from platform_site.lib.errors import InvalidRequest, Unavailable

BUILTIN = "builtin"


@dataclass(frozen=True)
class Endpoint:
    """A configured place to reach models at, wherever its configuration came from."""

    name: str
    kind: str
    base_urls: tuple[str, ...] = ()
    api_key: str = field(default="", repr=False)
    models: tuple[str, ...] = ()
    price_input: Decimal | None = None
    price_output: Decimal | None = None

    def cost_of(self, usage: Usage) -> Decimal | None:
        """US dollars for a call, None when no price is known."""
        if self.kind == BUILTIN:
            return Decimal(0)
        if self.price_input is None or self.price_output is None:
            return None
        return (self.price_input * usage.input_tokens + self.price_output * usage.output_tokens) / 1_000_000


@dataclass(frozen=True)
class ModelChoice:
    """A model that people can choose: `name` is what the API takes, `model_id` what the provider is told."""

    name: str
    model_id: str
    endpoint: Endpoint

    @property
    def is_model(self) -> bool:
        return self.endpoint.kind != BUILTIN

    @property
    def label(self) -> str:
        return self.name if self.is_model else "builtin (templates, not a model)"


def _builtin(endpoint: Endpoint) -> Provider:
    from aigen.providers.builtin import Builtin  # its templates load when first used

    return Builtin()


def _openai(endpoint: Endpoint) -> Provider:
    from aigen.providers.openai import OpenAI  # the client library takes half a second to load

    return OpenAI(base_url=endpoint.base_urls[0] if endpoint.base_urls else "", api_key=endpoint.api_key)


def _ollama(endpoint: Endpoint) -> Provider:
    from aigen.providers.ollama import Ollama  # the client library takes a quarter of a second to load

    return Ollama(hosts=endpoint.base_urls)


PROVIDERS: dict[str, Callable[[Endpoint], Provider]] = {"builtin": _builtin, "openai": _openai, "ollama": _ollama}


def provider_for(endpoint: Endpoint) -> Provider:
    """The adapter that speaks to `endpoint`."""
    return PROVIDERS[endpoint.kind](endpoint)


def endpoints() -> dict[str, Endpoint]:
    """All enabled endpoints by name; `builtin` is always there, last."""
    found = {endpoint.name: endpoint for endpoint in _from_environment()}
    for row in ProviderEndpoint.objects.all():
        found.pop(row.name, None)
        if row.enabled and row.kind in PROVIDERS:
            found[row.name] = from_row(row)
    found.pop(BUILTIN, None)
    return found | {BUILTIN: Endpoint(name=BUILTIN, kind=BUILTIN, models=(BUILTIN,))}


def from_row(row: ProviderEndpoint) -> Endpoint:
    offered = [row.default_model, *row.models_offered] if row.default_model else row.models_offered
    return Endpoint(
        name=row.name,
        kind=row.kind,
        base_urls=tuple(url for url in [row.base_url] if url),
        api_key=row.api_key,
        models=tuple(dict.fromkeys(str(model) for model in offered)),
        price_input=row.price_input,
        price_output=row.price_output,
    )


def _from_environment() -> list[Endpoint]:
    found = []
    if settings.OPENAI_MODEL and (settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL):
        found.append(
            Endpoint(
                name="openai",
                kind="openai",
                base_urls=tuple(url for url in [settings.OPENAI_BASE_URL] if url),
                api_key=settings.OPENAI_API_KEY,
                models=(settings.OPENAI_MODEL,),
            )
        )
    if settings.OLLAMA_API_URL and settings.OLLAMA_MODEL:
        hosts = tuple(settings.OLLAMA_API_URL)
        found.append(Endpoint(name="ollama", kind="ollama", base_urls=hosts, models=(settings.OLLAMA_MODEL,)))
    return found


def model_choices() -> list[ModelChoice]:
    """Every model that can be chosen; the first is the default."""
    return [
        ModelChoice(model if endpoint.name == BUILTIN else f"{endpoint.name}/{model}", model, endpoint)
        for endpoint in endpoints().values()
        for model in endpoint.models
    ]


def builtin_only() -> bool:
    """Whether no real model is configured."""
    return list(endpoints()) == [BUILTIN]


def model_find(name: str | None) -> ModelChoice:
    """The model called `name`, by default the first.

    Raises:
        InvalidRequest: no configured model has this name.
    """
    choices = model_choices()
    if not name:
        return choices[0]
    for choice in choices:
        if name in (choice.name, choice.model_id):
            return choice
    known = ", ".join(choice.name for choice in choices[:20])
    raise InvalidRequest(
        f"The model '{name[:80]}' is not configured. Known models: {known}.", errors={"model": ["Not a known model."]}
    )


def model_get(name: str) -> ModelChoice:
    """`model_find` for work that was accepted earlier.

    Raises:
        Unavailable: the model was configured then and is not now.
    """
    try:
        return model_find(name)
    except InvalidRequest as exc:
        raise Unavailable(exc.detail) from exc
