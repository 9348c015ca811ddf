"""The deployments part of `/api/v1`."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.standing import viewing_of
from deployments import logs, serializers, services
from deployments.models import App, Deployment, DeploymentStatus
from platform_site.lib.errors import InvalidRequest, NotFound
from platform_site.lib.pagination import choice_of, page_of, parse_id, parse_limit
from runs import sse
from runs.api import IDEMPOTENCY_KEY, PAGE_PARAMETERS, StreamingView, idempotency_key

MAX_LOG_EVENTS = 1_000


class Apps(APIView):
    @extend_schema(operation_id="v1_apps_list", responses=serializers.AppPageSerializer, parameters=PAGE_PARAMETERS)
    def get(self, request: Request) -> Response:
        page = page_of(App.objects.all(), request.query_params)
        apps = App.objects.with_deployments(page.items)
        return Response({"results": serializers.AppSerializer(apps, many=True).data, "next_cursor": page.next_cursor})


class AppDetail(APIView):
    @extend_schema(responses=serializers.AppDetailSerializer)
    def get(self, request: Request, app_id: uuid.UUID) -> Response:
        app = services.app_find(app_id)
        App.objects.with_deployments([app])
        return Response(serializers.AppDetailSerializer(app).data)


class Deployments(APIView):
    @extend_schema(
        operation_id="v1_deployments_list",
        responses=serializers.DeploymentPageSerializer,
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("app", OpenApiTypes.UUID),
            OpenApiParameter("status", str, enum=DeploymentStatus.values),
        ],
    )
    def get(self, request: Request) -> Response:
        found = Deployment.objects.detailed()
        if app := request.query_params.get("app"):
            found = found.filter(app_id=parse_id(app, field="app"))
        if status := choice_of(request.query_params, "status", [str(value) for value in DeploymentStatus.values]):
            found = found.filter(status=status)
        page = page_of(found, request.query_params)
        body = serializers.DeploymentSerializer(page.items, many=True).data
        return Response({"results": body, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.DeploySerializer,
        responses={202: serializers.DeploymentSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        form = serializers.DeploySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        deployment = services.deployment_create(
            generation=services.deployable_find(values["generation_id"]),
            actor=actor_of(request),
            name=values["name"],
            target=values["target"],
            accept_unverified=values["accept_unverified"],
            idempotency_key=idempotency_key(request),
        )
        return Response(serializers.DeploymentSerializer(deployment).data, status=202)


class DeploymentDetail(APIView):
    @extend_schema(responses=serializers.DeploymentSerializer)
    def get(self, request: Request, deployment_id: uuid.UUID) -> Response:
        return Response(serializers.DeploymentSerializer(services.deployment_find(deployment_id)).data)


class DeploymentAction(APIView):
    """A POST that asks something of a deployment; the answer shows it as it is now."""

    http_method_names = ["post", "options"]
    service: Callable[..., Deployment]

    @extend_schema(request=None, responses={202: serializers.DeploymentSerializer})
    def post(self, request: Request, deployment_id: uuid.UUID) -> Response:
        found = services.deployment_find(deployment_id)
        deployment = type(self).service(deployment=found, actor=actor_of(request))
        return Response(serializers.DeploymentSerializer(deployment).data, status=202)


class DeploymentCancel(DeploymentAction):
    service = staticmethod(services.deployment_cancel)


class DeploymentStop(DeploymentAction):
    service = staticmethod(services.deployment_stop)


class DeploymentRestart(DeploymentAction):
    service = staticmethod(services.deployment_restart)


class DeploymentRollback(DeploymentAction):
    """Deploys the earlier release once more; the answer is the new deployment."""

    service = staticmethod(services.deployment_rollback)


class DeploymentLogs(APIView):
    """A page of the log, searched. It stays readable after the deployment has ended."""

    @extend_schema(
        responses=serializers.LogPageSerializer,
        parameters=[
            OpenApiParameter("after", int),
            OpenApiParameter("limit", int),
            OpenApiParameter("q", str, description="Text that an event holds, in any case."),
            OpenApiParameter("level", str, enum=logs.LEVELS, description="This level and everything more serious."),
        ],
    )
    def get(self, request: Request, deployment_id: uuid.UUID) -> Response:
        run_id = _run_of(deployment_id)
        query = request.query_params.get("q", "")
        if len(query) > logs.MAX_QUERY:
            raise InvalidRequest("`q` is too long.", errors={"q": [f"Up to {logs.MAX_QUERY} characters."]})
        page = logs.log_page(
            run_id,
            sse.requested_after(request._request),
            limit=parse_limit(request.query_params.get("limit"), default=MAX_LOG_EVENTS, maximum=MAX_LOG_EVENTS),
            query=query,
            level=choice_of(request.query_params, "level", logs.LEVELS),
        )
        if page is None:
            raise NotFound("There is no log of this deployment.")
        body = {"events": page.events, "last_seq": page.last_seq, "next_after": page.next_after, "state": page.state}
        return Response(body)


class DeploymentLogStream(StreamingView):
    """The log as server-sent events, from `Last-Event-ID` or `after` on, live until the run ends."""

    @extend_schema(responses={(200, "text/event-stream"): str}, parameters=[OpenApiParameter("after", int)])
    def get(self, request: Request, deployment_id: uuid.UUID) -> HttpResponseBase:
        run_id = _run_of(deployment_id)
        return sse.event_stream(request, run_id, sse.requested_after(request._request))


class DeploymentLogDownload(StreamingView):
    """The whole log up to now as a text file."""

    @extend_schema(responses={(200, "text/plain"): str})
    def get(self, request: Request, deployment_id: uuid.UUID) -> HttpResponseBase:
        text = logs.log_text(_run_of(deployment_id), viewing_of(request))
        response = StreamingHttpResponse(text, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="deployment-{deployment_id}.log"'
        response["Cache-Control"] = "no-store"
        return response


def _run_of(deployment_id: uuid.UUID) -> uuid.UUID:
    run_id = services.deployment_find(deployment_id).run_id
    if run_id is None:
        raise NotFound("There is no log of this deployment.")
    return run_id
