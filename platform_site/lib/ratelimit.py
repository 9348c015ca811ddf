"""Rate limits. One counter serves them all: django-ratelimit's, in the shared cache, counted by atomic increments.

Pages use `page_limit`, the API the throttle classes, services `count` for what they count themselves, such as failures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpResponse
from django_ratelimit.core import get_usage
from django_ratelimit.decorators import ratelimit
from rest_framework.throttling import ScopedRateThrottle

from platform_site.lib.errors import RateLimited

__all__ = ["ScopedRateThrottle", "Usage", "count", "page_limit", "refuse_over"]


@dataclass(frozen=True)
class Usage:
    """How often something happened in the current window.

    Args:
        count: occurrences so far, the current one included when it was counted.
        limit: how many are allowed.
        retry_after: seconds until the window ends.
    """

    count: int
    limit: int
    retry_after: int

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left for another one."""
        return self.count >= self.limit

    @property
    def is_over(self) -> bool:
        return self.count > self.limit


def count(group: str, key: str, rate: str, *, increment: bool = True) -> Usage:
    """Counts one occurrence of `group` for `key`, or only looks.

    Args:
        rate: occurrences and window, such as `10/15m`, `20/m` or `100/h`.
    """
    # The library would ask the request only for keys and rates that it has to find itself.
    usage = get_usage(None, group=group, key=lambda *_: key, rate=rate, increment=increment)
    if usage is None:  # switched off by RATELIMIT_ENABLE or a rate of None
        return Usage(0, 1, 0)
    return Usage(usage["count"], usage["limit"], max(1, usage["time_left"]))


def refuse_over(group: str, key: str, rate: str, *, detail: str) -> None:
    """Counts one occurrence and refuses it when it is over the limit.

    Raises:
        RateLimited: with `retry_after`.
    """
    usage = count(group, key, rate)
    if usage.is_over:
        raise RateLimited(detail, retryable=True, retry_after=usage.retry_after)


def page_limit(
    group: str, rate: str, *, key: str = "ip", method: str = "POST"
) -> Callable[..., Callable[..., HttpResponse]]:
    """A decorator that allows `rate` (such as `20/m`) requests of `method` per `key` on a page."""
    decorated: Callable[..., Callable[..., HttpResponse]] = ratelimit(group=group, key=key, rate=rate, method=method)
    return decorated
