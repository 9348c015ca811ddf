"""Users as platform Administrators manage them: made, changed, disabled, deleted.

Whoever decides here is read again under a lock on all Administrators, so that of two who demote each other at the same
time one stays. Nobody changes their own role or standing, so there is always one left.
"""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts import audit
from accounts.addresses import address_clean, name_check
from accounts.closing import tell_deleting
from accounts.models import Membership, Organisation, PlatformRole, Role, Source, User
from accounts.permissions import require_administrator
from accounts.services.closing import close_locked
from accounts.services.invitations import invitations_withdraw_of
from accounts.services.mail import mail_send, site_url
from accounts.services.passwords import password_check, reset_token
from accounts.services.sessions import sign_out_everywhere
from accounts.tenancy import all_organisations
from platform_site.lib.errors import Conflict, InvalidRequest, NotFound, PermissionRefused

Changes = dict[str, list[object]]


# --- Finding ------------------------------------------------------------------------------------------------------
def users_of(actor: User, *, role: str | None = None, is_active: bool | None = None, text: str = "") -> QuerySet[User]:
    """All users, or those of a platform role, a standing, or with `text` in their address or name.

    Raises:
        PermissionRefused: the actor is no platform Administrator.
    """
    require_administrator(actor)
    found = User.objects.all()
    if role:
        found = found.filter(role=role)
    if is_active is not None:
        found = found.filter(is_active=is_active)
    if text:
        found = found.filter(Q(email__icontains=text) | Q(name__icontains=text))
    return found


def user_find(user_id: uuid.UUID | str, *, actor: User) -> User:
    """The user with this id.

    Raises:
        PermissionRefused: the actor is no platform Administrator.
        NotFound: there is none.
    """
    user = users_of(actor).filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


# --- Making -------------------------------------------------------------------------------------------------------
@transaction.atomic
def user_create_by_administrator(*, email: str, actor: User, name: str = "", role: str = PlatformRole.USER) -> User:
    """A new user without a password, who gets a link to set one.

    Raises:
        InvalidRequest: the address is malformed or taken, or the name or role cannot be used.
    """
    require_administrator(actor)
    user = User(email=_check_email(email), name=_check_name(name), role=_check_role(role))
    user.set_unusable_password()
    _save_with_free_address(user, force_insert=True)
    changes: Changes = {"email": ["", user.email], "name": ["", user.name], "role": ["", str(user.role)]}
    audit.record(actor=actor, action="account.create", target=user, changes=changes)
    context = {
        "user": user,
        "actor": actor,
        "url": site_url(reverse("accounts:password_reset", args=[reset_token(user)])),
        "forgotten_url": site_url(reverse("accounts:password_forgotten")),
    }
    mail_send(recipient=user.email, subject="Your account", template="account_created", context=context)
    return user


# --- Changing -----------------------------------------------------------------------------------------------------
@transaction.atomic
def user_change(
    *,
    user: User,
    actor: User,
    name: str | None = None,
    email: str | None = None,
    role: str | None = None,
    is_active: bool | None = None,
) -> User:
    """Changes what is given; another platform role counts from the next request on.

    Raises:
        PermissionRefused: the actor is no platform Administrator any more, or changes their own role or standing.
        Conflict: the identity provider grants the role.
        InvalidRequest: a value cannot be used, or the address is taken.
    """
    current = _locked(user, actor)
    wanted = {
        "name": None if name is None else _check_name(name),
        "email": None if email is None else _check_email(email),
        "role": None if role is None else _check_role(role),
    }
    changes: Changes = {
        field: [str(getattr(current, field)), value]
        for field, value in wanted.items()
        if value is not None and value != getattr(current, field)
    }
    if "role" in changes:
        _refuse_oneself(current, actor)
        if current.role_source == Source.OIDC:
            raise Conflict(f"A group at the identity provider decides the role of {current}. Change it there.")
    if changes:
        _apply(current, changes)
        audit.record(actor=actor, action="account.change", target=current, changes=changes)
    if is_active is not None and is_active != current.is_active:
        (user_enable if is_active else user_disable)(user=current, actor=actor)
        current.refresh_from_db()
    return current


def _apply(user: User, changes: Changes) -> None:
    for field, (_, value) in changes.items():
        setattr(user, field, value)
    if "email" in changes:  # nobody has shown that the new one is theirs
        user.email_verified_at, user.pending_email = None, ""
    _save_with_free_address(user, update_fields=[*changes, "email_verified_at", "pending_email"])


