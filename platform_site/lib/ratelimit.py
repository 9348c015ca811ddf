"""Rate limits: django-ratelimit on pages, DRF's scoped throttles on the API; `lib.http` gives both one answer."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django_ratelimit.decorators import ratelimit
from rest_framework.throttling import ScopedRateThrottle

__all__ = ["ScopedRateThrottle", "page_limit"]


def page_limit(
    group: str, rate: str, *, key: str = "ip", method: str = "POST"
) -> Callable[..., Callable[..., HttpResponse]]:
    """A decorator that allows `rate` (such as `20/m`) requests of `method` per `key` on a page."""
    decorated: Callable[..., Callable[..., HttpResponse]] = ratelimit(group=group, key=key, rate=rate, method=method)
    return decorated
