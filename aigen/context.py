"""What every page knows about the models."""

from __future__ import annotations

from django.http import HttpRequest

from aigen.registry import builtin_only


def models(request: HttpRequest) -> dict[str, bool]:
    """Template variable `builtin_only`: nothing but the built-in templates is configured, which are not a model."""
    user = getattr(request, "user", None)
    return {"builtin_only": bool(user and user.is_authenticated and builtin_only())}
