"""The appliances part of `/api/v1` for people."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.actor import actor_of
from accounts.tenancy import current_organisation
from appliances import serializers, services
from appliances.models import Appliance
from platform_site.lib.pagination import page_of
from runs.api import PAGE_PARAMETERS


class Appliances(APIView):
    @extend_schema(
        operation_id="v1_appliances_list",
        responses=serializers.AppliancePageSerializer,
        parameters=PAGE_PARAMETERS,
    )
    def get(self, request: Request) -> Response:
        page = page_of(Appliance.objects.all(), request.query_params)
        found = serializers.ApplianceSerializer(page.items, many=True)
        return Response({"results": found.data, "next_cursor": page.next_cursor})

    @extend_schema(
        request=serializers.ApplianceCreateSerializer, responses={201: serializers.ApplianceCreatedSerializer}
    )
    def post(self, request: Request) -> Response:
        form = serializers.ApplianceCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        appliance, code = services.appliance_create(
            organisation_id=current_organisation(), actor=actor_of(request), **form.validated_data
        )
        body = {**serializers.ApplianceSerializer(appliance).data, "enrolment_code": code}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class ApplianceDetail(APIView):
    @extend_schema(responses=serializers.ApplianceSerializer)
    def get(self, request: Request, appliance_id: uuid.UUID) -> Response:
        return Response(serializers.ApplianceSerializer(services.appliance_find(appliance_id)).data)
