"""The page where people let a device sign in as them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.forms.device import APPROVE, DeviceForm
from accounts.models import DeviceAuthorisation
from accounts.services.devices import device_approve, device_deny, device_find
from platform_site.lib.errors import NotFound
from platform_site.lib.http import posted
from platform_site.lib.ratelimit import page_limit


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
@page_limit("device", "10/m", key="user")
def device(request: HttpRequest) -> HttpResponse:
    # A link may fill in the code. Only the form, with its token, looks it up or answers.
    form = DeviceForm(posted(request), initial={"user_code": request.GET.get("user_code", "")[:20]})
    authorisation = None
    if request.method == "POST" and form.is_valid():
        try:
            authorisation = device_find(form.cleaned_data["user_code"])
            if decision := form.cleaned_data["decision"]:
                return _answer(request, authorisation, decision)
        except NotFound as exc:
            form.add_error("user_code", exc.detail)
            authorisation = None
    context = {"form": form, "authorisation": authorisation}
    status = 200 if request.method == "GET" or authorisation else 400
    return render(request, "accounts/device.html", context, status=status)


def _answer(request: HttpRequest, authorisation: DeviceAuthorisation, decision: str) -> HttpResponse:
    user, client = actor_of(request), authorisation.client
    if decision == APPROVE:
        credential = credential_of(request)
        shown = credential is not None and credential.second_factor
        device_approve(authorisation=authorisation, user=user, second_factor=shown)
        messages.success(request, f"{client} may sign in as you now. You can close this page and go back to it.")
    else:
        device_deny(authorisation=authorisation, user=user)
        messages.info(request, f"{client} was refused.")
    return redirect("accounts:device")
