"""Whether an e-mail address belongs to whoever claims it: links that confirm one, and changes of address.

A link names the user and the address and is signed. It confirms an address that is, or is about to be, the user's, so
used again it changes nothing.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.addresses import address_admit
from accounts.models import User
from accounts.services.mail import mail_send, site_url
from accounts.services.passwords import password_confirm
from platform_site.lib import origin
from platform_site.lib.errors import InvalidRequest
from platform_site.lib.ratelimit import count, refuse_over

SALT = "accounts.verification"
VALID_FOR = timedelta(days=3)
SEND_RATE = CHANGE_RATE = "5/h"
VOID = "This link is not valid any more. Ask for a new one on the page of your account."


def verification_url(user: User, address: str) -> str:
    """The absolute address of the page that confirms `address` for `user`."""
    token = signing.dumps([user.pk.hex, address], salt=SALT)
    return site_url(f"/verify-email/{token}")


def verification_send(*, user: User) -> bool:
    """Sends the link for the user's address; False when that was done too often of late."""
    if count("verification-mail", str(user.pk), SEND_RATE).is_over:
        return False
    _link_send(user, user.email)
    return True


def verification_find(token: str) -> tuple[User, str]:
    """Whose link this is, and the address that it confirms.

    Raises:
        InvalidRequest: it is forged, older than three days, or the address is not the user's.
    """
    try:
        user_id, address = signing.loads(token, salt=SALT, max_age=VALID_FOR)
    except signing.BadSignature as exc:
        raise InvalidRequest(VOID) from exc
    user = User.objects.filter(pk=uuid.UUID(user_id), is_active=True).first()
    if user is None or address not in (user.email, user.pending_email):
        raise InvalidRequest(VOID)
    return user, address


@transaction.atomic
def address_confirm(*, token: str) -> User:
    """Confirms the address of a link. One that its user changes to becomes theirs now.

    Raises:
        InvalidRequest: the link is not valid, or somebody else's account got the address in the meantime.
    """
    user = User.objects.select_for_update().get(pk=verification_find(token)[0].pk)
    _, address = verification_find(token)  # again, under the lock
    if address != user.email:
        return _address_change(user, address)
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
        audit.record(actor=user, action="account.verify_email", target=user, changes={"email": ["", address]})
    return user


def address_change_ask(*, user: User, email: str, password: str, signed_in_recently: bool) -> User:
    """Asks for another address: a link to it confirms the change, and the old one is told.

    An address that another account has is answered alike; its owner is told instead of being sent a link.

    Args:
        password: the user's, which a user without one makes up for with a sign-in of a few minutes ago.

    Raises:
        InvalidRequest: the password is wrong, or the address cannot be taken.
        RateLimited: too many wrong passwords or changes.
    """
    _prove(user, password, signed_in_recently)
    address = address_admit(email)
    if address == user.email:
        sentence = "This is your address already."
        raise InvalidRequest(sentence, errors={"email": [sentence]})
    detail = "Your address was to be changed several times of late. Please try again later."
    refuse_over("address-change", str(user.pk), CHANGE_RATE, detail=detail)
    with transaction.atomic():
        before, user.pending_email = user.pending_email, address
        user.save(update_fields=["pending_email"])
        changes = {"pending_email": [before, address]}
        audit.record(actor=user, action="account.ask_email_change", target=user, changes=changes)
        _notice_send(user, user.email, "Your e-mail address is to be changed", "email_change_asked")
        if User.objects.filter(email=address).exists():
            _notice_send(user, address, "Your address is in use already", "email_taken")
        else:
            _link_send(user, address)
    return user


def _prove(user: User, password: str, signed_in_recently: bool) -> None:
    if user.has_usable_password():
        password_confirm(user=user, password=password)
    elif not signed_in_recently:
        sentence = "Sign out and in again first: your account has no password that could be asked for."
        raise InvalidRequest(sentence, errors={"current_password": [sentence]})


def _address_change(user: User, address: str) -> User:
    before, user.email, user.pending_email = user.email, address, ""
    user.email_verified_at = timezone.now()
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "pending_email", "email_verified_at"])
    except IntegrityError as exc:
        raise InvalidRequest("Another account has this address by now.") from exc
    audit.record(actor=user, action="account.change", target=user, changes={"email": [before, address]})
    _notice_send(user, before, "Your e-mail address was changed", "email_changed")
    return user


def _link_send(user: User, address: str) -> None:
    context = {"email": address, "url": verification_url(user, address), "days": VALID_FOR.days}
    mail_send(recipient=address, subject="Confirm your e-mail address", template="verify_email", context=context)


def _notice_send(user: User, recipient: str, subject: str, template: str) -> None:
    context = {"user": user, "address": origin.current.get().address, "security_url": site_url("/account/security")}
    mail_send(recipient=recipient, subject=subject, template=template, context=context)
