"""Pages for signing in and out."""

from __future__ import annotations

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms.sign_in import SignInForm
from accounts.services.accounts import account_authenticate
from platform_site.lib.errors import NotAuthenticated
from platform_site.lib.http import posted
from platform_site.lib.ratelimit import page_limit


def safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: a path of this site, never another site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/"):
        return wanted
    return reverse("dashboard")


@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("sign-in", "20/m")
def sign_in(request: HttpRequest) -> HttpResponse:
    destination = safe_next(request)
    if request.method == "GET" and request.user.is_authenticated:
        return redirect(destination)
    form = SignInForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            user = account_authenticate(**form.cleaned_data, request=request)
        except NotAuthenticated as exc:
            form.add_error(None, exc.detail)
        else:
            login(request, user)
            return redirect(destination)
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/sign_in.html", {"form": form, "next": destination}, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("accounts:sign_in")
