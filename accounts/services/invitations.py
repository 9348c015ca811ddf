"""Invitations: a place in an organisation for the owner of an e-mail address, taken by a link that works once.

The link holds a random token. Only its SHA-256 is kept, so a link can be sent once more only by making a new one.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.addresses import address_clean
from accounts.models import Invitation, Membership, Organisation, Role, User
from accounts.permissions import MANAGE, Standing, check_role, require_in, require_rank, roles_up_to
from accounts.services.mail import mail_send, site_url
from accounts.services.organisations import organisation_lock
from accounts.tenancy import all_organisations, organisation_scope
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound, PermissionRefused
from platform_site.lib.ratelimit import refuse_over

MAX_OPEN = 100
RATE = "100/h"
ACCEPT_RATE = "30/h"
KEPT = timedelta(days=90)
STATES = ("open", "accepted", "withdrawn", "expired")
UNKNOWN = "There is no such invitation."
REFUSED = "This invitation does not work: it is wrong, used, withdrawn or too old. Ask for a new one."


# --- Finding ------------------------------------------------------------------------------------------------------
def invitations_of(organisation: Organisation, *, actor: User, states: Iterable[str] = ()) -> QuerySet[Invitation]:
    """The invitations of an organisation, for those who manage it; to be read in its scope.

    Args:
        states: those that are wanted, of `STATES`; none means all.
    """
    require_in(actor, MANAGE, organisation.pk)
    wanted = Q()
    for state in states:
        wanted |= _in_state(state)
    with organisation_scope(organisation.pk):
        found: QuerySet[Invitation] = Invitation.objects.select_related("invited_by", "organisation").filter(wanted)
    return found


def _in_state(state: str) -> Q:
    """The same rules as `Invitation.state`."""
    now = timezone.now()
    return {
        "accepted": Q(accepted_at__isnull=False),
        "withdrawn": Q(accepted_at=None, revoked_at__isnull=False),
        "open": Q(accepted_at=None, revoked_at=None, expires_at__gt=now),
        "expired": Q(accepted_at=None, revoked_at=None, expires_at__lte=now),
    }[state]


def invitation_of(invitation_id: uuid.UUID | str, *, organisation: Organisation, actor: User) -> Invitation:
    """The invitation with this id in `organisation`.

    Raises:
        NotFound: it does not exist or is of another organisation; both look alike.
    """
    found = invitations_of(organisation, actor=actor)
    with organisation_scope(organisation.pk):
        invitation = found.filter(pk=invitation_id).first()
    if invitation is None:
        raise NotFound(UNKNOWN)
    return invitation


def invitation_find(token: str) -> Invitation:
    """The invitation that a link's token opens, with its organisation and who sent it.

    Raises:
        NotFound: the token is wrong, used, withdrawn or too old, or the organisation is closed; all look alike.
    """
    # Its owner belongs to no organisation yet, so there is no scope to look in.
    with all_organisations():
        found = Invitation.objects.open().filter(digest=_digest(token), organisation__closed_at=None)
        invitation = found.select_related("organisation", "invited_by").first()
    if not isinstance(invitation, Invitation):
        raise NotFound(REFUSED)
    return invitation


# --- Inviting -----------------------------------------------------------------------------------------------------
@transaction.atomic
def invitation_create(*, organisation: Organisation, email: str, role: str, actor: User) -> Invitation:
    """Invites the owner of an address, who gets a link that works once within `INVITATION_DAYS`.

    Raises:
        InvalidRequest: this is no address or no role.
        PermissionRefused: the role is above the actor's own.
        Conflict: they belong to it, are invited already, or too many invitations are open.
        RateLimited: many were sent in the last hour.
    """
    email, role = check_email(email), check_role(role)
    standing = _locked_standing(organisation, actor, role)
    _refuse_member(organisation, email)
    with organisation_scope(organisation.pk):
        waiting = Invitation.objects.open()
        if waiting.filter(email=email).exists():
            raise Conflict(f"{email} is invited already. Send that invitation again, or withdraw it first.")
        if waiting.count() >= MAX_OPEN:
            raise Conflict(f"{MAX_OPEN} invitations are open. Withdraw some of them first.")
        _count(organisation, actor)
        token = secrets.token_urlsafe(32)
        invitation: Invitation = Invitation.objects.create(
            organisation=organisation,
            email=email,
            role=role,
            digest=_digest(token),
            invited_by=actor,
            expires_at=_expiry(),
        )
    changes = {"email": ["", email], "role": ["", role], **_by(standing)}
    audit.record(actor=actor, action="invitation.create", target=invitation, changes=changes)
    _send(invitation, token, actor)
    return invitation


@transaction.atomic
def invitation_resend(*, invitation: Invitation, actor: User) -> Invitation:
    """Sends an invitation with a new link; the old one stops working.

    Raises:
        Conflict: it was used or withdrawn, or its owner belongs to the organisation by now.
        PermissionRefused: its role is above the actor's own.
        RateLimited: many were sent in the last hour.
    """
    _locked_standing(invitation.organisation, actor, invitation.role)
    _refuse_member(invitation.organisation, invitation.email)
    token, expires_at = secrets.token_urlsafe(32), _expiry()
    with organisation_scope(invitation.organisation_id):
        waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
        others = Invitation.objects.open().exclude(pk=invitation.pk)
        if others.filter(email=invitation.email).exists() or others.count() >= MAX_OPEN:
            raise Conflict("A newer invitation to this address, or too many others, are open.")
        _count(invitation.organisation, actor)
        if not waiting.update(digest=_digest(token), expires_at=expires_at, invited_by=actor):
            raise Conflict("This invitation was used or withdrawn. Send a new one.")
    invitation.expires_at, invitation.invited_by = expires_at, actor
    audit.record(actor=actor, action="invitation.resend", target=invitation)
    _send(invitation, token, actor)
    return invitation


@transaction.atomic
def invitation_revoke(*, invitation: Invitation, actor: User) -> None:
    """Withdraws an invitation: its link stops working.

    Raises:
        Conflict: it was used or withdrawn before.
    """
    require_in(actor, MANAGE, invitation.organisation_id)
    with organisation_scope(invitation.organisation_id):
        waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
        if not waiting.update(revoked_at=timezone.now()):
            raise Conflict("This invitation was used or withdrawn before.")
    audit.record(actor=actor, action="invitation.revoke", target=invitation)


def invitations_withdraw_of(
    user: User, *, organisation_id: uuid.UUID | None = None, role: str | None = None
) -> dict[str, list[Any]]:
    """Withdraws the open invitations that somebody sent and could not send any more, as what the audit trail says.

    Otherwise a link that they kept for themselves would lead back in.

    Args:
        organisation_id: of one organisation, None for all.
        role: what they are there from now on, None for nothing.
    """
    with all_organisations():
        sent = Invitation.objects.open().filter(invited_by=user)
        if organisation_id is not None:
            sent = sent.filter(organisation_id=organisation_id)
        if role is not None:
            sent = sent.exclude(role__in=roles_up_to(Standing(role)))
        count = sent.update(revoked_at=timezone.now())
    return {"invitations_withdrawn": [0, count]} if count else {}


# --- Accepting ----------------------------------------------------------------------------------------------------
@transaction.atomic
def invitation_accept(*, token: str, user: User) -> Membership:
    """Takes up an invitation; of two calls at the same time one does. Who belongs to it already keeps their role.

    The link was sent to the address, so it is that user's: it counts as verified.

    Raises:
        NotFound: as `invitation_find`.
        PermissionRefused: it is for another address, or the account is disabled.
        RateLimited: they tried many tokens.
    """
    refuse_over("invitation-accept", str(user.pk), ACCEPT_RATE, detail="Too many invitations were tried. Please wait.")
    invitation = invitation_find(token)
    if not is_for(invitation, user) or not user.is_active:
        raise PermissionRefused("This invitation is for another e-mail address.")
    organisation = organisation_lock(invitation.organisation_id)
    with all_organisations():
        taken = Invitation.objects.open().filter(pk=invitation.pk, digest=invitation.digest)
        if organisation.is_closed or not taken.update(accepted_at=timezone.now(), accepted_by=user):
            raise NotFound(REFUSED)
    membership, _ = Membership.objects.get_or_create(
        user=user, organisation=organisation, defaults={"role": invitation.role}
    )
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
    audit.record(
        actor=user, action="invitation.accept", target=invitation, changes={"role": ["", str(membership.role)]}
    )
    return membership


def is_for(invitation: Invitation, user: User) -> bool:
    """Whether the invitation was sent to this user's address."""
    return invitation.email.casefold() == user.email.casefold()


