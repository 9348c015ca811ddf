"""Identities at the OpenID Connect provider: signed in with, connected to an account, and ended.

Who somebody is, is (issuer, subject). An e-mail address never finds an account: whoever may write one into a profile at
the provider could take over the account that has it here.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.addresses import verification_required
from accounts.models import OidcIdentity, Session, TokenFamily, User
from accounts.oidc.claims import Person
from accounts.services.group_grants import groups_apply
from accounts.services.mail import mail_send, site_url
from accounts.services.organisations import organisation_create
from accounts.services.sessions import sign_out_everywhere
from accounts.services.verification import verification_send
from platform_site.lib import origin
from platform_site.lib.errors import Conflict, NotFound, PermissionRefused

ADDRESS_TAKEN = (
    "An account with this e-mail address exists. Sign in with your password, then connect your organisation's sign-in "
    "under Security."
)


# --- Signing in ---------------------------------------------------------------------------------------------------
def identity_sign_in(*, person: Person, refresh_token: str) -> User:
    """The user whose identity this is; a new one where unknown people may sign up.

    Raises:
        PermissionRefused: the account is disabled or waits for its address to be confirmed, the address is another
            account's, or the person may not have an account here.
    """
    identity = _find(person)
    if identity is None:
        _refuse_stranger(person)
        identity = _sign_up(person)
    user = identity.user
    if not user.is_active:
        raise _refused(person, "disabled", "This account is disabled. Ask an administrator.", user)
    _refuse_unverified(person, user)
    _confirm(identity, person, refresh_token)
    return user


def _find(person: Person) -> OidcIdentity | None:
    known = OidcIdentity.objects.select_related("user")
    return known.filter(issuer=person.issuer, subject=person.subject).first()


def _refuse_stranger(person: Person) -> None:
    domains = [domain.strip().lower() for domain in settings.OIDC_ALLOWED_DOMAINS]
    if person.email and User.objects.filter(email__iexact=person.email).exists():
        raise _refused(person, "address taken", ADDRESS_TAKEN)
    if not settings.OIDC_SIGN_UP:
        raise _refused(person, "sign-up closed", "You have no account here yet. Ask an administrator for one.")
    if not person.email:
        raise _refused(person, "no address", "Your identity provider names no e-mail address that can be used here.")
    # An address that nobody verified proves no domain.
    if domains and not (person.email_verified and person.email.rpartition("@")[2] in domains):
        detail = f"Only confirmed addresses of {', '.join(domains)} are taken here."
        raise _refused(person, "domain", detail)


def _sign_up(person: Person) -> OidcIdentity:
    """A new account, in the organisations that its groups map to or else in one of its own."""
    try:
        with transaction.atomic():
            user = User(email=person.email, name=person.name)
            user.email_verified_at = timezone.now() if person.email_verified else None
            user.set_unusable_password()
            user.save(force_insert=True)
            identity = _identity_make(user, person)
            audit.record(actor=user, action="account.create", target=user, changes={"method": ["", "oidc"]})
            groups_apply(user=user)
            if not user.memberships.exists():
                organisation_create(name=f"{person.name or person.email}'s organisation", owner=user)
            return identity
    except IntegrityError as exc:
        # Somebody took the address, or the same person came twice at the same time.
        found = _find(person)
        if found is None:
            raise _refused(person, "address taken", ADDRESS_TAKEN) from exc
        return found


def _identity_make(user: User, person: Person) -> OidcIdentity:
    return OidcIdentity.objects.create(
        user=user,
        issuer=person.issuer,
        subject=person.subject,
        email=person.email,
        groups=list(person.groups or ()),
        checked_at=timezone.now(),
    )


def _refuse_unverified(person: Person, user: User) -> None:
    if user.email_verified_at is not None or not verification_required():
        return
    if person.email_verified and person.email == user.email:
        User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now())
        return
    verification_send(user=user)
    detail = f"Confirm your e-mail address first: look into the mailbox of {user.email}."
    raise _refused(person, "unverified", detail, user)


@transaction.atomic
def _confirm(identity: OidcIdentity, person: Person, refresh_token: str) -> None:
    """Notes that the provider vouched for somebody just now, and what it said."""
    identity_note(identity=identity, person=person, refresh_token=refresh_token)
    OidcIdentity.objects.filter(pk=identity.pk).update(signed_in_at=timezone.now())


def identity_note(*, identity: OidcIdentity, person: Person, refresh_token: str) -> None:
    """Stores what the provider says now, and makes roles follow its groups. An empty refresh token keeps the old."""
    said: dict[str, Any] = {"email": person.email, "groups": person.groups, "refresh_token": refresh_token}
    # What is not said is not written either, as another process may have stored something newer.
    known = {name: value for name, value in said.items() if value or (name == "groups" and value is not None)}
    known |= {"checked_at": timezone.now(), "failing_since": None}
    for name, value in known.items():
        setattr(identity, name, list(value) if name == "groups" else value)
    identity.save(update_fields=list(known))
    groups_apply(user=identity.user)


def _refused(person: Person, reason: str, detail: str, user: User | None = None) -> PermissionRefused:
    """The refusal, and its entry in the audit trail."""
    facts = {"issuer": person.issuer, "subject": person.subject, "email": person.email, "reason": reason}
    changes: dict[str, Any] = {name: ["", value] for name, value in facts.items()}
    audit.record(actor=None, action="identity.refuse", target=user, changes=changes)
    return PermissionRefused(detail)


# --- Connecting ---------------------------------------------------------------------------------------------------
@transaction.atomic
def identity_connect(*, user: User, person: Person, refresh_token: str) -> OidcIdentity:
    """Connects an identity to the account of somebody who is signed in and asked for it.

    Raises:
        Conflict: it is connected to another account.
    """
    identity = _find(person)
    if identity is not None and identity.user_id != user.pk:
        raise Conflict("This identity is connected to another account.")
    if identity is None:
        try:
            with transaction.atomic():
                identity = _identity_make(user, person)
        except IntegrityError as exc:
            raise Conflict("This identity was connected just now. Please look again.") from exc
        audit.record(actor=user, action="identity.connect", target=identity, changes={"issuer": ["", person.issuer]})
        _tell(identity, "identity_connected", "Another way to sign in was connected")
    identity_note(identity=identity, person=person, refresh_token=refresh_token)
    return identity


@transaction.atomic
def identity_disconnect(*, identity_id: uuid.UUID, user: User) -> None:
    """Takes a way to sign in away again; sign-ins through it end, and so does what its groups granted.

    Raises:
        NotFound: the user has no such identity.
        Conflict: it is their only way to sign in.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    identity = OidcIdentity.objects.filter(pk=identity_id, user=user).first()
    if identity is None:
        raise NotFound("There is no such identity.")
    if not user.has_usable_password():
        raise Conflict("This is your only way to sign in. Ask an administrator for a password first.")
    audit.record(actor=user, action="identity.disconnect", target=identity)
    _tell(identity, "identity_disconnected", "A way to sign in was disconnected")
    identity.delete()
    groups_apply(user=user)
    sign_ins_end(user=user, reason="identity disconnected")


