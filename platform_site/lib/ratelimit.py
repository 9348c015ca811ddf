"""Rate limits. One counter serves them all: django-ratelimit's, in the shared cache, counted by atomic increments.

Pages use `page_limit`, the API the throttle classes, services `count` for what they count themselves, such as failures.
Everything that changes something is counted besides, under the scope `writes`, whichever door it comes through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django_ratelimit.core import get_usage
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from platform_site.lib.errors import RateLimited
from platform_site.lib.http import API_PREFIXES, client_address, error_response

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which reads the settings that name these classes

AUTH, GENERATE, WRITES = "auth", "generate", "writes"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
IPV6_SITE = 64
"""A site has at least 2^64 addresses of IPv6 for itself, so they count as one."""
TOO_MANY = "Too many requests. Please wait a moment and try again."


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
        rate: occurrences and window, such as `10/15m`, `20/min` or `100/h`.
    """
    # The library would ask the request only for keys and rates that it has to find itself. Group and key are joined
    # there without anything between them.
    usage = get_usage(None, group=f"{group}:", key=lambda *_: key, rate=rate, increment=increment)
    if usage is None:  # switched off by RATELIMIT_ENABLE
        return Usage(0, 1, 0)
    # Where the counter was lost between two calls, the library says "limited" with a count of zero.
    counted = max(usage["count"], usage["limit"] + 1) if usage["should_limit"] else usage["count"]
    return Usage(counted, usage["limit"], max(1, usage["time_left"]))


def refuse_over(group: str, key: str, rate: str, *, detail: str = TOO_MANY) -> None:
    """Counts one occurrence and refuses it when it is over the limit.

    Raises:
        RateLimited: with `retry_after`.
    """
    usage = count(group, key, rate)
    if usage.is_over:
        raise RateLimited(detail, retryable=True, retry_after=usage.retry_after)


# --- Whose requests count together --------------------------------------------------------------------------------
def network_of(address: str) -> str:
    """The network that an address counts with: itself for IPv4, its site's for IPv6; one for all that are neither."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_SITE), strict=False))


def caller_of(request: HttpRequest | Request) -> str:
    """Who a request counts for: its user, else the network that it comes from."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user {user.pk}"
    return f"network {_network(request)}"


def _network(request: HttpRequest | Request) -> str:
    return network_of(client_address(request._request if isinstance(request, Request) else request))


# --- The API ------------------------------------------------------------------------------------------------------
class WriteThrottle(BaseThrottle):
    """Counts every call that changes something; the default of all views of the API."""

    _wait = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or self.is_within(WRITES, caller_of(request))

    def is_within(self, scope: str, key: str) -> bool:
        """Counts one call of `scope` for `key`."""
        usage = count(scope, key, settings.THROTTLE_RATES[scope])
        self._wait = usage.retry_after
        return not usage.is_over

    def wait(self) -> float:
        return self._wait


class ScopedRateThrottle(WriteThrottle):
    """Limits views that name a `throttle_scope`: `auth` for each network, the others for each user.

    Views that name none pass. It counts the call as a write too, so that it can stand alone.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        scope = getattr(view, "throttle_scope", None)
        if scope is not None:
            key = f"network {_network(request)}" if scope == AUTH else caller_of(request)
            if not self.is_within(scope, key):
                return False
        return super().allow_request(request, view)


# --- Pages --------------------------------------------------------------------------------------------------------
KEYS: dict[str, Callable[[HttpRequest], str]] = {
    "ip": lambda request: f"network {_network(request)}",
    "user": lambda request: f"user {request.user.pk}",
    "user_or_ip": caller_of,
}


def page_limit(
    group: str, rate: str, *, key: str = "ip", method: str | tuple[str, ...] = "POST"
) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """A decorator that allows `rate` (such as `20/m`) requests of `method` on a page.

    Args:
        key: whose requests count together: `ip`, `user` or `user_or_ip`.
    """
    methods = (method,) if isinstance(method, str) else method
    key_of = KEYS[key]

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in methods:
                refuse_over(group, key_of(request), rate, detail="Too many attempts. Please wait and try again.")
            return view(request, *args, **kwargs)

        return limited

    return decorate


def page_writes(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: counts forms and other calls of pages that change something. It needs to know the user."""

    def middleware(request: HttpRequest) -> HttpResponse:
        # The API knows its callers only inside its views, which is where `WriteThrottle` counts them.
        if request.method not in SAFE_METHODS and not request.path.startswith(API_PREFIXES):
            usage = count(WRITES, caller_of(request), settings.THROTTLE_RATES[WRITES])
            if usage.is_over:
                return error_response(request, RateLimited(TOO_MANY, retry_after=usage.retry_after))
        return get_response(request)

    return middleware
