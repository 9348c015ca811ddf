"""Pages about oneself: profile, security, and where one is signed in."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.actor import actor_of
from accounts.authentication import credential_of
from accounts.forms.account import EmailChangeForm, PasswordChangeForm, ProfileForm
from accounts.forms.refusals import refusal_show
from accounts.models import Membership
from accounts.services import sessions as services
from accounts.services.accounts import account_rename
from accounts.services.passwords import password_change as change_password
from accounts.services.verification import address_change_ask
from accounts.services.verification import verification_send as send_verification
from accounts.views.oidc import identities_context
from accounts.views.second_factor import authenticator_context
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.http import posted


# --- Profile ------------------------------------------------------------------------------------------------------
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user = actor_of(request)
    form = ProfileForm(posted(request), initial={"name": user.name})
    if request.method == "POST" and form.is_valid():
        account_rename(user=user, name=form.cleaned_data["name"])
        messages.success(request, "Your name was saved.")
        return redirect("accounts:profile")
    return _profile_page(request, form=form)


def _profile_page(request: HttpRequest, **forms_shown: forms.Form) -> HttpResponse:
    user = actor_of(request)
    roles = Membership.objects.filter(user=user, organisation__closed_at=None).select_related("organisation")
    context: dict[str, Any] = {
        "form": ProfileForm(initial={"name": user.name}),
        "email_form": EmailChangeForm(has_password=user.has_usable_password()),
        "has_password": user.has_usable_password(),
        "roles": roles,
    }
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/profile.html", context | forms_shown, status=status)


@login_required
@require_POST
def email_change(request: HttpRequest) -> HttpResponse:
    user = actor_of(request)
    form = EmailChangeForm(request.POST, has_password=user.has_usable_password())
    if not form.is_valid():
        return _profile_page(request, email_form=form)
    recently = services.signed_in_recently(credential_of(request))
    address, password = form.cleaned_data["email"], form.cleaned_data["current_password"]
    try:
        address_change_ask(user=user, email=address, password=password, signed_in_recently=recently)
    except InvalidRequest as exc:
        refusal_show(form, exc)
        return _profile_page(request, email_form=form)
    messages.success(request, f"We sent a link to {address}. Your address changes when you follow it.")
    return redirect("accounts:profile")


@login_required
@require_POST
def verification_send(request: HttpRequest) -> HttpResponse:
    user = actor_of(request)
    if user.email_verified_at is not None:
        messages.info(request, "Your address is confirmed already.")
    elif send_verification(user=user):
        messages.success(request, f"We sent a link to {user.email}.")
    else:
        messages.warning(request, "Several links were sent to you within the hour. Look for them, or wait.")
    return redirect("accounts:profile")


# --- Security -----------------------------------------------------------------------------------------------------
@never_cache
@login_required
@require_safe
def security(request: HttpRequest) -> HttpResponse:
    return _security_page(request, PasswordChangeForm())


def _security_page(request: HttpRequest, form: PasswordChangeForm) -> HttpResponse:
    context = {"form": form, "has_password": actor_of(request).has_usable_password()}
    context |= authenticator_context(request) | identities_context(request)
    return render(request, "accounts/security.html", context, status=400 if form.is_bound else 200)


@login_required
@require_POST
def password_change(request: HttpRequest) -> HttpResponse:
    user, credential, form = actor_of(request), credential_of(request), PasswordChangeForm(request.POST)
    if not form.is_valid():
        return _security_page(request, form)
    current, new = form.cleaned_data["current_password"], form.cleaned_data["new_password"]
    try:
        change_password(user=user, current=current, new=new, keep=credential.id if credential else None)
    except InvalidRequest as exc:
        refusal_show(form, exc)
        return _security_page(request, form)
    update_session_auth_hash(request, user)
    messages.success(request, "Your password was changed. You were signed out everywhere else.")
    return redirect("accounts:security")


# --- Sessions -----------------------------------------------------------------------------------------------------
@never_cache
@login_required
@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    found = services.sign_ins_of(actor_of(request), current=credential_of(request))
    return render(request, "accounts/sessions.html", {"sign_ins": found})


@login_required
@require_POST
def session_end(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    credential = credential_of(request)
    if credential is not None and credential.id == session_id:
        logout(request)
        return redirect("accounts:sign_in")
    services.sign_in_end(user=actor_of(request), sign_in_id=session_id)
    messages.success(request, "You were signed out there.")
    return redirect("accounts:sessions")


@login_required
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    user, credential = actor_of(request), credential_of(request)
    keep = credential.id if credential else None
    services.sign_out_everywhere(user=user, actor=user, reason="asked for", keep=keep)
    messages.success(request, "You were signed out everywhere else.")
    return redirect("accounts:sessions")
