"""Rate limits: django-ratelimit on pages, DRF's scoped throttles on the API, one answer for both."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django_ratelimit.decorators import ratelimit
from rest_framework.throttling import ScopedRateThrottle

from platform_site.lib.errors import RateLimited

__all__ = ["ScopedRateThrottle", "page_limit", "rate_limited"]


def page_limit(
    group: str, rate: str, *, key: str = "ip", method: str = "POST"
) -> Callable[..., Callable[..., HttpResponse]]:
    """A decorator that allows `rate` (such as `20/m`) requests of `method` per `key` on a page."""
    decorated: Callable[..., Callable[..., HttpResponse]] = ratelimit(group=group, key=key, rate=rate, method=method)
    return decorated


def rate_limited(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What django-ratelimit calls when a page limit is reached."""
    raise RateLimited("Too many attempts. Please wait a minute and try again.", retryable=True, retry_after=60)