def _tell(identity: OidcIdentity, template: str, subject: str) -> None:
    context = {
        "user": identity.user,
        "identity": identity,
        "address": origin.current.get().address,
        "security_url": site_url("/account/security"),
    }
    mail_send(recipient=identity.user.email, subject=subject, template=template, context=context)


# --- Ending -------------------------------------------------------------------------------------------------------
THROUGH_PROVIDER = Q(method__in=("oidc", "device"))
"""How sign-ins may have begun that the provider vouches for: a device is approved in a browser that may be its."""


@transaction.atomic
def identity_end(*, identity: OidcIdentity, reason: str) -> None:
    """The provider does not know somebody any more: what rested on it ends. Without a password that is everything."""
    identity.refresh_token, identity.groups, identity.failing_since = "", [], None
    identity.save(update_fields=["refresh_token", "groups", "failing_since"])
    audit.record(actor=None, action="identity.end", target=identity, changes={"reason": ["", reason]})
    groups_apply(user=identity.user)
    if identity.user.has_usable_password():
        sign_ins_end(user=identity.user, reason=reason)
    else:
        sign_out_everywhere(user=identity.user, actor=None, reason=reason, tokens_too=True)


@transaction.atomic
def sign_ins_end(*, user: User, reason: str) -> None:
    """Ends the sessions and API sign-ins of a user that began through the provider."""
    now = timezone.now()
    ended, _ = Session.objects.filter(THROUGH_PROVIDER, user=user).delete()
    families = TokenFamily.objects.filter(THROUGH_PROVIDER, user=user, revoked_at=None)
    ended += families.update(revoked_at=now, revoked_reason=reason[:40])
    if ended:
        changes = {"reason": ["", reason], "sign_ins": [ended, 0]}
        audit.record(actor=None, action="identity.sign_out", target=user, changes=changes)
