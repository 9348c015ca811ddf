"""Sign-up: by anybody, by people of some domains, or by invitation."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.addresses import address_admit, verification_required
from accounts.models import Organisation, User
from accounts.services.accounts import AddressTaken, account_create, user_create
from accounts.services.invitations import invitation_accept, invitation_find
from accounts.services.mail import mail_send, site_url
from accounts.services.verification import verification_send
from platform_site.lib import origin
from platform_site.lib.errors import InvalidRequest, PermissionRefused
from platform_site.lib.ratelimit import count, network_of, refuse_over

SIGN_UP_RATE = "30/h"
NOTICE_RATE = "3/h"


@dataclass(frozen=True)
class SignUp:
    """What a sign-up led to.

    Args:
        user: the new user; where an account with the address existed already, one who looks like it and is not stored.
        organisation: where they belong; None while `must_verify`.
        must_verify: whether they can sign in only after they followed the link that was sent to them.
    """

    user: User
    organisation: Organisation | None
    must_verify: bool


def account_sign_up(
    *, email: str, password: str, name: str, organisation_name: str = "", invitation: str = ""
) -> SignUp:
    """A new account: in the organisation of `invitation` (a token), else with an organisation of its own.

    Raises:
        InvalidRequest: the address or the password cannot be taken.
        AddressTaken: an account with the address exists; told only where no link is sent that could tell it.
        NotFound: there is no such invitation.
        PermissionRefused: sign-up is closed.
        RateLimited: too many from one network.
    """
    network = network_of(origin.current.get().address)
    refuse_over("sign-up", network, SIGN_UP_RATE, detail="Too many accounts were asked for. Please try again later.")
    if invitation:
        return _sign_up_invited(email=email, password=password, name=name, token=invitation)
    if not settings.SIGN_UP_OPEN:
        raise PermissionRefused("Sign-up is closed on this installation. Ask an administrator for an account.")
    values = {"password": password, "name": name, "organisation_name": organisation_name}
    address = address_admit(email)
    if verification_required():
        return _sign_up_to_verify(address, values)
    return SignUp(*account_create(email=address, **values), must_verify=False)


@transaction.atomic
def _sign_up_invited(*, email: str, password: str, name: str, token: str) -> SignUp:
    invited = invitation_find(token)
    if email.strip().lower() != invited.email.lower():
        sentence = "This invitation was sent to another address."
        raise InvalidRequest(sentence, errors={"email": [sentence]})
    # The token reached them through the address, which proves it.
    user = user_create(email=invited.email, password=password, name=name, is_verified=True)
    membership = invitation_accept(token=token, user=user)
    audit.record(actor=user, action="account.create", target=user, organisation_id=membership.organisation_id)
    return SignUp(user, membership.organisation, must_verify=False)


def _sign_up_to_verify(address: str, values: dict[str, str]) -> SignUp:
    try:
        with transaction.atomic():
            user, _ = account_create(email=address, **values)
            verification_send(user=user)
    except AddressTaken:
        _tell_owner(address)
        user = User(email=address, name=values["name"].strip(), created_at=timezone.now())
    return SignUp(user, None, must_verify=True)


def _tell_owner(address: str) -> None:
    """Tells the owner of an account that somebody wanted to sign up with its address; the caller learns nothing."""
    if count("sign-up-notice", address, NOTICE_RATE).is_over:
        return
    if User.objects.filter(email=address, is_active=True).exists():
        context = {"email": address, "reset_url": site_url("/password/forgotten"), "sign_in_url": site_url("/sign-in")}
        mail_send(recipient=address, subject="You have an account already", template="sign_up_taken", context=context)
