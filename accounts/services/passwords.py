"""Passwords: asked for again, changed, forgotten, and set anew through a link."""

from __future__ import annotations

import uuid

from django.contrib.auth import password_validation
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.addresses import address_clean
from accounts.models import User
from accounts.services.lockout import failure_note, refuse_guesses
from accounts.services.mail import mail_send, site_url
from accounts.services.sessions import sign_out_everywhere
from platform_site.lib import origin
from platform_site.lib.errors import InvalidRequest, PermissionRefused
from platform_site.lib.ratelimit import count, network_of, refuse_over

VOID = "This link is not valid any more. Ask for a new one."
ASK_RATE, MAIL_RATE = "20/h", "5/h"


def password_check(password: str, user: User, *, field: str = "password") -> None:
    """Refuses passwords that are too short, too common, or too close to what `user` is called.

    Raises:
        InvalidRequest: with what is wrong under the name `field`.
    """
    try:
        password_validation.validate_password(password, user)
    except ValidationError as exc:
        raise InvalidRequest("The password is too weak.", errors={field: exc.messages}) from exc


def password_confirm(*, user: User, password: str) -> None:
    """Asks somebody who is signed in for their password again; wrong ones count like failed sign-ins.

    Raises:
        InvalidRequest: it is wrong; `errors` names `current_password`.
        RateLimited: too many were wrong.
    """
    refuse_guesses(user.email)
    if not user.check_password(password):
        failure_note(user.email)
        audit.record(actor=user, action="account.password_refused", target=user)
        sentence = "This is not your password."
        raise InvalidRequest(sentence, errors={"current_password": [sentence]})
    refuse_guesses(user.email)


def password_change(*, user: User, current: str, new: str, keep: uuid.UUID | None) -> User:
    """Replaces the password of somebody who knows the current one; they are signed out everywhere else.

    Args:
        keep: the session or token family that goes on.

    Raises:
        InvalidRequest: the current password is wrong, or the new one too weak.
        PermissionRefused: the account has none.
        RateLimited: too many wrong ones.
    """
    if not user.has_usable_password():
        raise PermissionRefused("Your account has no password: you sign in with your organisation.")
    password_confirm(user=user, password=current)
    password_check(new, user, field="new_password")
    if new == current:
        sentence = "This is the password that you have already."
        raise InvalidRequest(sentence, errors={"new_password": [sentence]})
    with transaction.atomic():
        user.set_password(new)
        user.save(update_fields=["password"])
        sign_out_everywhere(user=user, actor=user, reason="password changed", keep=keep)
        audit.record(actor=user, action="account.change_password", target=user)
        _tell(user, "Your password was changed", "password_changed")
    return user


# --- Forgotten ----------------------------------------------------------------------------------------------------
def password_forgotten(*, email: str) -> None:
    """Sends a link for a new password, if there is an account. Nobody learns whether, by answer or by time.

    Raises:
        InvalidRequest: it is not an address.
        RateLimited: one network asked too often.
    """
    try:
        address = address_clean(email)
    except ValidationError as exc:
        raise InvalidRequest(exc.messages[0], errors={"email": exc.messages}) from exc
    network = network_of(origin.current.get().address)
    refuse_over("password-forgotten", network, ASK_RATE, detail="Too many links were asked for. Please wait an hour.")
    is_flood = count("password-forgotten-mail", address, MAIL_RATE).is_over
    user = User.objects.filter(email=address, is_active=True).first()
    audit.record(actor=None, action="account.forget_password", changes={"email": ["", address]})
    with transaction.atomic():
        # For an unknown address the message is made as well, to take as long, and then taken back.
        _reset_mail_send(user or User(email=address))
        if user is None or is_flood:
            transaction.set_rollback(True)


def _reset_mail_send(user: User) -> None:
    if not _may_reset(user):
        context = {"user": user, "sign_in_url": site_url("/sign-in")}
        mail_send(recipient=user.email, subject="How you sign in", template="password_elsewhere", context=context)
        return
    url = site_url(f"/password/reset/{reset_token(user)}")
    context = {"email": user.email, "url": url, "address": origin.current.get().address}
    mail_send(recipient=user.email, subject="A new password", template="password_reset", context=context)


def _may_reset(user: User) -> bool:
    """People who sign in with their organisation get no second way in past it."""
    return user._state.adding or user.has_usable_password() or not user.oidc_identities.exists()


def reset_token(user: User) -> str:
    """A token that sets a new password once, within an hour; a sign-in or a new address voids it too."""
    return f"{user.pk.hex}-{default_token_generator.make_token(user)}"


def reset_find(token: str) -> User:
    """Whose password a token sets.

    Raises:
        InvalidRequest: it is forged, used or old.
    """
    user_id, _, proof = token.partition("-")
    try:
        user = User.objects.filter(pk=uuid.UUID(user_id), is_active=True).first()
    except ValueError as exc:
        raise InvalidRequest(VOID) from exc
    if user is None or not default_token_generator.check_token(user, proof) or not _may_reset(user):
        raise InvalidRequest(VOID)
    return user


@transaction.atomic
def password_reset(*, token: str, password: str) -> User:
    """Sets the password that a link was sent for, and ends every session and API sign-in.

    Raises:
        InvalidRequest: the token is not valid any more, or the password is too weak.
    """
    User.objects.select_for_update().get(pk=reset_find(token).pk)
    user = reset_find(token)  # again, under the lock: of two uses at the same time one comes second
    password_check(password, user)
    user.set_password(password)
    # The link came through the address, which proves it.
    user.email_verified_at = user.email_verified_at or timezone.now()
    user.save(update_fields=["password", "email_verified_at"])
    sign_out_everywhere(user=user, actor=user, reason="password reset")
    audit.record(actor=user, action="account.reset_password", target=user)
    _tell(user, "Your password was changed", "password_changed")
    return user


def _tell(user: User, subject: str, template: str) -> None:
    context = {
        "user": user,
        "address": origin.current.get().address,
        "reset_url": site_url("/password/forgotten"),
        "tokens_url": site_url("/account/tokens"),
    }
    mail_send(recipient=user.email, subject=subject, template=template, context=context)
