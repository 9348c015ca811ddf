"""Opens the scope of the signed-in user's organisation around every page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts import audit, tenancy
from accounts.models import Membership, User
from platform_site.lib.http import client_address

ORGANISATION_KEY = "organisation_id"


def tenancy_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        address = audit.client_address.set(client_address(request))
        try:
            with tenancy.request_scope():
                enter_organisation(request, request.user)  # a lazy object: resolved here
                return get_response(request)
        finally:
            audit.client_address.reset(address)

    return middleware


def enter_organisation(request: HttpRequest, user: object) -> None:
    """Sets `request.organisation`, by `X-Organization`, the session's choice or the first, and opens its scope."""
    session = getattr(request, "session", None)
    wanted = request.headers.get("X-Organization") or (session.get(ORGANISATION_KEY) if session else None)
    organisation = Membership.objects.organisation_for(user, wanted) if isinstance(user, User) else None
    request.organisation = organisation  # type: ignore[attr-defined]
    tenancy.enter(organisation.pk if organisation else None)
