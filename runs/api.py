"""The runs part of `/api/v1`."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from platform_site.lib.errors import InvalidRequest, NotFound
from platform_site.lib.pagination import choice_of, page_of, parse_limit
from runs import services, sse
from runs.events import events_page
from runs.kinds import kind_names
from runs.models import Run, RunState
from runs.serializers import EventPageSerializer, RunPageSerializer, RunSerializer

MAX_EVENTS = 1_000
MAX_KEY = 100
IDEMPOTENCY_KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)
PAGE_PARAMETERS = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str)]


class EventStreamRenderer(BaseRenderer):
    """Lets `Accept: text/event-stream` through content negotiation; errors are JSON all the same."""

    media_type = "text/event-stream"
    format = "event-stream"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class StreamingView(APIView):
    """A view that can also answer with an event stream."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]
    content_negotiation_class = DefaultContentNegotiation

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if getattr(response, "accepted_media_type", "") == EventStreamRenderer.media_type:
            response.accepted_renderer, response.accepted_media_type = JSONRenderer(), "application/json"
        return response


class Runs(APIView):
    @extend_schema(
        operation_id="v1_runs_list",
        responses=RunPageSerializer,
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", str), OpenApiParameter("kind", str)],
    )
    def get(self, request: Request) -> Response:
        runs = Run.objects.all()
        if state := choice_of(request.query_params, "state", [str(value) for value in RunState.values]):
            runs = runs.filter(state=state)
        if kind := choice_of(request.query_params, "kind", kind_names()):
            runs = runs.filter(kind=kind)
        page = page_of(runs, request.query_params)
        return Response({"results": RunSerializer(page.items, many=True).data, "next_cursor": page.next_cursor})


class RunDetail(APIView):
    @extend_schema(responses=RunSerializer)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        return Response(RunSerializer(services.run_find(run_id)).data)


class RunCancel(APIView):
    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        run = services.run_cancel(run=services.run_find(run_id), actor=actor_of(request))
        return Response(RunSerializer(run).data, status=202)


class RunRetry(APIView):
    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        run = services.run_retry(run=services.run_find(run_id), actor=actor_of(request))
        return Response(RunSerializer(run).data, status=202)


class RunEvents(StreamingView):
    """A page of events as JSON, or with `Accept: text/event-stream` the live stream from the same place."""

    @extend_schema(
        responses={(200, "application/json"): EventPageSerializer, (200, "text/event-stream"): str},
        parameters=[OpenApiParameter("after", int), OpenApiParameter("limit", int)],
    )
    def get(self, request: Request, run_id: uuid.UUID) -> HttpResponseBase:
        return run_events_response(request, services.run_find(run_id).pk)


def run_events_response(request: Request, run_id: uuid.UUID) -> HttpResponseBase:
    """The events of a run that the caller may see, as the request wants them."""
    after = sse.requested_after(request._request)
    if sse.wants_event_stream(request._request):
        return sse.event_stream(request, run_id, after)
    limit = parse_limit(request.query_params.get("limit"), default=MAX_EVENTS, maximum=MAX_EVENTS)
    events, where = events_page(run_id, after, limit=limit)
    if where is None:
        raise NotFound("There is no such run.")
    next_after = events[-1]["seq"] if events else after
    return Response({"events": events, "last_seq": where.last_seq, "next_after": next_after, "state": where.state})


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header, under which the same call makes its run only once.

    Raises:
        InvalidRequest: it is longer than 100 characters or not printable.
    """
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY or not key.isprintable():
        problem = f"Up to {MAX_KEY} printable characters."
        raise InvalidRequest("The Idempotency-Key is not valid.", errors={"Idempotency-Key": [problem]})
    return key or None
