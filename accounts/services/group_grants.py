"""What groups at the identity provider grant here, given and taken away as they change there."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import GroupMapping, Membership, OidcIdentity, PlatformRole, Role, Source, User
from accounts.permissions import outranks
from accounts.services.invitations import invitations_withdraw_of
from accounts.services.organisations import organisation_lock


@transaction.atomic
def groups_apply(*, user: User) -> None:
    """Makes the user's granted roles what their groups say now.

    What people here granted is never touched, higher or lower: the two could not be told apart afterwards. An
    organisation keeps its last owner, and a platform Administrator by grant becomes a user when the grant ends.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    mappings = _mappings_of(user)
    _memberships_apply(user, _roles_by_organisation(mappings))
    _platform_role_apply(user, {mapping.platform_role for mapping in mappings})


def _mappings_of(user: User) -> list[GroupMapping]:
    listed = OidcIdentity.objects.filter(user=user).values_list("groups", flat=True)
    groups = {group for one in listed for group in one}
    # Asked in this direction, as the mappings are few and somebody may be in a thousand groups.
    return [mapping for mapping in GroupMapping.objects.all() if mapping.group in groups]


def _roles_by_organisation(mappings: list[GroupMapping]) -> dict[uuid.UUID, str]:
    """The highest role for each organisation."""
    roles: dict[uuid.UUID, str] = {}
    for mapping in mappings:
        organisation_id = mapping.organisation_id
        if organisation_id and (organisation_id not in roles or outranks(mapping.role, roles[organisation_id])):
            roles[organisation_id] = mapping.role
    return roles


def _memberships_apply(user: User, wanted: dict[uuid.UUID, str]) -> None:
    have = dict(Membership.objects.filter(user=user).values_list("organisation_id", "role"))
    granted = set(Membership.objects.filter(user=user, source=Source.OIDC).values_list("organisation_id", flat=True))
    changing = [
        organisation_id
        for organisation_id in granted | set(wanted)
        if organisation_id not in have
        or (organisation_id in granted and have[organisation_id] != wanted.get(organisation_id))
    ]
    for organisation_id in sorted(changing):  # in one order everywhere, so that two people do not wait for each other
        organisation_lock(organisation_id)
        _membership_apply(user, organisation_id, wanted.get(organisation_id))


def _membership_apply(user: User, organisation_id: uuid.UUID, role: str | None) -> None:
    found = Membership.objects.select_related("organisation", "user").filter(user=user, organisation_id=organisation_id)
    membership = found.first()
    if membership is None:
        if role is not None:
            _membership_add(user, organisation_id, role)
    elif membership.source == Source.OIDC and membership.role != role and not _is_last_owner(membership):
        _membership_change(membership, role)


def _membership_add(user: User, organisation_id: uuid.UUID, role: str) -> None:
    membership = Membership.objects.create(user=user, organisation_id=organisation_id, role=role, source=Source.OIDC)
    _record("membership.create", membership, ["", role])


def _membership_change(membership: Membership, role: str | None) -> None:
    organisation_id = membership.organisation_id
    withdrawn = invitations_withdraw_of(membership.user, organisation_id=organisation_id, role=role)
    action = "membership.change" if role else "membership.remove"
    _record(action, membership, [membership.role, role or ""], **withdrawn)
    if role is None:
        membership.delete()
        return
    membership.role = role
    membership.save(update_fields=["role"])


def _record(action: str, membership: Membership, role: list[str], **more: Any) -> None:
    changes = {"role": role, "source": ["", Source.OIDC.value], **more}
    audit.record(actor=None, action=action, target=membership, changes=changes)


def _is_last_owner(membership: Membership) -> bool:
    others = Membership.objects.filter(organisation_id=membership.organisation_id, role=Role.OWNER)
    is_owner = membership.role == Role.OWNER
    return is_owner and not others.filter(user__is_active=True).exclude(pk=membership.pk).exists()


def _platform_role_apply(user: User, granted: set[str]) -> None:
    if user.role_source == Source.LOCAL and user.role == PlatformRole.ADMINISTRATOR:
        return
    wanted = PlatformRole.ADMINISTRATOR if PlatformRole.ADMINISTRATOR in granted else PlatformRole.USER
    if user.role == wanted:
        return
    before, user.role = user.role, wanted
    user.role_source = Source.OIDC if wanted == PlatformRole.ADMINISTRATOR else Source.LOCAL
    user.save(update_fields=["role", "role_source"])
    audit.record(actor=None, action="account.change", target=user, changes={"role": [str(before), str(wanted)]})


# --- Mappings -----------------------------------------------------------------------------------------------------
FIELDS = ("group", "organisation", "role", "platform_role")


@transaction.atomic
def group_mapping_save(*, mapping: GroupMapping, actor: User) -> GroupMapping:
    """Adds or changes what a group grants. It counts for everybody with their next check, within minutes."""
    before = GroupMapping.objects.filter(pk=mapping.pk).first()
    mapping.save()
    changes = {name: [was, now] for name in FIELDS if (was := _shown(before, name)) != (now := _shown(mapping, name))}
    action = "group_mapping.change" if before else "group_mapping.create"
    audit.record(actor=actor, action=action, target=mapping, changes=changes)
    return mapping


@transaction.atomic
def group_mapping_delete(*, mapping: GroupMapping, actor: User) -> None:
    """Ends what a group grants."""
    changes = {name: [_shown(mapping, name), ""] for name in FIELDS if _shown(mapping, name)}
    audit.record(actor=actor, action="group_mapping.delete", target=mapping, changes=changes)
    mapping.delete()


def _shown(mapping: GroupMapping | None, name: str) -> str:
    value = getattr(mapping, name) if mapping is not None else ""
    return str(value) if value else ""
