"""Pages of organisations: made, named, switched between, closed and opened again."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.actor import actor_of
from accounts.forms.organisations import CloseForm, OrganisationForm
from accounts.forms.refusals import refusal_show
from accounts.middleware import ORGANISATION_KEY, UNKNOWN_ORGANISATION, choose_organisation, entered_id
from accounts.models import Membership, Organisation
from accounts.permissions import MANAGE, OWN, holds, standing_of
from accounts.services import closing, memberships
from accounts.services import organisations as services
from accounts.tenancy import current_organisation
from accounts.views.sign_in import safe_next
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound
from platform_site.lib.http import posted


def organisation_here(request: HttpRequest) -> Organisation:
    """The organisation that the page works in.

    Raises:
        ScopeError: there is none.
    """
    return services.organisation_find(current_organisation(), user=actor_of(request), entered=entered_id(request))


@require_POST
def switch_organisation(request: HttpRequest) -> HttpResponse:
    """Works in another organisation from now on; without a choice, in one's own first."""
    if not request.user.is_authenticated:
        raise NotFound(UNKNOWN_ORGANISATION)
    request.session.pop(ORGANISATION_KEY, None)
    if wanted := request.POST.get("organisation", ""):
        chosen = choose_organisation(actor_of(request), wanted, getattr(request, "credential", None))
        request.session[ORGANISATION_KEY] = str(chosen.pk) if chosen else ""
    return redirect(safe_next(request))


# --- Settings -----------------------------------------------------------------------------------------------------
@login_required
@require_http_methods(["GET", "POST"])
def organisation(request: HttpRequest) -> HttpResponse:
    found = organisation_here(request)
    form = OrganisationForm(posted(request), initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        try:
            services.organisation_rename(organisation=found, name=form.cleaned_data["name"], actor=actor_of(request))
        except InvalidRequest as exc:
            refusal_show(form, exc)
        else:
            messages.success(request, "The name was changed.")
            return redirect("accounts:organisation")
    return _settings_page(request, found, form, CloseForm())


def _settings_page(
    request: HttpRequest, found: Organisation, form: OrganisationForm, close_form: CloseForm
) -> HttpResponse:
    standing = standing_of(actor_of(request), found.pk)
    context: dict[str, Any] = {
        "here": found,
        "form": form,
        "close_form": close_form,
        "role": standing.role,
        "may_manage": holds(standing, MANAGE),
        "may_own": holds(standing, OWN),
        "member_count": Membership.objects.filter(organisation=found).count(),
        "grace_days": closing.grace().days,
    }
    status = 400 if form.errors or close_form.errors else 200
    return render(request, "accounts/organisation.html", context, status=status)


@login_required
@require_POST
def organisation_leave(request: HttpRequest) -> HttpResponse:
    found = organisation_here(request)
    try:
        memberships.membership_leave(organisation=found, actor=actor_of(request))
    except Conflict as exc:
        messages.error(request, exc.detail)
        return redirect("accounts:members")
    messages.success(request, f"You left {found}.")
    return redirect("dashboard")


# --- Making, closing, opening again -------------------------------------------------------------------------------
@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def organisation_create(request: HttpRequest) -> HttpResponse:
    user = actor_of(request)
    form = OrganisationForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            made = services.organisation_create(name=form.cleaned_data["name"], owner=user)
        except (InvalidRequest, Conflict) as exc:
            refusal_show(form, exc)
        else:
            request.session[ORGANISATION_KEY] = str(made.pk)
            messages.success(request, f"{made} is yours. Invite people to it, or begin with the studio.")
            return redirect("accounts:members")
    context = {"form": form, "closed": services.organisations_closed_of(user)[: services.MAX_OWNED]}
    status = 200 if request.method == "GET" else 400
    return render(request, "accounts/organisation_new.html", context, status=status)


@login_required
@require_POST
def organisation_close(request: HttpRequest) -> HttpResponse:
    found = organisation_here(request)
    form = CloseForm(request.POST)
    try:
        # The service decides whether the name is right; an empty one is wrong as well.
        confirmation = form.cleaned_data.get("name", "") if form.is_valid() else ""
        closing.organisation_close(organisation=found, confirmation=confirmation, actor=actor_of(request))
    except InvalidRequest as exc:
        form.errors.pop("name", None)
        refusal_show(form, exc)
        return _settings_page(request, found, OrganisationForm(initial={"name": found.name}), form)
    request.session.pop(ORGANISATION_KEY, None)
    messages.success(request, f"{found} is closed. You can open it again from this page.")
    return redirect("accounts:organisation_create")


@login_required
@require_POST
def organisation_reopen(request: HttpRequest, organisation_id: uuid.UUID) -> HttpResponse:
    user = actor_of(request)
    found = services.organisation_closed_find(organisation_id, user=user)
    closing.organisation_reopen(organisation=found, actor=user)
    request.session[ORGANISATION_KEY] = str(found.pk)
    messages.success(request, f"{found} is open again. What was cancelled stays cancelled.")
    return redirect("accounts:organisation")