def invitations_forget() -> None:
    """Deletes invitations that ended long ago; the audit trail keeps who was invited."""
    with all_organisations():
        Invitation.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()


# --- What all of them do ------------------------------------------------------------------------------------------
def check_email(raw: str) -> str:
    """The address in its normal form.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return address_clean(raw)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"email": exc.messages}) from exc


def _locked_standing(organisation: Organisation, actor: User, role: str) -> Standing:
    organisation_lock(organisation.pk)
    standing = require_in(actor, MANAGE, organisation.pk)
    require_rank(standing, role)
    return standing


def _refuse_member(organisation: Organisation, email: str) -> None:
    if Membership.objects.filter(organisation=organisation, user__email__iexact=email).exists():
        raise Conflict(f"{email} belongs to this organisation already.")


def _count(organisation: Organisation, actor: User) -> None:
    detail = "Many invitations were sent in the last hour. Please wait a while."
    refuse_over("invitations", str(organisation.pk), RATE, detail=detail)
    refuse_over("invitations-by", str(actor.pk), RATE, detail=detail)


def _by(standing: Standing) -> dict[str, list[str]]:
    """That a platform Administrator did it who does not belong to the organisation."""
    return {"as": ["", "platform administrator"]} if standing.role is None else {}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _expiry() -> datetime:
    return timezone.now() + timedelta(days=settings.INVITATION_DAYS)


def _send(invitation: Invitation, token: str, actor: User) -> None:
    context = {
        "invitation": invitation,
        "organisation": invitation.organisation,
        "role": Role(invitation.role).label,
        "actor": actor,
        "link": site_url(reverse("accounts:invitation_accept", args=[token])),
        "days": settings.INVITATION_DAYS,
    }
    subject = f"{actor} invites you to {invitation.organisation}"
    mail_send(recipient=invitation.email, subject=subject, template="invitation", context=context)
