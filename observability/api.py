"""`/api/v1/health`: the state of each service, for people and front ends."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from observability import health


class Health(APIView):
    @extend_schema(responses={200: dict})
    def get(self, request: Request) -> Response:
        body = health.as_body(health.services_state())
        return Response(body, status=503 if body["down"] else 200)
