"""System checks of the whole platform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.urls import URLPattern, URLResolver, get_resolver


@register(Tags.security, deploy=True)
def production_is_configured(app_configs: Any, **kwargs: Any) -> list[Any]:
    """What an installation for others must not be without."""
    problems: list[Any] = []
    if not settings.STEWARD_PRODUCTION:
        problems.append(Warning("STEWARD_MODE is not `production`: secrets were generated on disk.", id="steward.W001"))
    if settings.SANDBOX_UNCONFINED:
        problems.append(Error("SANDBOX_UNCONFINED lets generated code run on this host.", id="steward.E001"))
    if settings.STEWARD_PRODUCTION:
        problems += [Warning(text, id=f"steward.{number}") for number, text in _missing()]
    return problems


def _missing() -> Iterator[tuple[str, str]]:
    """What works without, but not as an installation for others should."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield "W002", "SQLite serves one host; set DATABASE_URL to PostgreSQL."
    if not settings.REDIS_URL:
        yield "W003", "Without REDIS_URL each process counts rate limits for itself, so several allow more than one."
    if not settings.SITE_URL.startswith("https://"):
        yield "W004", "SITE_URL does not begin with https://, so links in messages lead past TLS."
    if settings.EMAIL_BACKEND.endswith((".filebased.EmailBackend", ".console.EmailBackend")):
        yield "W005", "EMAIL_URL is not a mail server, so nobody receives a message."
    if "*" in settings.ALLOWED_HOSTS:
        yield "W006", "ALLOWED_HOSTS allows every name, so others decide what Steward calls itself."


@register(Tags.urls)
def admin_has_a_path_of_its_own(app_configs: Any, **kwargs: Any) -> list[Any]:
    """The administration must not stand in front of other pages."""
    taken = {route.split("/")[0] for route in _other_routes(get_resolver().url_patterns, "")}
    if settings.ADMIN_PATH.split("/")[0] not in {*taken, settings.STATIC_URL.strip("/")}:
        return []
    return [Error(f"ADMIN_PATH: other pages begin with {settings.ADMIN_PATH.split('/')[0]}/ too.", id="steward.E002")]


def _other_routes(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for entry in patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        elif entry.namespace != "admin":
            yield from _other_routes(entry.url_patterns, route)
