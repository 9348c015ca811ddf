"""Pages of the organisation's sign-in: to the identity provider and back, and connecting it to an account.

What talks to the provider is imported inside the functions: loading it is slow, and most installations have none.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.forms.oidc import ConnectForm
from accounts.oidc.configuration import configuration, is_configured
from accounts.services.identities import identity_disconnect
from accounts.services.passwords import password_confirm
from accounts.services.sessions import signed_in_recently
from accounts.sessions import METHOD_KEY
from accounts.views.second_factor import begin_session, sign_in_or_challenge
from accounts.views.sign_in import safe_next
from platform_site.lib.errors import Conflict, InvalidRequest, StewardError
from platform_site.lib.http import error_response, posted, wants_json
from platform_site.lib.ratelimit import page_limit

METHOD = "oidc"


def identities_context(request: HttpRequest) -> dict[str, Any]:
    """What `templates/accounts/_identities.html` shows of the signed-in user."""
    user = actor_of(request)
    return {
        "identities": list(user.oidc_identities.order_by("created_at")),
        "identity_provider": settings.OIDC_NAME if is_configured() else "",
        "can_disconnect": user.has_usable_password(),
    }


# --- Signing in ---------------------------------------------------------------------------------------------------
@never_cache
@require_GET
@page_limit("oidc-login", "30/m", method="GET")
def oidc_login(request: HttpRequest) -> HttpResponse:
    configuration()
    destination = safe_next(request)
    from accounts.oidc import flow

    try:
        return flow.begin(request, destination=destination)
    except StewardError as exc:
        return _problem(request, exc, destination)


@never_cache
@require_GET
def oidc_callback(request: HttpRequest) -> HttpResponse:
    configuration()
    from accounts.oidc import flow

    try:
        finished = flow.finish(request)
    except StewardError as exc:
        return _problem(request, exc)
    if finished.is_connection:
        messages.success(request, f"{capfirst(settings.OIDC_NAME)} is connected. You can sign in with it from now on.")
        return redirect(finished.destination)
    if finished.second_factor:
        begin_session(request, finished.user, method=METHOD, second_factor=True)
        return redirect(finished.destination)
    return sign_in_or_challenge(request, finished.user, method=METHOD, destination=finished.destination)


def _problem(request: HttpRequest, error: StewardError, destination: str = "") -> HttpResponse:
    """What went wrong, and the other way in: a page also on paths of the API, as browsers are sent there."""
    accept = request.headers.get("Accept", "")
    if wants_json(request) and "application/json" in accept and "text/html" not in accept:
        return error_response(request, error)
    is_signed_in = bool(getattr(request, "credential", None))
    context = {"problem": error, "provider": settings.OIDC_NAME, "next": destination, "is_signed_in": is_signed_in}
    return render(request, "accounts/oidc_problem.html", context, status=error.status_code)


# --- The account --------------------------------------------------------------------------------------------------
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def oidc_connect(request: HttpRequest) -> HttpResponse:
    """Asks first, with a form: a link alone could connect somebody else's identity to whoever follows it."""
    configuration()
    user, is_recent = actor_of(request), signed_in_recently(credential_of(request))
    form = ConnectForm(posted(request), asks_password=not is_recent)
    if not is_recent and not user.has_usable_password():
        raise Conflict("Sign out and in again first: connecting another sign-in takes a fresh one.")
    if request.method == "POST" and form.is_valid():
        try:
            if not is_recent:
                password_confirm(user=user, password=form.cleaned_data["current_password"])
        except InvalidRequest as exc:
            form.add_error("current_password", exc.detail)
        else:
            return _to_provider(request)
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/oidc_connect.html", {"form": form, "provider": settings.OIDC_NAME}, status=status)


def _to_provider(request: HttpRequest) -> HttpResponse:
    """A page that goes on by itself: the content policy lets forms lead only to this site, redirects included."""
    from accounts.oidc import flow

    try:
        answer = flow.begin(request, destination=reverse("accounts:security"), account=actor_of(request))
    except StewardError as exc:
        return _problem(request, exc)
    context = {"continue_url": answer["Location"], "provider": settings.OIDC_NAME}
    page = render(request, "accounts/oidc_connect.html", context)
    page["Refresh"] = f"0;url={answer['Location']}"
    return page


@never_cache
@login_required
@require_POST
def oidc_disconnect(request: HttpRequest, identity_id: uuid.UUID) -> HttpResponse:
    user, name = actor_of(request), capfirst(settings.OIDC_NAME)
    was_through_it = request.session.get(METHOD_KEY) == METHOD
    identity_disconnect(identity_id=identity_id, user=user)
    if was_through_it:  # its row is gone; the cookie goes with it
        logout(request)
        messages.success(request, f"{name} is disconnected. Sign in with your password.")
        return redirect("accounts:sign_in")
    messages.success(request, f"{name} is disconnected.")
    return redirect("accounts:security")
