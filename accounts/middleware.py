"""Opens the scope of the signed-in user's organisation around every page."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts import credentials, tenancy
from accounts.credentials import SESSION, Credential
from accounts.models import Membership, User
from accounts.sessions import SECOND_FACTOR_KEY

ORGANISATION_KEY = "organisation_id"


def tenancy_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        token = credentials.current.set(None)
        try:
            with tenancy.request_scope():
                user = request.user  # a lazy object: resolved here
                credential = session_credential(request) if user.is_authenticated else None
                enter_organisation(request, user, credential)
                return get_response(request)
        finally:
            credentials.current.reset(token)

    return middleware


def session_credential(request: HttpRequest) -> Credential | None:
    """The credential of a page's session."""
    session = request.session
    public_id = getattr(session, "public_id", None)
    if public_id is None or not isinstance(request.user, User):
        return None
    session.touch()  # type: ignore[attr-defined]
    second_factor = bool(session.get(SECOND_FACTOR_KEY))
    return Credential(SESSION, public_id, request.user.pk, "session", second_factor=second_factor)


def enter_organisation(request: HttpRequest, user: object, credential: Credential | None) -> None:
    """Sets `request.organisation`, by `X-Organization`, the session's choice or the first, and opens its scope.

    From here on `request.credential` and `credentials.current` say with what the request was opened.
    """
    credentials.current.set(credential)
    request.credential = credential  # type: ignore[attr-defined]
    session = getattr(request, "session", None)
    wanted = request.headers.get("X-Organization") or (session.get(ORGANISATION_KEY) if session else None)
    organisation = Membership.objects.organisation_for(user, wanted) if isinstance(user, User) else None
    request.organisation = organisation  # type: ignore[attr-defined]
    tenancy.enter(organisation.pk if organisation else None)