@transaction.atomic
def user_disable(*, user: User, actor: User) -> User:
    """Locks an account: nothing it holds works any more, nor do the invitations it sent.

    Raises:
        PermissionRefused: it is the actor's own, or they are no platform Administrator.
    """
    current = _locked(user, actor)
    _refuse_oneself(current, actor)
    if current.is_active:
        _set_active(current, False)
        sign_out_everywhere(user=current, actor=actor, reason="account disabled", tokens_too=True)
        changes = {"is_active": [True, False], **invitations_withdraw_of(current)}
        audit.record(actor=actor, action="account.disable", target=current, changes=changes)
    user.is_active = False
    return current


@transaction.atomic
def user_enable(*, user: User, actor: User) -> User:
    """Lets somebody sign in again; what was ended stays ended.

    Raises:
        PermissionRefused: the actor is no platform Administrator.
    """
    current = _locked(user, actor)
    if not current.is_active:
        _set_active(current, True)
        audit.record(actor=actor, action="account.enable", target=current, changes={"is_active": [False, True]})
    user.is_active = True
    return current


@transaction.atomic
def user_password_set(*, user: User, password: str, actor: User) -> User:
    """Gives somebody a password, for installations without mail; they are signed out everywhere.

    Raises:
        InvalidRequest: it is too weak; `errors` names `new_password`.
        PermissionRefused: the actor is no platform Administrator.
    """
    current = _locked(user, actor)
    password_check(password, current, field="new_password")
    current.set_password(password)
    current.save(update_fields=["password"])
    sign_out_everywhere(user=current, actor=actor, reason="password set by an administrator")
    audit.record(actor=actor, action="account.set_password", target=current)
    return current


# --- Deleting -----------------------------------------------------------------------------------------------------
@transaction.atomic
def user_delete(*, user: User, actor: User) -> None:
    """Deletes an account for good. What it made stays with the organisations; those it was alone in are closed.

    Raises:
        PermissionRefused: it is the actor's own, or they are no platform Administrator.
        Conflict: others belong to an organisation that would be left without an owner.
    """
    # Organisations are locked before users everywhere.
    owned = Membership.objects.filter(user=user, role=Role.OWNER).values("organisation_id")
    organisations = list(Organisation.objects.select_for_update().filter(pk__in=owned).order_by("pk"))
    current = _locked(user, actor)
    _refuse_oneself(current, actor)
    for organisation in organisations:
        _leave_owned(organisation, current, actor)
    changes: Changes = {"email": [current.email, ""], **invitations_withdraw_of(current)}
    audit.record(actor=actor, action="account.delete", target=current, changes=changes)
    # Rows that name the user as their maker are in every organisation.
    with all_organisations():
        tell_deleting(current.pk)
        current.delete()


def _leave_owned(organisation: Organisation, user: User, actor: User) -> None:
    others = Membership.objects.filter(organisation=organisation).exclude(user=user)
    if others.filter(role=Role.OWNER).exists():
        return
    if others.exists():
        raise Conflict(f"{user} is the only owner of {organisation}. Make another member an owner first.")
    Membership.objects.filter(organisation=organisation, user=user).delete()
    if not organisation.is_closed:
        close_locked(organisation, actor)


# --- What all of them do ------------------------------------------------------------------------------------------
def _locked(user: User, actor: User) -> User:
    """The user as they are now, once nobody else changes them or an Administrator."""
    both = Q(role=PlatformRole.ADMINISTRATOR) | Q(pk__in=[user.pk, actor.pk])
    rows = {row.pk: row for row in User.objects.select_for_update().filter(both).order_by("pk")}
    if actor.pk not in rows:
        raise PermissionRefused("Your account is gone.")
    require_administrator(rows[actor.pk])
    if user.pk not in rows:
        raise NotFound("There is no such user.")
    return rows[user.pk]


def _refuse_oneself(user: User, actor: User) -> None:
    if user.pk == actor.pk:
        raise PermissionRefused("Another administrator has to do this to your account.")


def _set_active(user: User, is_active: bool) -> None:
    user.is_active = is_active
    user.save(update_fields=["is_active"])


def _save_with_free_address(user: User, **how: object) -> None:
    try:
        with transaction.atomic():
            user.save(**how)  # type: ignore[arg-type]
    except IntegrityError as exc:
        taken = "An account with this e-mail address exists."
        raise InvalidRequest(taken, errors={"email": [taken]}) from exc


def _check_email(raw: str) -> str:
    try:
        return address_clean(raw)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"email": exc.messages}) from exc


def _check_name(raw: str) -> str:
    name = raw.strip()
    try:
        name_check(name)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"name": exc.messages}) from exc
    if len(name) > 120:
        raise InvalidRequest("This name is too long.", errors={"name": ["At most 120 characters."]})
    return name


def _check_role(raw: str) -> str:
    if raw not in PlatformRole.values:
        allowed = f"One of: {', '.join(PlatformRole.values)}."
        raise InvalidRequest("This is no platform role.", errors={"role": [allowed]})
    return str(PlatformRole(raw))
