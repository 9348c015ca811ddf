"""Organisations: made, found, renamed."""

from __future__ import annotations

import unicodedata
import uuid

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils.text import slugify

from accounts import audit
from accounts.addresses import name_check
from accounts.credentials import Credential
from accounts.models import Membership, Organisation, Role, User
from accounts.permissions import MANAGE, require_in
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound
from platform_site.lib.identifiers import uuid7
from platform_site.lib.ratelimit import refuse_over

MAX_NAME = 120
MAX_OWNED = 20
CREATION_RATE = "10/h"
UNKNOWN = "There is no such organisation."


# --- Finding ------------------------------------------------------------------------------------------------------
def organisations_of(user: User, credential: Credential | None = None) -> QuerySet[Organisation]:
    """The open organisations that `user` belongs to; a credential that is narrowed to one opens only that."""
    mine = _with_role(user).filter(closed_at=None)
    narrowed = credential.organisation_id if credential else None
    return mine.filter(pk=narrowed) if narrowed else mine


def _with_role(user: User, where: Q | None = None) -> QuerySet[Organisation]:
    """The organisations of `user`, each with `own_role`; `where` looks at the same membership."""
    mine = Organisation.objects.filter(where or Q(), memberships__user=user)
    return mine.annotate(own_role=F("memberships__role"))


def organisations_closed_of(user: User) -> QuerySet[Organisation]:
    """The closed organisations that `user` can still open again, being an owner of them."""
    return _with_role(user, Q(memberships__role=Role.OWNER)).exclude(closed_at=None).order_by("-closed_at")


def organisation_find(
    organisation_id: uuid.UUID | str,
    *,
    user: User,
    credential: Credential | None = None,
    entered: uuid.UUID | None = None,
) -> Organisation:
    """The open organisation with this id, where `user` belongs to it.

    Args:
        entered: a foreign organisation that a platform Administrator chose to look into.

    Raises:
        NotFound: it does not exist, is closed or is not theirs; all look alike.
    """
    if user.is_administrator and entered is not None and str(entered) == str(organisation_id):
        found = Organisation.objects.filter(pk=entered, closed_at=None).first()
    else:
        found = organisations_of(user, credential).filter(pk=organisation_id).first()
    if found is None:
        raise NotFound(UNKNOWN)
    return found


def organisation_closed_find(
    organisation_id: uuid.UUID | str, *, user: User, credential: Credential | None = None
) -> Organisation:
    """The closed organisation with this id that `user` owns.

    Raises:
        NotFound: there is none.
    """
    narrowed = credential.organisation_id if credential else None
    found = organisations_closed_of(user).filter(pk=organisation_id).first()
    if found is None or narrowed not in (None, found.pk):
        raise NotFound(UNKNOWN)
    return found


def organisation_lock(organisation_id: uuid.UUID) -> Organisation:
    """The row, locked until the transaction ends: who belongs to an organisation is changed by one at a time.

    Raises:
        NotFound: it is gone.
    """
    found = Organisation.objects.select_for_update().filter(pk=organisation_id).first()
    if found is None:
        raise NotFound(UNKNOWN)
    return found


# --- Making and naming --------------------------------------------------------------------------------------------
@transaction.atomic
def organisation_create(*, name: str, owner: User, actor: User | None = None) -> Organisation:
    """A new organisation with `owner` as its owner. A name that is too long is cut.

    Args:
        actor: who makes it, where that is somebody else.

    Raises:
        InvalidRequest: the name is empty or holds something else than text.
        Conflict: `owner` owns as many as one may.
        RateLimited: they made many in the last hour.
    """
    name = check_name(name[:MAX_NAME])
    refuse_over(
        "organisations", str(owner.pk), CREATION_RATE, detail="You made many organisations. Please wait an hour."
    )
    User.objects.select_for_update().get(pk=owner.pk)  # so that two at the same time are not both the last one
    if Membership.objects.filter(user=owner, role=Role.OWNER).count() >= MAX_OWNED:
        raise Conflict(f"One person can own {MAX_OWNED} organisations, closed ones included.")
    organisation = _with_free_slug(name)
    Membership.objects.create(user=owner, organisation=organisation, role=Role.OWNER)
    audit.record(
        actor=actor or owner,
        action="organisation.create",
        target=organisation,
        organisation_id=organisation.pk,
        changes={"name": ["", name], "owner": ["", owner.email]},
    )
    return organisation


@transaction.atomic
def organisation_rename(*, organisation: Organisation, name: str, actor: User) -> Organisation:
    """Gives an organisation another name; its slug stays, as addresses may hold it.

    Raises:
        InvalidRequest: the name cannot be used.
    """
    require_in(actor, MANAGE, organisation.pk)
    locked = organisation_lock(organisation.pk)
    before, locked.name = locked.name, check_name(name)
    if locked.name != before:
        locked.save(update_fields=["name"])
        audit.record(
            actor=actor,
            action="organisation.change",
            target=locked,
            organisation_id=locked.pk,
            changes={"name": [before, locked.name]},
        )
    return locked


def check_name(name: str) -> str:
    """The name in its normal form.

    Raises:
        InvalidRequest: it is not 1 to 120 characters long, says nothing, or holds control characters.
    """
    normal = " ".join(part for part in unicodedata.normalize("NFC", name).split(" ") if part)
    if not 1 <= len(normal) <= MAX_NAME or not any(sign.isalnum() for sign in normal):
        problem = f"The name of an organisation has 1 to {MAX_NAME} characters, and a letter or digit among them."
        raise InvalidRequest(problem, errors={"name": [problem]})
    try:
        name_check(normal)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"name": exc.messages}) from exc
    return normal


def _with_free_slug(name: str) -> Organisation:
    stem = slugify(name)[:60] or "organisation"
    for slug in (stem, f"{stem}-{uuid7().hex[-8:]}"):
        if Organisation.objects.filter(slug=slug).exists():
            continue
        try:
            with transaction.atomic():
                return Organisation.objects.create(name=name, slug=slug)
        except IntegrityError:  # somebody took it at the same time
            continue
    raise Conflict("This name is in use just now. Please try again.")
