"""Says which organisation a request works in, and opens its scope around every page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_scopes.exceptions import ScopeError

from accounts import audit, credentials, tenancy
from accounts.credentials import SESSION, Credential
from accounts.models import Membership, Organisation, User
from accounts.sessions import SECOND_FACTOR_KEY
from platform_site.lib.errors import NotFound
from platform_site.lib.http import error_response, wants_json

ORGANISATION_KEY = "organisation_id"
UNKNOWN_ORGANISATION = "There is no such organisation."
ENTRY_SECONDS = 3600


def tenancy_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        token = credentials.current.set(None)
        try:
            with tenancy.request_scope():
                user = request.user  # a lazy object: resolved here
                credential = session_credential(request) if user.is_authenticated else None
                try:
                    enter_organisation(request, user, credential)
                except NotFound as refused:
                    request.organisation_refused = refused  # type: ignore[attr-defined]
                return get_response(request)
        finally:
            credentials.current.reset(token)

    def process_view(request: HttpRequest, *_: Any) -> HttpResponse | None:
        # Answered here and not above, so that the answer passes the middleware behind this one, which adds its headers.
        refused = getattr(request, "organisation_refused", None)
        return error_response(request, refused) if refused else None

    middleware.process_view = process_view  # type: ignore[attr-defined]
    return middleware


def without_organisation(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: a page that needs an organisation tells people who have none left how to get one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    def process_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
        homeless = request.user.is_authenticated and getattr(request, "organisation", None) is None
        if not isinstance(exception, ScopeError) or not homeless or wants_json(request):
            return None
        return render(request, "accounts/no_organisation.html")

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
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

    From here on `request.credential` and `credentials.current` say with what the request was opened, and
    `request.foreign_organisation` whether a platform Administrator looks into an organisation that is not theirs.

    Raises:
        NotFound: `X-Organization` names something that the user may not enter; no scope is open then.
    """
    credentials.current.set(credential)
    request.credential = credential  # type: ignore[attr-defined]
    request.organisation, request.foreign_organisation = None, False  # type: ignore[attr-defined]
    tenancy.enter(None)
    if not isinstance(user, User):
        return
    session = getattr(request, "session", None)
    remembered = session.get(ORGANISATION_KEY) if session and credential and credential.kind == SESSION else None
    organisation = choose_organisation(user, request.headers.get("X-Organization"), credential, remembered=remembered)
    if organisation is not None:
        request.organisation = organisation  # type: ignore[attr-defined]
        request.foreign_organisation = organisation.is_foreign  # type: ignore[attr-defined]
        tenancy.enter(organisation.pk)


# --- The choice ---------------------------------------------------------------------------------------------------
def choose_organisation(
    user: User, wanted: str | None, credential: Credential | None, *, remembered: str | None = None
) -> Organisation | None:
    """The organisation that a request or socket of `user` works in; `is_foreign` marks one they do not belong to.

    Args:
        wanted: the id that the caller names, in `X-Organization`. It is opened or refused, never replaced.
        credential: one that is narrowed to an organisation opens no other.
        remembered: the id that the session chose earlier; when it is not open to them any more, the first is taken.

    Raises:
        NotFound: `wanted` is foreign, closed, unknown or no id at all; all look alike.
    """
    narrowed = credential.organisation_id if credential else None
    if wanted:
        chosen = _open_to(user, _id_of(wanted), narrowed)
        if chosen is None:
            raise NotFound(UNKNOWN_ORGANISATION)
        return chosen
    if narrowed:
        return _first_of(_memberships(user, narrowed), None)
    return _remembered(user, _id_of(remembered) if remembered else None)


def _id_of(raw: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(raw)
    except ValueError:
        return None


def _memberships(user: User, narrowed: uuid.UUID | None) -> QuerySet[Membership]:
    only = Q(organisation_id=narrowed) if narrowed else Q()
    found: QuerySet[Membership] = Membership.objects.open().filter(only, user=user)
    return found.select_related("organisation")


def _first_of(memberships: QuerySet[Membership], preferred: uuid.UUID | None) -> Organisation | None:
    """The preferred organisation, else the oldest membership's; one query."""
    others = Case(When(organisation_id=preferred, then=Value(0)), default=Value(1), output_field=IntegerField())
    first = memberships.order_by(others, "created_at", "pk").first()
    return first.organisation if first else None


def _open_to(user: User, organisation_id: uuid.UUID | None, narrowed: uuid.UUID | None) -> Organisation | None:
    if organisation_id is None or (narrowed and narrowed != organisation_id):
        return None
    member = _memberships(user, organisation_id).first()
    if member is not None:
        return member.organisation
    return _enter_foreign(user, organisation_id)


def _remembered(user: User, remembered: uuid.UUID | None) -> Organisation | None:
    first = _first_of(_memberships(user, None), remembered)
    if remembered is None or (first is not None and first.pk == remembered):
        return first
    return _enter_foreign(user, remembered) or first


def _enter_foreign(user: User, organisation_id: uuid.UUID) -> Organisation | None:
    """An organisation that a platform Administrator enters by choice; the trail of that organisation tells of it."""
    if not user.is_administrator:
        return None
    organisation = Organisation.objects.filter(pk=organisation_id, closed_at=None).first()
    if organisation is None:
        return None
    organisation.is_foreign = True
    key = f"accounts.entered:{user.pk}:{organisation_id}"
    if cache.add(key, True, ENTRY_SECONDS):
        audit.record(
            actor=user, action="organisation.enter", target=organisation, organisation_id=organisation.pk, changes={}
        )
    return organisation


def entered_id(request: Any) -> uuid.UUID | None:
    """The id of the foreign organisation that a platform Administrator entered with this request, else None."""
    django_request = getattr(request, "_request", request)
    organisation = getattr(django_request, "organisation", None)
    return organisation.pk if organisation is not None and organisation.is_foreign else None
