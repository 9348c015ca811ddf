"""The page behind the link of an invitation."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.actor import actor_of
from accounts.middleware import ORGANISATION_KEY
from accounts.models import Invitation, Role
from accounts.services import invitations as services
from platform_site.lib.errors import NotFound
from platform_site.lib.ratelimit import page_limit

View = Callable[..., HttpResponse]


def keeps_its_address(view: View) -> View:
    """The address of the page is a secret: whatever it links to hears no more than the name of this site.

    `no-referrer` would keep quiet about that as well, and make browsers send `Origin: null` with the page's own form,
    which the protection against forged forms refuses.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, token: str) -> HttpResponse:
        response = view(request, token)
        response["Referrer-Policy"] = "strict-origin"
        return response

    return wrapped


@keeps_its_address
@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("invitation", "30/m")
def invitation_accept(request: HttpRequest, token: str) -> HttpResponse:
    try:
        invitation = services.invitation_find(token)
        if request.method == "POST" and "sign_out" in request.POST:
            logout(request)
            return redirect("accounts:invitation_accept", token)
        if request.method == "POST" and _is_mine(request, invitation):
            return _accepted(request, token)
    except NotFound as exc:
        return render(request, "accounts/invitation.html", {"refused": exc.detail}, status=404)
    context = {
        "invitation": invitation,
        "role": Role(invitation.role).label,
        "is_mine": _is_mine(request, invitation),
        "token": token,
    }
    return render(request, "accounts/invitation.html", context, status=200 if request.method == "GET" else 403)


def _is_mine(request: HttpRequest, invitation: Invitation) -> bool:
    return request.user.is_authenticated and services.is_for(invitation, actor_of(request))


def _accepted(request: HttpRequest, token: str) -> HttpResponse:
    membership = services.invitation_accept(token=token, user=actor_of(request))
    request.session[ORGANISATION_KEY] = str(membership.organisation_id)
    messages.success(request, f"Welcome to {membership.organisation}.")
    return redirect("dashboard")
