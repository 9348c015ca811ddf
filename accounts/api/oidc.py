"""The organisation's sign-in over the API: the same redirects as on the pages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import permissions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.views import oidc

NEXT = OpenApiParameter("next", OpenApiTypes.STR, description="The path of this site to go on to after signing in.")
QUERY = [
    OpenApiParameter("state", OpenApiTypes.STR, description="What the sign-in was begun with; good once."),
    OpenApiParameter("code", OpenApiTypes.STR, description="The provider's authorization code."),
    OpenApiParameter("iss", OpenApiTypes.STR, description="The provider's issuer (RFC 9207)."),
    OpenApiParameter("error", OpenApiTypes.STR, description="Why there is no code."),
]


class BrowserView(APIView):
    """A step that a browser takes; the session that it carries needs no more than its cookie."""

    authentication_classes: list[Any] = []
    permission_classes = [permissions.AllowAny]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Redirects and pages have no format to choose."""
        return super().perform_content_negotiation(request, force=True)


class OidcLogin(BrowserView):
    @extend_schema(parameters=[NEXT], responses={302: None})
    def get(self, request: Request) -> Response:
        """Redirects a browser to the identity provider. 404 where none is configured."""
        return oidc.oidc_login(request._request)  # type: ignore[return-value] # a redirect or a page


class OidcCallback(BrowserView):
    @extend_schema(parameters=QUERY, responses={302: None})
    def get(self, request: Request) -> Response:
        """Where the identity provider sends browsers back to: the redirect URI to register there."""
        return oidc.oidc_callback(request._request)  # type: ignore[return-value] # a redirect or a page
