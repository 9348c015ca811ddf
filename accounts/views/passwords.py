"""Pages that are reached through links in messages: forgotten passwords and addresses to confirm."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.forms.refusals import refusal_show
from accounts.forms.sign_in import PasswordForgottenForm, PasswordResetForm
from accounts.models import User
from accounts.services.passwords import password_forgotten as forgotten
from accounts.services.passwords import password_reset as reset
from accounts.services.passwords import reset_find
from accounts.services.verification import address_confirm, verification_find
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.http import posted
from platform_site.lib.ratelimit import page_limit

RESET_KEY = "password_reset_token"
FROM_SESSION = "set"
"""What stands in the address for the token once the session holds it, so that no log and no other page sees it."""


@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("password-forgotten", "20/m")
def password_forgotten(request: HttpRequest) -> HttpResponse:
    form, sent_to = PasswordForgottenForm(posted(request)), None
    if request.method == "POST" and form.is_valid():
        sent_to = form.cleaned_data["email"]
        forgotten(email=sent_to)
    status = 200 if request.method == "GET" or sent_to else 400
    return render(request, "accounts/password_forgotten.html", {"form": form, "sent_to": sent_to}, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("password-reset", "20/m")
def password_reset(request: HttpRequest, token: str) -> HttpResponse:
    kept = request.session.get(RESET_KEY, "") if token == FROM_SESSION else token
    try:
        user = reset_find(kept)
    except InvalidRequest as exc:
        return render(request, "accounts/password_reset.html", {"problem": exc.detail}, status=400)
    if token != FROM_SESSION:
        request.session[RESET_KEY] = token
        return redirect("accounts:password_reset", FROM_SESSION)
    return _password_set(request, user, kept)


def _password_set(request: HttpRequest, user: User, token: str) -> HttpResponse:
    form = PasswordResetForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            reset(token=token, password=form.cleaned_data["password"])
        except InvalidRequest as exc:
            refusal_show(form, exc)
        else:
            logout(request)  # the session that held the token, which may have been the user's own
            messages.success(request, "Your new password is set. You were signed out everywhere; sign in with it.")
            return redirect("accounts:sign_in")
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/password_reset.html", {"form": form, "email": user.email}, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@page_limit("verify-email", "20/m")
def verify_email(request: HttpRequest, token: str) -> HttpResponse:
    # Asking for the page confirms nothing: programs that look into mailboxes follow links, too.
    try:
        if request.method == "POST":
            user = address_confirm(token=token)
            messages.success(request, f"The address {user.email} is confirmed.")
            return redirect("accounts:profile" if request.user.is_authenticated else "accounts:sign_in")
        user, address = verification_find(token)
    except InvalidRequest as exc:
        return render(request, "accounts/verify_email.html", {"problem": exc.detail}, status=400)
    is_done = address == user.email and user.email_verified_at is not None
    return render(request, "accounts/verify_email.html", {"address": address, "is_done": is_done})
