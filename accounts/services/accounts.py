"""Accounts: made, signed in to, disabled."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.models import Organisation, PlatformRole, User
from accounts.services.organisations import organisation_create
from accounts.services.sessions import sign_out_everywhere
from platform_site.lib.errors import InvalidRequest, NotAuthenticated


@transaction.atomic
def account_create(*, email: str, password: str, name: str, organisation_name: str) -> tuple[User, Organisation]:
    """A new user and the organisation they own.

    Raises:
        InvalidRequest: the password is too weak or the address is taken.
    """
    user = user_create(email=email, password=password, name=name)
    organisation = organisation_create(name=organisation_name or f"{name or email}'s organisation", owner=user)
    audit.record(actor=user, action="account.create", target=user, organisation_id=organisation.pk)
    return user, organisation


def user_create(*, email: str, password: str, name: str = "", role: str = PlatformRole.USER) -> User:
    """A new user with a checked password.

    Raises:
        InvalidRequest: the password is too weak or the address is taken.
    """
    draft = User(email=email.strip().lower(), name=name.strip(), role=role)
    try:
        password_validation.validate_password(password, draft)
    except ValidationError as exc:
        raise InvalidRequest("The password is too weak.", errors={"password": exc.messages}) from exc
    draft.set_password(password)
    try:
        with transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError as exc:
        taken = ["An account with this e-mail address exists."]
        raise InvalidRequest("An account with this e-mail address exists.", errors={"email": taken}) from exc
    return draft


def account_authenticate(*, email: str, password: str, request: Any = None) -> User:
    """The user with this address and password, in the same time whether or not the address is known.

    Raises:
        NotAuthenticated: address or password are wrong, or the account is disabled.
    """
    user = authenticate(request, username=email.strip().lower(), password=password)
    if not isinstance(user, User):
        audit.record(actor=None, action="account.sign_in_refused", changes={"email": ["", email[:254]]})
        raise NotAuthenticated("E-mail address or password are not right.")
    audit.record(actor=user, action="account.sign_in", target=user)
    return user


@transaction.atomic
def user_disable(*, user: User, actor: User) -> User:
    """Locks an account: nothing it holds works any more."""
    user.is_active = False
    user.save(update_fields=["is_active"])
    sign_out_everywhere(user=user, actor=actor, reason="account disabled", tokens_too=True)
    audit.record(actor=actor, action="account.disable", target=user, changes={"is_active": [True, False]})
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
        user = user_create(email=email, password=password, name="Administrator", role=PlatformRole.ADMINISTRATOR)
        organisation = organisation_create(name="Home", owner=user)
        audit.record(actor=None, action="account.create", target=user, organisation_id=organisation.pk)
    return user, True
