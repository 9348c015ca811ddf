"""Pages for signing in, out and up."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms.refusals import refusal_show
from accounts.forms.sign_in import SignInForm, SignUpForm
from accounts.models import User
from accounts.oidc.configuration import is_configured
from accounts.services.accounts import account_authenticate
from accounts.services.invitations import invitation_find
from accounts.services.sign_in import sign_out_note
from accounts.services.sign_up import SignUp, account_sign_up
from accounts.views.second_factor import begin_session, sign_in_or_challenge
from platform_site.lib.errors import InvalidRequest, NotAuthenticated, PermissionRefused
from platform_site.lib.http import posted
from platform_site.lib.ratelimit import page_limit

DOORS = ("/sign-in", "/sign-out", "/sign-up")
MAX_NEXT = 2000


def safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: a path of this site, never another site, nor back to the door."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    return wanted if _is_inside(wanted) else reverse("dashboard")


def _is_inside(path: str) -> bool:
    # Browsers read a backslash as a slash and drop control characters, which turns some paths into other sites.
    is_plain = len(path) <= MAX_NEXT and not any(one == "\\" or unicodedata.category(one) == "Cc" for one in path)
    is_here = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return is_plain and is_here and not path.startswith(DOORS)


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
        except (NotAuthenticated, PermissionRefused) as exc:
            form.add_error(None, exc.detail)
        else:
            return sign_in_or_challenge(request, user, method="password", destination=destination)
    context = {
        "form": form,
        "next": destination,
        "sign_up_open": settings.SIGN_UP_OPEN,
        "oidc_url": _oidc_url(destination) if is_configured() else None,
        "oidc_name": settings.OIDC_NAME,
    }
    return render(request, "accounts/sign_in.html", context, status=200 if request.method == "GET" else 400)


def _oidc_url(destination: str) -> str:
    return f"{reverse('accounts:oidc_login')}?{urlencode({'next': destination})}"


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, User):
        sign_out_note(user=request.user)
    logout(request)
    return redirect("accounts:sign_in")


@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("sign-up", "20/m")
def sign_up(request: HttpRequest) -> HttpResponse:
    token = request.POST.get("invitation") or request.GET.get("invitation") or ""
    if request.method == "GET" and request.user.is_authenticated:
        return redirect("accounts:invitation_accept", token) if token else redirect("dashboard")
    invited = invitation_find(token) if token else None
    if not (invited or settings.SIGN_UP_OPEN):
        raise PermissionRefused("Sign-up is closed on this installation. Ask an administrator for an account.")
    form = SignUpForm(posted(request), initial={"email": invited.email if invited else "", "invitation": token})
    if request.method == "POST" and form.is_valid() and (signed_up := _signed_up(form)):
        return _welcome(request, signed_up)
    domains = settings.SIGN_UP_DOMAINS
    email_hint = f"Of {' or '.join(domains)}." if domains else ""
    context = {"form": form, "invited": invited, "email_hint": email_hint}
    return render(request, "accounts/sign_up.html", context, status=200 if request.method == "GET" else 400)


def _signed_up(form: SignUpForm) -> SignUp | None:
    """The new account; None when the form has errors now."""
    try:
        return account_sign_up(**form.cleaned_data)
    except InvalidRequest as exc:
        refusal_show(form, exc)
        return None


def _welcome(request: HttpRequest, signed_up: SignUp) -> HttpResponse:
    if signed_up.must_verify:
        sentence = f"We sent a link to {signed_up.user.email}. Follow it to confirm your address, then sign in."
        messages.info(request, sentence)
        return redirect("accounts:sign_in")
    begin_session(request, signed_up.user, method="password")
    return redirect("dashboard")
