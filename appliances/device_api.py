"""The doors for devices: enrolment with a one-time code, everything else with the device's own key."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tenancy
from accounts.api.sign_in import OpenView
from appliances import serializers, services
from appliances.models import Appliance
from platform_site.lib.errors import NotAuthenticated, NotFound

MAX_KEY_CHARACTERS = 200


class DeviceAuthentication(BaseAuthentication):
    """`Authorization: Bearer` with a device key. `request.auth` is the appliance; a device is no user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Appliance] | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key or len(key) > MAX_KEY_CHARACTERS:
            return None
        try:
            appliance = services.device_authenticate(key=key.strip())
        except NotAuthenticated as exc:
            raise AuthenticationFailed(exc.detail) from exc  # so that the answer carries `WWW-Authenticate`
        tenancy.enter(appliance.organisation_id)
        return AnonymousUser(), appliance

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="device"'


class DeviceScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How `DeviceAuthentication` appears in the OpenAPI schema."""

    target_class = "appliances.device_api.DeviceAuthentication"
    name = "deviceKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "The key that the appliance got when it enrolled."}


class IsDevice(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Appliance)


class DeviceView(APIView):
    """A view for the appliance whose key the request carries."""

    authentication_classes = [DeviceAuthentication]
    permission_classes = [IsDevice]
    throttle_classes: list[Any] = []  # heartbeats are what it is for; a device that sends too many loses its key

    def appliance(self, request: Request, appliance_id: uuid.UUID) -> Appliance:
        """The calling appliance, which may only speak of itself.

        Raises:
            NotFound: the id is another one's, or nobody's; both look alike.
        """
        caller = cast(Appliance, request.auth)
        if caller.pk != appliance_id:
            raise NotFound("There is no such appliance.")
        return caller


class Enroll(OpenView):
    @extend_schema(request=serializers.EnrollSerializer, responses={201: serializers.EnrolledSerializer})
    def post(self, request: Request) -> Response:
        form = serializers.EnrollSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        appliance, key = services.appliance_enroll(code=form.validated_data["code"])
        body = {"appliance_id": str(appliance.pk), "key": key}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class Heartbeats(DeviceView):
    """Answers 2xx only after the heartbeat is committed."""

    @extend_schema(request=serializers.HeartbeatSerializer, responses=serializers.HeartbeatTakenSerializer)
    def post(self, request: Request) -> Response:
        form = serializers.HeartbeatSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        appliance = self.appliance(request, values.pop("appliance_id"))
        received_at = services.heartbeat_record(appliance=appliance, beat=services.Beat(**values))
        # Tasks for appliances do not exist yet, so none is pending.
        body = {"received_at": received_at, "config_version": appliance.desired_version, "pending_tasks": 0}
        return Response(body)


class Config(DeviceView):
    """The desired configuration with a strong `ETag`; 304 for a device that has it."""

    @extend_schema(responses={200: serializers.ConfigSerializer, 304: None})
    def get(self, request: Request, appliance_id: uuid.UUID) -> HttpResponse:
        appliance = self.appliance(request, appliance_id)
        etag = appliance.config_etag
        known = parse_etags(request.headers.get("If-None-Match", ""))
        # RFC 9110, section 13.1.2: the comparison is weak, and `*` matches anything there is.
        same = "*" in known or etag in [tag.removeprefix("W/") for tag in known]
        response = HttpResponse(status=304) if same else HttpResponse(appliance.config_body)
        response["ETag"], response["Cache-Control"] = etag, "private, no-cache"
        if not same:
            response["Content-Type"] = "application/json"
        return response
