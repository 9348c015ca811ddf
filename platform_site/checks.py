"""System checks of the whole platform."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register


@register(Tags.security, deploy=True)
def production_is_configured(app_configs: Any, **kwargs: Any) -> list[Any]:
    """What an installation for others must not be without."""
    problems: list[Any] = []
    if not settings.STEWARD_PRODUCTION:
        problems.append(Warning("STEWARD_MODE is not `production`: secrets were generated on disk.", id="steward.W001"))
    if settings.SANDBOX_UNCONFINED:
        problems.append(Error("SANDBOX_UNCONFINED lets generated code run on this host.", id="steward.E001"))
    if settings.STEWARD_PRODUCTION and settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        problems.append(Warning("SQLite serves one host; set DATABASE_URL to PostgreSQL.", id="steward.W002"))
    return problems
