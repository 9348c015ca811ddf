"""Pages of members and of the invitations that an organisation sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.actor import actor_of
from accounts.forms.organisations import InviteForm, RoleForm
from accounts.forms.refusals import refusal_show
from accounts.models import Invitation, Membership, Role, Source
from accounts.permissions import MANAGE, OWN, holds, outranks, require_in, roles_up_to, standing_of
from accounts.services import invitations, memberships
from accounts.views.organisations import organisation_here
from platform_site.lib.errors import Conflict, InvalidRequest, PermissionRefused, RateLimited
from platform_site.lib.pagination import page_of

SHOWN_INVITATIONS = 120


@dataclass(frozen=True)
class MemberRow:
    """A member, and the roles (value, label) that the person in front of the page may give them."""

    membership: Membership
    choices: list[tuple[str, str]]


@never_cache
@login_required
@require_safe
def members(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _page(request: HttpRequest, form: InviteForm | None = None) -> HttpResponse:
    """The members, and for those who manage them the invitations with a form for another one."""
    actor, here = actor_of(request), organisation_here(request)
    standing = standing_of(actor, here.pk)
    roles = roles_up_to(standing)
    page = page_of(Membership.objects.filter(organisation=here).select_related("user"), request.GET)
    context: dict[str, Any] = {
        "page": page,
        "rows": [MemberRow(one, _choices(one, roles, actor.pk)) for one in page.items],
        "roles": roles,
        "form": form or InviteForm(roles=roles),
        "may_manage": holds(standing, MANAGE),
        "may_own": holds(standing, OWN),
        "invitations": [],
    }
    if roles:
        waiting = invitations.invitations_of(here, actor=actor, states=["open", "expired"])
        context["invitations"] = waiting.order_by("-pk")[:SHOWN_INVITATIONS]
    return render(request, "accounts/members.html", context, status=400 if form else 200)


def _choices(membership: Membership, roles: list[str], own_id: uuid.UUID) -> list[tuple[str, str]]:
    """The roles that this membership can be given by the person in front of the page; none when it is out of reach."""
    if membership.source == Source.OIDC or membership.role not in roles:
        return []
    is_own = membership.user_id == own_id
    return [(role, Role(role).label) for role in roles if not (is_own and outranks(role, membership.role))]


# --- Members ------------------------------------------------------------------------------------------------------
def _told(request: HttpRequest, do: Callable[[], object], success: str) -> HttpResponse:
    """Does something and goes back to the members, with a message of how it went."""
    try:
        do()
    except (Conflict, InvalidRequest, PermissionRefused, RateLimited) as exc:
        messages.error(request, exc.detail)
    else:
        messages.success(request, success)
    return redirect("accounts:members")


def _membership_here(request: HttpRequest, membership_id: uuid.UUID | str) -> Membership:
    return memberships.membership_find(membership_id, organisation=organisation_here(request))


@login_required
@require_POST
def member_change(request: HttpRequest, membership_id: uuid.UUID) -> HttpResponse:
    actor, found = actor_of(request), _membership_here(request, membership_id)
    require_in(actor, MANAGE, found.organisation_id)
    form = RoleForm(request.POST)
    role = form.cleaned_data["role"] if form.is_valid() else ""
    return _told(
        request,
        lambda: memberships.membership_change(membership=found, role=role, actor=actor),
        f"The role of {found.user} was changed.",
    )


@login_required
@require_POST
def member_remove(request: HttpRequest, membership_id: uuid.UUID) -> HttpResponse:
    actor, found = actor_of(request), _membership_here(request, membership_id)
    require_in(actor, MANAGE, found.organisation_id)
    return _told(
        request,
        lambda: memberships.membership_remove(membership=found, actor=actor),
        f"{found.user} was removed.",
    )


@login_required
@require_POST
def organisation_transfer(request: HttpRequest) -> HttpResponse:
    actor, here = actor_of(request), organisation_here(request)
    require_in(actor, OWN, here.pk)
    try:
        found = memberships.membership_find(uuid.UUID(request.POST.get("membership", "")), organisation=here)
    except ValueError:
        messages.error(request, "Choose a member.")
        return redirect("accounts:members")
    return _told(
        request,
        lambda: memberships.organisation_transfer(membership=found, actor=actor),
        f"{found.user} owns {here} now.",
    )


# --- Invitations --------------------------------------------------------------------------------------------------
@login_required
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    actor, here = actor_of(request), organisation_here(request)
    form = InviteForm(request.POST, roles=roles_up_to(require_in(actor, MANAGE, here.pk)))
    if form.is_valid():
        values = form.cleaned_data
        try:
            invitations.invitation_create(organisation=here, email=values["email"], role=values["role"], actor=actor)
        except (Conflict, InvalidRequest, RateLimited) as exc:
            refusal_show(form, exc)
        else:
            messages.success(request, f"An invitation is on its way to {values['email']}.")
            return redirect("accounts:members")
    return _page(request, form)


def _invitation_here(request: HttpRequest, invitation_id: uuid.UUID) -> Invitation:
    here = organisation_here(request)
    return invitations.invitation_of(invitation_id, organisation=here, actor=actor_of(request))


@login_required
@require_POST
def invitation_revoke(request: HttpRequest, invitation_id: uuid.UUID) -> HttpResponse:
    actor, found = actor_of(request), _invitation_here(request, invitation_id)
    return _told(
        request,
        lambda: invitations.invitation_revoke(invitation=found, actor=actor),
        f"The invitation of {found.email} was withdrawn.",
    )


@login_required
@require_POST
def invitation_resend(request: HttpRequest, invitation_id: uuid.UUID) -> HttpResponse:
    actor, found = actor_of(request), _invitation_here(request, invitation_id)
    return _told(
        request,
        lambda: invitations.invitation_resend(invitation=found, actor=actor),
        f"A new link is on its way to {found.email}. The old one does not work any more.",
    )
