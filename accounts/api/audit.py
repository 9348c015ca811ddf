"""The audit trail over the API: for those who manage an organisation, and for platform Administrators."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.credentials import MANAGE
from accounts.serializers.audit import AuditEntrySerializer, AuditPageSerializer
from accounts.services import audit_trail
from platform_site.lib.errors import PermissionRefused
from platform_site.lib.pagination import choice_of, known_parameters

MEDIA_TYPES = {audit_trail.CSV: "text/csv; charset=utf-8", audit_trail.JSONL: "application/jsonl; charset=utf-8"}
PARAMETERS = [
    OpenApiParameter("organization", str, description="An organisation's id, or `all` for platform Administrators."),
    OpenApiParameter("action", str, description="`noun.verb`, or `noun` for all that was done to such things."),
    OpenApiParameter("actor", str, description="The e-mail address or id of whoever acted."),
    OpenApiParameter("target_type", str),
    OpenApiParameter("target_id", str),
    OpenApiParameter("since", str, description="ISO 8601; the first moment that counts."),
    OpenApiParameter("until", str, description="ISO 8601; the first moment that does not count any more."),
]


class CsvRenderer(BaseRenderer):
    """Lets `Accept: text/csv` through content negotiation; errors are JSON all the same."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class JsonLinesRenderer(CsvRenderer):
    media_type = "application/jsonl"
    format = "jsonl"


def scope_of(request: Request) -> uuid.UUID | None:
    """The organisation whose trail a request asks for; None for all, which Administrators get when they name none.

    Raises:
        PermissionRefused: they may not see it, or belong to no organisation.
        NotFound: the organisation is not theirs.
    """
    actor, credential = actor_of(request), credential_of(request)
    current = getattr(request._request, "organisation", None)
    narrowed = credential is not None and credential.organisation_id is not None
    wanted = request.query_params.get("organization")
    if actor.is_administrator and not narrowed and "X-Organization" not in request.headers:
        current = None
    elif current is None and not wanted:
        raise PermissionRefused("Choose an organisation first: your account belongs to none.")
    return audit_trail.trail_scope(actor=actor, wanted=wanted, default=current.pk if current else None)


class Audit(APIView):
    """Who did what, when and from where, newest first."""

    scope = MANAGE

    @extend_schema(
        operation_id="v1_audit_list",
        responses=AuditPageSerializer,
        parameters=[*PARAMETERS, OpenApiParameter("limit", int), OpenApiParameter("cursor", str)],
    )
    def get(self, request: Request) -> Response:
        known_parameters(request.query_params, "organization", "limit", "cursor", *audit_trail.FILTERS)
        page = audit_trail.trail_page(
            organisation_id=scope_of(request),
            wanted=audit_trail.filter_read(request.query_params),
            parameters=request.query_params,
        )
        results = AuditEntrySerializer(page.items, many=True).data
        return Response({"results": results, "next_cursor": page.next_cursor})


class AuditExport(APIView):
    """Everything that a filter matches as one file, `csv` or `jsonl`. Exporting is itself an entry of the trail."""

    scope = MANAGE
    renderer_classes = [JSONRenderer, CsvRenderer, JsonLinesRenderer]

    @extend_schema(
        responses={(200, "text/csv"): str, (200, "application/jsonl"): str},
        parameters=[*PARAMETERS, OpenApiParameter("format", str, enum=audit_trail.FORMATS)],
    )
    def get(self, request: Request) -> HttpResponseBase:
        known_parameters(request.query_params, "organization", "format", *audit_trail.FILTERS)
        return export_response(
            audit_trail.trail_export(
                actor=actor_of(request),
                organisation_id=scope_of(request),
                wanted=audit_trail.filter_read(request.query_params),
                format=chosen_format(request.query_params),
            ),
            chosen_format(request.query_params),
        )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(response, Response):  # an error
            response.accepted_renderer, response.accepted_media_type = JSONRenderer(), "application/json"
        return response


def chosen_format(parameters: Any) -> str:
    """Raises:
    InvalidRequest: `format` is neither `csv` nor `jsonl`.
    """
    return choice_of(parameters, "format", audit_trail.FORMATS) or audit_trail.CSV


def export_response(rows: Any, format: str) -> StreamingHttpResponse:
    """An export as a download."""
    response = StreamingHttpResponse(rows, content_type=MEDIA_TYPES[format])
    response["Content-Disposition"] = f'attachment; filename="audit-trail.{format}"'
    return response
