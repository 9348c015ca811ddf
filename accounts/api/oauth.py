"""OAuth 2.0 for programs: the token endpoint (RFC 6749) and device authorisation (RFC 8628).

Errors have the codes of these RFCs in `error`, and beside them the fields of every error of this API. Programs are
public clients: a client id only names them, and a secret proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import permissions
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials import SCOPES
from accounts.serializers import oauth as serializers
from accounts.services.accounts import account_authenticate
from accounts.services.devices import GrantRefused, device_begin, device_redeem
from accounts.services.families import tokens_issue, tokens_refresh
from accounts.services.second_factor import second_factor_demand
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.http import arrived_at, exception_handler
from platform_site.lib.ratelimit import AUTH, ScopedRateThrottle, caller_of, refuse_over

MAX_FORM_BYTES = 16_384
MAX_PARAMETERS = 20
FORM = "application/x-www-form-urlencoded"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_NOT_DESCRIPTIVE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_CODES = {400: "invalid_request", 405: "invalid_request", 413: "invalid_request", 415: "invalid_request"}
_CODES |= {401: "invalid_grant", 403: "invalid_grant", 429: "temporarily_unavailable"}
_KEPT = {405, 413, 429}
"""Statuses that stay what they are; every other refusal of a request is a 400 (RFC 6749, section 5.2)."""


class FormParser(BaseParser):
    """Parameters by RFC 6749, section 3.2: each at most once, and one without a value counts as left out."""

    media_type = FORM

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, str]:
        raw = stream.read(MAX_FORM_BYTES + 1)
        if len(raw) > MAX_FORM_BYTES:
            raise InvalidRequest(f"The form is larger than {MAX_FORM_BYTES} bytes.")
        try:
            text = raw.decode("ascii")  # other characters travel percent-encoded
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        except ValueError as exc:
            raise InvalidRequest("The body is not a form, or has too many parameters.") from exc
        values = dict(pairs)
        if len(values) != len(pairs):
            raise InvalidRequest("A parameter is given more than once.")
        return {name: value for name, value in values.items() if value}


def oauth_exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """Every error as RFC 6749, section 5.2, wants it, with the platform's own fields beside."""
    response = exception_handler(exc, context)
    if response is None:
        return None
    status, body = response.status_code, response.data
    code = exc.code if isinstance(exc, GrantRefused) else _CODES.get(status, "server_error")
    if status < 500 and status not in _KEPT:
        response.status_code = body["status_code"] = 400
        del response.headers["WWW-Authenticate"]
    response.data = body | {"error": code, "error_description": _NOT_DESCRIPTIVE.sub("'", body["detail"])}
    return response


class OAuthView(APIView):
    """A door for programs that have no token yet. An `Authorization` header is read for a name, never for a proof."""

    authentication_classes: list[Any] = []
    permission_classes = [permissions.AllowAny]
    parser_classes = [FormParser]
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "tokens"

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return oauth_exception_handler

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"], response["Pragma"] = "no-store", "no-cache"
        return response


class Token(OAuthView):
    """Tokens for a password, a refresh token or an approved device code."""

    @extend_schema(
        request={FORM: serializers.TokenRequestSerializer},
        responses={200: serializers.TokenSerializer, 400: serializers.OAuthErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        form = serializers.TokenRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        grant = GRANTS.get(values["grant_type"])
        if grant is None:
            raise GrantRefused("unsupported_grant_type", "This grant type is not supported: " + ", ".join(GRANTS))
        pair = grant(request, values)
        return Response(
            {
                "access_token": pair["access"],
                "token_type": "Bearer",
                "expires_in": pair["expires_in"],
                "refresh_token": pair["refresh"],
                "scope": " ".join(SCOPES),
            }
        )


class Device(OAuthView):
    """Begins a sign-in of a program without a browser."""

    throttle_scope = "auth"

    @extend_schema(
        request={FORM: serializers.DeviceRequestSerializer},
        responses={200: serializers.DeviceSerializer, 400: serializers.OAuthErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        named = {"client_id": name} if (name := _basic_name(request)) else {}
        form = serializers.DeviceRequestSerializer(data=named | dict(request.data))
        form.is_valid(raise_exception=True)
        begun = device_begin(client=form.validated_data["client_id"])
        # By the address that the program itself uses: it reaches this server for certain.
        page = request.build_absolute_uri(reverse("accounts:device"))
        return Response(
            {
                "device_code": begun.device_code,
                "user_code": begun.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={begun.user_code}",
                "expires_in": begun.expires_in,
                "interval": begun.interval,
            }
        )


# --- Grants -------------------------------------------------------------------------------------------------------
def _by_password(request: Request, values: dict[str, str]) -> dict[str, Any]:
    _require(values, "username", "password")
    refuse_over(AUTH, caller_of(request), settings.THROTTLE_RATES[AUTH])
    user = account_authenticate(email=values["username"], password=values["password"], request=request._request)
    shown = second_factor_demand(user=user, code=values.get("otp", ""))
    return tokens_issue(user=user, client=_client(request, values), second_factor=shown)


def _by_refresh_token(request: Request, values: dict[str, str]) -> dict[str, Any]:
    _require(values, "refresh_token")
    return tokens_refresh(values["refresh_token"], arrived_at=arrived_at(request._request))[1]


def _by_device_code(request: Request, values: dict[str, str]) -> dict[str, Any]:
    _require(values, "device_code")
    return device_redeem(device_code=values["device_code"], client=_client(request, values))


GRANTS = {"password": _by_password, "refresh_token": _by_refresh_token, DEVICE_GRANT: _by_device_code}


def _require(values: dict[str, str], *names: str) -> None:
    if missing := {name: ["This parameter is needed."] for name in names if name not in values}:
        raise InvalidRequest(f"Missing: {', '.join(missing)}.", errors=missing)


def _client(request: Request, values: dict[str, str]) -> str:
    return values.get("client_id") or _basic_name(request)


def _basic_name(request: Request) -> str:
    """The client id of an `Authorization: Basic` header (RFC 6749, section 2.3.1); empty for what is none."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        name = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")[0]
    except (binascii.Error, ValueError):
        return ""
    name = unquote_plus(name)
    return name[:100] if re.fullmatch(serializers.CLIENT, name) else ""
