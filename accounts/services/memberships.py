"""Who belongs to an organisation, and as what. Each change locks the organisation first and then decides anew, so that
of two owners who demote each other at the same time one stays."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction
from django.urls import reverse

from accounts import audit
from accounts.models import Membership, Organisation, Role, Source, User
from accounts.permissions import (
    MANAGE,
    OWN,
    VIEW,
    Standing,
    check_role,
    outranks,
    require_administrator,
    require_in,
    require_rank,
)
from accounts.services.invitations import invitations_withdraw_of
from accounts.services.mail import mail_send, site_url
from accounts.services.organisations import organisation_lock
from platform_site.lib.errors import Conflict, NotFound, PermissionRefused


def membership_find(membership_id: uuid.UUID | str, *, organisation: Organisation) -> Membership:
    """The membership with this id in `organisation`.

    Raises:
        NotFound: it does not exist or is of another organisation; both look alike.
    """
    found = Membership.objects.select_related("user", "organisation").filter(organisation=organisation)
    membership = found.filter(pk=membership_id).first()
    if not isinstance(membership, Membership):
        raise NotFound("There is no such member.")
    return membership


@transaction.atomic
def membership_add(*, user: User, organisation: Organisation, role: str, actor: User) -> Membership:
    """Makes `user` a member without asking them: for platform Administrators; others invite.

    Raises:
        Conflict: they belong to it already.
    """
    require_administrator(actor)
    organisation_lock(organisation.pk)
    membership = Membership(user=user, organisation=organisation, role=check_role(role))
    try:
        with transaction.atomic():
            membership.save(force_insert=True)
    except IntegrityError as exc:
        raise Conflict(f"{user.email} belongs to {organisation} already.") from exc
    audit.record(actor=actor, action="membership.create", target=membership, changes={"role": ["", membership.role]})
    _tell(membership, actor, "membership_added", f"You belong to {organisation} now")
    return membership


@transaction.atomic
def membership_change(*, membership: Membership, role: str, actor: User) -> Membership:
    """Gives a member another role.

    Raises:
        PermissionRefused: the old or the new role is above the actor's own, or they raise themselves.
        Conflict: the identity provider grants it, or it is the last owner's.
        InvalidRequest: there is no such role.
    """
    role = check_role(role)
    standing, current = _locked(membership, actor, MANAGE)
    if current.role == role:
        return current
    require_rank(standing, current.role)
    require_rank(standing, role)
    if current.user_id == actor.pk and outranks(role, current.role):
        raise PermissionRefused("Nobody raises their own role. Ask another owner.")
    _refuse_provided(current)
    _refuse_last_owner(current)
    _set_role(current, role, actor)
    _tell(current, actor, "membership_changed", f"Your role in {current.organisation} has changed")
    return current


@transaction.atomic
def membership_remove(*, membership: Membership, actor: User) -> None:
    """Ends a membership, one's own as well. It counts at once, as every request asks anew.

    Raises:
        PermissionRefused: the actor may not manage members, or the member's role is above theirs.
        Conflict: the identity provider grants it, or it is the last owner's.
    """
    standing, current = _locked(membership, actor, VIEW if membership.user_id == actor.pk else MANAGE)
    require_rank(standing, current.role)
    _refuse_provided(current)
    _refuse_last_owner(current)
    withdrawn = invitations_withdraw_of(current.user, organisation_id=current.organisation_id)
    changes = {"role": [current.role, ""], **withdrawn}
    action = "membership.leave" if current.user_id == actor.pk else "membership.remove"
    audit.record(actor=actor, action=action, target=current, changes=changes)
    _tell(current, actor, "membership_removed", f"You do not belong to {current.organisation} any more")
    current.delete()


def membership_leave(*, organisation: Organisation, actor: User) -> None:
    """Ends the actor's own membership.

    Raises:
        Conflict: they are the last owner, the identity provider put them there, or they do not belong to it.
    """
    own = Membership.objects.select_related("user", "organisation").filter(organisation=organisation, user=actor)
    membership = own.first()
    if membership is None:
        raise Conflict("You do not belong to this organisation.")
    membership_remove(membership=membership, actor=actor)


@transaction.atomic
def organisation_transfer(*, membership: Membership, actor: User) -> Membership:
    """Makes a member the owner of their organisation; an owner who hands it over becomes an administrator of it.

    Raises:
        PermissionRefused: the actor is no owner.
        Conflict: the member is disabled or an owner already, or the identity provider grants one of both roles.
    """
    _, heir = _locked(membership, actor, OWN)
    own = Membership.objects.filter(organisation_id=heir.organisation_id, user=actor, role=Role.OWNER)
    former = own.exclude(pk=heir.pk).select_related("user", "organisation").first()
    if heir.role == Role.OWNER or not heir.user.is_active:
        raise Conflict("Choose a member who can sign in and is no owner yet.")
    for touched in filter(None, (heir, former)):
        _refuse_provided(touched)
    audit.record(
        actor=actor,
        action="organisation.transfer",
        target=heir.organisation,
        organisation_id=heir.organisation_id,
        changes={"owner": [former.user.email if former else "", heir.user.email]},
    )
    _set_role(heir, Role.OWNER, actor)
    if former is not None:
        _set_role(former, Role.ADMINISTRATOR, actor)
    _tell(heir, actor, "membership_changed", f"Your role in {heir.organisation} has changed")
    return heir


# --- What all of them do ------------------------------------------------------------------------------------------
def _locked(membership: Membership, actor: User, permission: str) -> tuple[Standing, Membership]:
    """The actor's standing and the membership as they are once nobody else changes the organisation's members."""
    organisation = organisation_lock(membership.organisation_id)
    standing = require_in(actor, permission, organisation.pk)
    return standing, membership_find(membership.pk, organisation=organisation)


def _set_role(membership: Membership, role: str, actor: User) -> None:
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    withdrawn = invitations_withdraw_of(membership.user, organisation_id=membership.organisation_id, role=role)
    changes = {"role": [before, str(role)], **withdrawn}
    audit.record(actor=actor, action="membership.change", target=membership, changes=changes)


def _refuse_provided(membership: Membership) -> None:
    if membership.source == Source.OIDC:
        raise Conflict(f"A group at the identity provider decides the role of {membership.user}. Change it there.")


def _refuse_last_owner(membership: Membership) -> None:
    if membership.role != Role.OWNER:
        return
    owners = Membership.objects.filter(organisation_id=membership.organisation_id, role=Role.OWNER)
    if not owners.filter(user__is_active=True).exclude(pk=membership.pk).exists():
        raise Conflict("This is the last owner. Make somebody else an owner first, or close the organisation.")


def _tell(membership: Membership, actor: User, template: str, subject: str) -> None:
    """A notice to the member, unless they did it themselves or cannot sign in."""
    if membership.user_id == actor.pk or not membership.user.is_active:
        return
    context = {
        "organisation": membership.organisation,
        "role": Role(membership.role).label,
        "actor": actor,
        "members_url": site_url(reverse("accounts:members")),
    }
    mail_send(recipient=membership.user.email, subject=subject, template=template, context=context)
