"""The signed-in user over the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.serializers import accounts as serializers


class Me(APIView):
    @extend_schema(responses=serializers.UserSerializer)
    def get(self, request: Request) -> Response:
        return Response(serializers.UserSerializer(actor_of(request)).data)

    @extend_schema(request=serializers.UserSerializer, responses=serializers.UserSerializer)
    def patch(self, request: Request) -> Response:
        form = serializers.UserSerializer(actor_of(request), data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        form.save()
        return Response(form.data)
