"""Accounts: made, signed in to, renamed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.addresses import address_clean, verification_required
from accounts.models import Organisation, PlatformRole, User
from accounts.services.lockout import failure_note, refuse_guesses
from accounts.services.organisations import organisation_create
from accounts.services.passwords import password_check
from accounts.services.verification import verification_send
from platform_site.lib.errors import InvalidRequest, NotAuthenticated, PermissionRefused, RateLimited

WRONG = "E-mail address or password are not right."


class AddressTaken(InvalidRequest):
    """An account with this address exists."""


@transaction.atomic
def account_create(*, email: str, password: str, name: str, organisation_name: str) -> tuple[User, Organisation]:
    """A new user and the organisation they own.

    Raises:
        InvalidRequest: the password is too weak.
        AddressTaken: the address is.
    """
    user = user_create(email=email, password=password, name=name)
    organisation = organisation_create(name=organisation_name or f"{name or email}'s organisation", owner=user)
    audit.record(actor=user, action="account.create", target=user, organisation_id=organisation.pk)
    return user, organisation


def user_create(
    *, email: str, password: str, name: str = "", role: str = PlatformRole.USER, is_verified: bool = False
) -> User:
    """A new user with a checked password.

    Args:
        is_verified: whether the address is known to be theirs.

    Raises:
        InvalidRequest: the password is too weak.
        AddressTaken: the address is.
    """
    draft = User(email=email.strip().lower(), name=name.strip(), role=role)
    draft.email_verified_at = timezone.now() if is_verified else None
    password_check(password, draft)
    draft.set_password(password)
    try:
        with transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError as exc:
        taken = "An account with this e-mail address exists."
        raise AddressTaken(taken, errors={"email": [taken]}) from exc
    return draft


def account_authenticate(*, email: str, password: str, request: Any = None) -> User:
    """The user with this address and password, in the same time whether or not the address is known.

    Nobody is signed in by that: a second factor may follow.

    Raises:
        NotAuthenticated: address or password are wrong, or the account is disabled.
        RateLimited: too many sign-ins failed; see `lockout`.
        PermissionRefused: the password is right, and the address waits to be confirmed.
    """
    try:
        user = _user_with(email, password, request)
    except (NotAuthenticated, RateLimited) as exc:
        changes = {"email": ["", email[:254].replace("\0", "")], "reason": ["", exc.title]}
        audit.record(actor=None, action="account.sign_in_refused", changes=changes)
        raise
    _refuse_unverified(user)
    return user


def _user_with(email: str, password: str, request: Any) -> User:
    try:
        address = address_clean(email)
    except ValidationError as exc:
        raise NotAuthenticated(WRONG) from exc
    refuse_guesses(address)
    # Of unknown addresses, disabled accounts and accounts without a password, the backend hashes one as well.
    user = ModelBackend().authenticate(request, username=address, password=password)
    if not isinstance(user, User):
        failure_note(address)
        raise NotAuthenticated(WRONG)
    # Guesses that ran beside this one may have used up what was left by now.
    refuse_guesses(address)
    return user


def _refuse_unverified(user: User) -> None:
    if user.email_verified_at is not None or not verification_required():
        return
    was_sent = verification_send(user=user)
    sentence = "We sent the link again" if was_sent else "The link was sent to you a while ago"
    audit.record(actor=user, action="account.sign_in_refused", target=user, changes={"reason": ["", "unverified"]})
    raise PermissionRefused(f"Confirm your e-mail address first. {sentence}: look into the mailbox of {user.email}.")


@transaction.atomic
def account_rename(*, user: User, name: str) -> User:
    """Changes what a user is called."""
    before, user.name = user.name, name.strip()
    if before != user.name:
        user.save(update_fields=["name"])
        audit.record(actor=user, action="account.change", target=user, changes={"name": [before, user.name]})
    return user


def administrator_ensure(*, email: str, password: str) -> tuple[User, bool]:
    """The first administrator and their organisation, made only when no administrator exists.

    Returns:
        The administrator and whether they were made now.
    """
    existing = User.objects.filter(role=PlatformRole.ADMINISTRATOR).order_by("created_at").first()
    if existing is not None:
        return existing, False
    with transaction.atomic():
        # Whoever starts the installation names the address, so no link needs to prove it.
        user = user_create(
            email=email, password=password, name="Administrator", role=PlatformRole.ADMINISTRATOR, is_verified=True
        )
        organisation = organisation_create(name="Home", owner=user)
        audit.record(actor=None, action="account.create", target=user, organisation_id=organisation.pk)
    return user, True
