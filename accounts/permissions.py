"""Who may do what: the one module that pages, REST, sockets, admin and tasks ask.

Each permission is a predicate over somebody's standing in an organisation. Standing is read with one query each time
it is asked for and kept nowhere, so a removal or demotion counts from the next question on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from django.db.models import OuterRef, Subquery

from accounts.models import Membership, Organisation, Role, User
from platform_site.lib.errors import InvalidRequest, NotFound, PermissionRefused

VIEW, OPERATE, MANAGE, OWN, REOPEN = "view", "operate", "manage", "own", "reopen"

_RANKS: dict[str, int] = {Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMINISTRATOR: 3, Role.OWNER: 4}


@dataclass(frozen=True)
class Standing:
    """What somebody is in an organisation at this moment.

    Args:
        role: their role there, None for those who do not belong to it.
        is_closed: whether the organisation is closed.
        is_administrator: whether they are a platform Administrator, who holds every permission of an owner.
    """

    role: str | None = None
    is_closed: bool = False
    is_administrator: bool = False

    @property
    def rank(self) -> int:
        """How high their word counts; 0 for those who have none."""
        return _RANKS[Role.OWNER] if self.is_administrator else _RANKS.get(self.role or "", 0)


NOBODY = Standing()
Predicate = Callable[[Standing], bool]


def _from(role: str) -> Predicate:
    """Holds for those with at least `role` in an organisation that is open."""
    return lambda standing: not standing.is_closed and standing.rank >= _RANKS[role]


_PERMISSIONS: dict[str, Predicate] = {
    VIEW: _from(Role.VIEWER),
    OPERATE: _from(Role.MEMBER),
    MANAGE: _from(Role.ADMINISTRATOR),
    OWN: _from(Role.OWNER),
    REOPEN: lambda standing: standing.is_closed and standing.rank >= _RANKS[Role.OWNER],
}
_WORDS = {
    VIEW: "see this",
    OPERATE: "operate this",
    MANAGE: "manage this",
    OWN: "do what only owners do",
    REOPEN: "reopen it",
}


class OrganisationOwned(Protocol):
    organisation_id: uuid.UUID


def standing_of(user: User, organisation_id: uuid.UUID) -> Standing:
    """What `user` is in an organisation; one query, none for disabled users, who are nobody anywhere."""
    if not user.is_active:
        return NOBODY
    role = Membership.objects.filter(user=user, organisation=OuterRef("pk")).values("role")[:1]
    rows = Organisation.objects.filter(pk=organisation_id).annotate(own_role=Subquery(role))
    found = rows.values_list("own_role", "closed_at").first()
    if found is None:
        return NOBODY
    return Standing(found[0], found[1] is not None, user.is_administrator)


def role_in(user: User, organisation_id: uuid.UUID) -> str | None:
    """The user's role in an organisation, None when they do not belong to it or are disabled."""
    return standing_of(user, organisation_id).role


def holds(standing: Standing, permission: str) -> bool:
    """Whether somebody of this standing holds `permission`."""
    return _PERMISSIONS[permission](standing)


def allowed(user: User, permission: str, organisation_id: uuid.UUID) -> bool:
    """Whether `user` holds `permission` in the organisation. Platform Administrators hold all."""
    return holds(standing_of(user, organisation_id), permission)


def require(user: User, permission: str, owned: OrganisationOwned) -> Standing:
    """Refuses unless `user` holds `permission` where `owned` belongs.

    Raises:
        NotFound: the user does not belong to the organisation, so the object does not exist for them.
        PermissionRefused: their role does not include the permission.
    """
    return require_in(user, permission, owned.organisation_id)


def require_in(user: User, permission: str, organisation_id: uuid.UUID) -> Standing:
    """`require` for something that does not exist yet; answers the standing that it was decided by."""
    standing = standing_of(user, organisation_id)
    if holds(standing, permission):
        return standing
    if standing.rank == 0 or (standing.is_closed and permission != REOPEN):
        raise NotFound("There is nothing here.")
    raise PermissionRefused(f"Your role in this organisation does not include the right to {_WORDS[permission]}.")


def require_administrator(user: User) -> None:
    """Refuses everybody but platform Administrators.

    Raises:
        PermissionRefused: the user is none.
    """
    if not user.is_administrator:
        raise PermissionRefused("Only platform administrators may do this.")


def require_rank(standing: Standing, role: str) -> None:
    """Refuses to let somebody give, take or change a role that is higher than their own.

    Raises:
        PermissionRefused: it is.
    """
    if standing.rank < _RANKS[role]:
        raise PermissionRefused(f"Your role in this organisation does not reach as far as {Role(role).label.lower()}.")


def check_role(raw: str) -> str:
    """A role in an organisation.

    Raises:
        InvalidRequest: it is none.
    """
    if raw not in Role.values:
        raise InvalidRequest("This is no role.", errors={"role": [f"One of: {', '.join(Role.values)}."]})
    return str(Role(raw))


def outranks(role: str, other: str) -> bool:
    """Whether `role` is higher than `other`."""
    return _RANKS[role] > _RANKS[other]


def roles_up_to(standing: Standing) -> list[str]:
    """The roles that somebody of this standing may give to others, the highest first; none without `MANAGE`."""
    if not holds(standing, MANAGE):
        return []
    return [str(role) for role in Role if _RANKS[role] <= standing.rank]
