"""Where somebody is signed in, and how that ends: browsers' sessions and token families together."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.credentials import Credential
from accounts.models import PersonalAccessToken, Session, TokenFamily, User
from accounts.services.devices import devices_refuse
from accounts.services.families import family_revoke
from platform_site.lib.errors import NotFound

BROWSER, API = "browser", "api"
RECENT = timedelta(minutes=10)
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser": "Samsung Internet",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "Chromium": "Chromium",
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "Safari": "Safari",
}
"""What browsers call themselves, those first that also name others."""
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "CrOS": "ChromeOS",
    "Mac OS": "macOS",
    "Linux": "Linux",
}
METHODS = {"password": "Password", "oidc": "Organisation", "device": "Approved in a browser"}


@dataclass(frozen=True)
class SignIn:
    """One place where somebody is signed in.

    Args:
        id: the public id of a session, or the id of a token family.
        kind: `browser` or `api`.
        client: what it is, in words.
        method: how they signed in: `password`, `oidc`, `device`, or empty where it is not known.
        last_seen_at: when it was last used; browsers to within minutes, API sign-ins when their tokens were renewed.
        is_current: whether it is the one that asks.
    """

    id: uuid.UUID
    kind: str
    client: str
    address: str
    method: str
    second_factor: bool
    created_at: datetime
    last_seen_at: datetime
    is_current: bool

    @property
    def method_words(self) -> str:
        return METHODS.get(self.method, "")


def sign_ins_of(user: User, *, current: Credential | None) -> list[SignIn]:
    """Where `user` is signed in now: the one that asks first, then the last used."""
    now, here = timezone.now(), current.id if current else None
    sessions = Session.objects.filter(user=user, expire_date__gt=now)
    families = TokenFamily.objects.filter(user=user, revoked_at=None, expires_at__gt=now)
    found = [_of_session(session, here) for session in sessions] + [_of_family(family, here) for family in families]
    return sorted(found, key=lambda one: (one.is_current, one.last_seen_at), reverse=True)


def _of_session(session: Session, here: uuid.UUID | None) -> SignIn:
    return SignIn(
        id=session.public_id,
        kind=BROWSER,
        client=client_words(session.user_agent),
        address=session.address,
        method=session.method,
        second_factor=session.second_factor,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        is_current=session.public_id == here,
    )


def _of_family(family: TokenFamily, here: uuid.UUID | None) -> SignIn:
    return SignIn(
        id=family.pk,
        kind=API,
        client=family.client or client_words(family.user_agent),
        address=family.address,
        method=family.method,
        second_factor=family.second_factor,
        created_at=family.created_at,
        last_seen_at=family.rotated_at,
        is_current=family.pk == here,
    )


def client_words(user_agent: str) -> str:
    """What a browser or program is, as people say it: `Firefox on Linux`, `curl`."""
    browser = next((words for mark, words in BROWSERS.items() if mark in user_agent), "")
    system = next((words for mark, words in SYSTEMS.items() if mark in user_agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    program = re.match(r"[A-Za-z][\w.-]{0,39}", user_agent)
    return program[0] if program and program[0] != "Mozilla" else "Unknown program"


def signed_in_recently(credential: Credential | None) -> bool:
    """Whether the session that asks began in the last ten minutes."""
    began = timezone.now() - RECENT
    return credential is not None and Session.objects.filter(public_id=credential.id, created_at__gt=began).exists()


@transaction.atomic
def sign_in_end(*, user: User, sign_in_id: uuid.UUID) -> None:
    """Ends one session or API sign-in of a user.

    Raises:
        NotFound: there is none with this id; another user's looks the same, and so does one that has ended.
    """
    ended, _ = Session.objects.filter(user=user, public_id=sign_in_id, expire_date__gt=timezone.now()).delete()
    if ended:
        audit.record(actor=user, action="session.end", target=user, changes={"session": [str(sign_in_id), ""]})
        return
    family = TokenFamily.objects.filter(user=user, pk=sign_in_id, revoked_at=None).first()
    if family is None:
        raise NotFound("There is no such session.")
    family_revoke(family=family, reason="ended by its user", actor=user)


@transaction.atomic
def sign_out_everywhere(
    *, user: User, actor: User | None, reason: str, keep: uuid.UUID | None = None, tokens_too: bool = False
) -> None:
    """Ends every session and token family of a user.

    Args:
        keep: the public id of a session, or the id of a family, that goes on: the one that asks.
        tokens_too: whether the personal access tokens end as well.
    """
    kept = [keep] if keep else []
    Session.objects.filter(user=user).exclude(public_id__in=kept).delete()
    live = TokenFamily.objects.filter(user=user, revoked_at=None).exclude(pk__in=kept)
    live.update(revoked_at=timezone.now(), revoked_reason=reason[:40])
    devices_refuse(user)
    if tokens_too:
        PersonalAccessToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    audit.record(actor=actor, action="account.sign_out_everywhere", target=user, changes={"reason": ["", reason]})


def sessions_forget() -> None:
    """Deletes sessions that have expired."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
