"""Who may do what: the one module that pages, REST, sockets, admin and tasks ask."""

from __future__ import annotations

import uuid
from typing import Protocol

from accounts.models import Membership, Role, User
from platform_site.lib.errors import NotFound, PermissionRefused

VIEW, OPERATE, MANAGE = "view", "operate", "manage"

_ALLOWED: dict[str, frozenset[str]] = {
    VIEW: frozenset({Role.OWNER, Role.ADMINISTRATOR, Role.MEMBER, Role.VIEWER}),
    OPERATE: frozenset({Role.OWNER, Role.ADMINISTRATOR, Role.MEMBER}),
    MANAGE: frozenset({Role.OWNER, Role.ADMINISTRATOR}),
}


class OrganisationOwned(Protocol):
    organisation_id: uuid.UUID


def role_in(user: User, organisation_id: uuid.UUID) -> str | None:
    """The user's role in an organisation, None when they do not belong to it."""
    membership = Membership.objects.filter(user=user, organisation_id=organisation_id).values_list("role", flat=True)
    return membership.first()


def allowed(user: User, permission: str, organisation_id: uuid.UUID) -> bool:
    """Whether `user` holds `permission` in the organisation. Platform Administrators hold all."""
    if not user.is_active:
        return False
    return user.is_administrator or role_in(user, organisation_id) in _ALLOWED[permission]


def require(user: User, permission: str, owned: OrganisationOwned) -> None:
    """Refuses unless `user` holds `permission` where `owned` belongs.

    Raises:
        NotFound: the user does not belong to the organisation, so the object does not exist for them.
        PermissionRefused: their role does not include the permission.
    """
    require_in(user, permission, owned.organisation_id)


def require_in(user: User, permission: str, organisation_id: uuid.UUID) -> None:
    """`require` for something that does not exist yet."""
    if allowed(user, permission, organisation_id):
        return
    if role_in(user, organisation_id) is None:
        raise NotFound("There is nothing here.")
    raise PermissionRefused(f"Your role in this organisation does not include the right to {permission}.")
