"""Gives every request an id, an origin, a log context and a measurement."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from observability import logs, metrics
from platform_site.lib import origin
from platform_site.lib.http import client_address

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_context(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: `X-Request-ID` is taken over when it is well-formed, else made, and always answered."""

    def middleware(request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(8)
        request.request_id = request_id  # type: ignore[attr-defined]
        token = logs.request_id.set(request_id)
        user_agent = request.headers.get("User-Agent", "")[: origin.MAX_USER_AGENT]
        origin_token = origin.current.set(origin.Origin(client_address(request), user_agent))
        try:
            response = get_response(request)
        finally:
            origin.current.reset(origin_token)
            logs.request_id.reset(token)
        response["X-Request-ID"] = request_id
        _measure(request, response, time.perf_counter() - started)
        return response

    return middleware


def _measure(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    match = request.resolver_match
    # The route's pattern, never the path: ids would make a series each.
    route = match.route if match else "unmatched"
    method = request.method if request.method in _METHODS else "OTHER"
    metrics.HTTP_REQUESTS.labels(method=method, route=route, status=response.status_code).inc()
    metrics.HTTP_DURATION.labels(method=method, route=route).observe(seconds)
