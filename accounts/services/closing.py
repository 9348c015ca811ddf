"""The end of an organisation: closed at once, opened again by its owners within the grace, then deleted for good."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.closing import tell_closing, tell_purging
from accounts.models import Membership, Organisation, Role, User
from accounts.permissions import OWN, REOPEN, require_in
from accounts.services.mail import mail_send, site_url
from accounts.services.organisations import organisation_lock
from accounts.tenancy import all_organisations
from platform_site.lib.errors import Conflict, InvalidRequest

logger = logging.getLogger(__name__)


def grace() -> timedelta:
    """How long a closed organisation can be opened again."""
    return timedelta(days=settings.ORGANISATION_GRACE_DAYS)


@transaction.atomic
def organisation_close(*, organisation: Organisation, confirmation: str, actor: User) -> Organisation:
    """Closes an organisation: everybody is out and its work is cancelled at once; its owners can open it again.

    Args:
        confirmation: its name, typed, as proof that this one is meant.

    Raises:
        InvalidRequest: the name is another.
        PermissionRefused: the actor is no owner.
    """
    locked = organisation_lock(organisation.pk)
    require_in(actor, OWN, locked.pk)
    if confirmation.strip() != locked.name:
        wrong = "Type the name of the organisation exactly as it is shown."
        raise InvalidRequest(wrong, errors={"name": [wrong]})
    close_locked(locked, actor)
    return locked


def close_locked(organisation: Organisation, actor: User | None) -> None:
    """Closes a locked organisation, without asking who may."""
    organisation.closed_at = timezone.now()
    organisation.purge_after = organisation.closed_at + grace()
    organisation.save(update_fields=["closed_at", "purge_after"])
    tell_closing(organisation.pk)
    _record(organisation, actor, "organisation.close", {"closed_at": ["", organisation.closed_at.isoformat()]})
    _tell_owners(organisation, actor)


@transaction.atomic
def organisation_reopen(*, organisation: Organisation, actor: User) -> Organisation:
    """Opens a closed organisation again, with everything in it; what was cancelled stays cancelled.

    Raises:
        NotFound: the actor does not belong to it, or it is gone.
        PermissionRefused: they are no owner.
        Conflict: it is open, or its time is over.
    """
    locked = organisation_lock(organisation.pk)
    if not locked.is_closed:
        raise Conflict("This organisation is open.")
    require_in(actor, REOPEN, locked.pk)
    if locked.purge_after is None or locked.purge_after <= timezone.now():
        raise Conflict("It is too late: this organisation is being deleted.")
    before = locked.closed_at.isoformat() if locked.closed_at else ""
    locked.closed_at = locked.purge_after = None
    locked.save(update_fields=["closed_at", "purge_after"])
    _record(locked, actor, "organisation.reopen", {"closed_at": [before, ""]})
    return locked


def organisations_purge() -> None:
    """Deletes the organisations whose grace is over, each in a transaction of its own."""
    due = Organisation.objects.filter(purge_after__lte=timezone.now()).values_list("pk", flat=True)
    for organisation_id in list(due[:50]):
        organisation_purge(organisation_id)


@transaction.atomic
def organisation_purge(organisation_id: uuid.UUID) -> bool:
    """Deletes an organisation and all its rows, if its grace is over; the audit trail stays."""
    over = Organisation.objects.select_for_update().filter(pk=organisation_id, purge_after__lte=timezone.now())
    organisation = over.first()
    if organisation is None:
        return False
    with all_organisations():
        tell_purging(organisation.pk)
        _record(organisation, None, "organisation.purge", {"name": [organisation.name, ""]})
        organisation.delete()
    logger.info("Organisation %s was deleted after its grace", organisation_id)
    return True


def _record(organisation: Organisation, actor: User | None, action: str, changes: dict[str, Any]) -> None:
    audit.record(actor=actor, action=action, target=organisation, organisation_id=organisation.pk, changes=changes)


def _tell_owners(organisation: Organisation, actor: User | None) -> None:
    owners = Membership.objects.filter(organisation=organisation, role=Role.OWNER, user__is_active=True)
    for owner in owners.select_related("user"):
        context = {
            "organisation": organisation,
            "actor": actor,
            "reopen_url": site_url(reverse("accounts:organisation_create")),
        }
        subject = f"{organisation} was closed"
        mail_send(recipient=owner.user.email, subject=subject, template="organisation_closed", context=context)
