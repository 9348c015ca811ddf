"""`/health` says that the process answers, `/health/ready` whether it can do its work."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from observability import health


@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    body = health.as_body(health.services_state())
    return JsonResponse(body, status=503 if body["down"] else 200)
