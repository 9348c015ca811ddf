"""The AI part of `/api/v1`."""

from __future__ import annotations

import uuid

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.tenancy import current_organisation
from aigen import services
from aigen.languages import LANGUAGES
from aigen.models import Generation, GenerationStatus
from aigen.registry import model_choices
from aigen.serializers import FileSerializer, GenerateSerializer, GenerationSerializer, GenerationSummarySerializer
from platform_site.lib.pagination import choice_of, page_of
from platform_site.lib.ratelimit import ScopedRateThrottle
from runs import sse
from runs.api import IDEMPOTENCY_KEY, PAGE_PARAMETERS, StreamingView, idempotency_key
from runs.services import run_wait

WAIT_SECONDS = 30.0


class Generate(StreamingView):
    """Writes an application. Waits up to 30 seconds; what takes longer is answered with 202 and links.

    `Prefer: respond-async` answers 202 at once, `Accept: text/event-stream` with the live events of the run.
    """

    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "generate"

    @extend_schema(
        request=GenerateSerializer,
        responses={200: GenerationSerializer, 202: GenerationSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> HttpResponseBase:
        form = GenerateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        generation = services.generation_create(
            actor=actor_of(request),
            organisation_id=current_organisation(),
            prompt=values["prompt"],
            language=values["programming_language"],
            include_tests=values["include_tests"],
            include_docs=values["include_docs"],
            model=values.get("model"),
            idempotency_key=idempotency_key(request),
        )
        run = services.generation_run(generation.pk)
        if sse.wants_event_stream(request._request):
            response = sse.event_stream(request, run.pk, 0)
            response["Location"] = f"/api/v1/generations/{generation.pk}"
            return response
        at_once = "respond-async" in request.headers.get("Prefer", "")
        finished = not at_once and run_wait(run.pk, seconds=WAIT_SECONDS)
        body = GenerationSerializer(services.generation_find(generation.pk)).data
        headers = {"Location": f"/api/v1/generations/{generation.pk}"}
        return Response(body, status=200 if finished else 202, headers=headers)


class Generations(APIView):
    @extend_schema(
        operation_id="v1_generations_list",
        responses=GenerationSummarySerializer(many=True),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("status", str)],
    )
    def get(self, request: Request) -> Response:
        generations = Generation.objects.all()
        if status := choice_of(request.query_params, "status", [str(value) for value in GenerationStatus.values]):
            generations = generations.filter(status=status)
        page = page_of(generations, request.query_params)
        results = GenerationSummarySerializer(page.items, many=True).data
        return Response({"results": results, "next_cursor": page.next_cursor})


class GenerationDetail(APIView):
    @extend_schema(responses=GenerationSerializer)
    def get(self, request: Request, generation_id: uuid.UUID) -> Response:
        return Response(GenerationSerializer(services.generation_find(generation_id)).data)


class GenerationFiles(APIView):
    @extend_schema(responses=FileSerializer(many=True))
    def get(self, request: Request, generation_id: uuid.UUID) -> Response:
        files = services.generation_files(services.generation_find(generation_id))
        return Response({"results": FileSerializer(files, many=True).data})


class GenerationArchive(APIView):
    """The files as a zip."""

    @extend_schema(responses={(200, "application/zip"): bytes})
    def get(self, request: Request, generation_id: uuid.UUID) -> HttpResponse:
        generation = services.generation_find(generation_id)
        response = HttpResponse(services.generation_archive(generation), content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="generation-{generation.pk.hex[:12]}.zip"'
        return response


class Languages(APIView):
    """The languages that Steward knows, and what it can do for each on this host."""

    @extend_schema(responses={200: dict})
    def get(self, request: Request) -> Response:
        return Response({"results": [language.support() for language in LANGUAGES.values()]})


class Models(APIView):
    """The models that can be asked for; the first is the default. `builtin` is no model and says so."""

    @extend_schema(responses={200: dict})
    def get(self, request: Request) -> Response:
        return Response(
            {
                "results": [
                    {
                        "name": choice.name,
                        "label": choice.label,
                        "provider": choice.endpoint.kind,
                        "is_model": choice.is_model,
                    }
                    for choice in model_choices()
                ]
            }
        )
