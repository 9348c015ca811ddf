"""Device authorisation (RFC 8628): a program without a browser signs in through one that has.

The program shows a short code, its user enters it on `/device` and approves, and the program, which asks every few
seconds, gets tokens. Nobody needs to type a password into a program, and the second factor stays in the browser.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Least
from django.utils import timezone

from accounts import audit
from accounts.models import DeviceAuthorisation, DeviceStatus, User
from accounts.services.families import tokens_issue
from platform_site.lib import origin
from platform_site.lib.errors import InvalidRequest, NotFound, StewardError

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Consonants that are not mixed up and make no words (RFC 8628, section 6.1); eight of them are 34 bits."""
LIFETIME = timedelta(minutes=10)
INTERVAL_SECONDS = 5
MAX_INTERVAL_SECONDS = 60
EARLY = timedelta(seconds=1)
"""How much too early a call may come: networks do not keep time."""
KEPT = timedelta(days=30)
UNKNOWN = "This code is not known or has expired. Look at your device for the current one."


class GrantRefused(InvalidRequest):
    """Why no tokens are given, as a `code` of RFC 6749, section 5.2, or RFC 8628, section 3.5."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Begun:
    """What the program keeps (`device_code`) and shows (`user_code`). Times in seconds."""

    device_code: str
    user_code: str
    expires_in: int
    interval: int


def device_begin(*, client: str) -> Begun:
    """Opens an authorisation for a program that calls itself `client`."""
    device_code = secrets.token_urlsafe(32)
    draft = DeviceAuthorisation(
        digest=_digest(device_code),
        client=client[:100],
        address=origin.current.get().address[:45],
        interval_seconds=INTERVAL_SECONDS,
        expires_at=timezone.now() + LIFETIME,
    )
    _save_with_code(draft)
    return Begun(device_code, draft.user_code, int(LIFETIME.total_seconds()), INTERVAL_SECONDS)


def device_find(raw: str) -> DeviceAuthorisation:
    """The waiting authorisation with this user code, however it was typed.

    Raises:
        NotFound: there is none, it has expired, or it was answered; all look alike.
    """
    letters = "".join(letter for letter in raw.upper() if letter in LETTERS)
    waiting = DeviceAuthorisation.objects.filter(status=DeviceStatus.PENDING, expires_at__gt=timezone.now())
    found = waiting.filter(user_code=_written(letters)).first() if len(letters) == 8 else None
    if found is None:
        raise NotFound(UNKNOWN)
    return found


def device_approve(*, authorisation: DeviceAuthorisation, user: User, second_factor: bool) -> None:
    """Lets the program sign in as `user`.

    Args:
        second_factor: whether the session that approves showed one; the program's tokens count the same.

    Raises:
        NotFound: the authorisation was answered meanwhile or has expired.
    """
    answer = {"status": DeviceStatus.APPROVED, "user": user, "second_factor": second_factor}
    _answer(authorisation, user, "device.approve", answer)


def device_deny(*, authorisation: DeviceAuthorisation, user: User) -> None:
    """Tells the program that it may not.

    Raises:
        NotFound: the authorisation was answered meanwhile or has expired.
    """
    _answer(authorisation, user, "device.deny", {"status": DeviceStatus.DENIED, "user": user})


def device_redeem(*, device_code: str, client: str) -> dict[str, Any]:
    """The tokens of an approved authorisation, once: `{access, refresh, expires_in}`.

    Args:
        client: what the program called itself at the beginning.

    Raises:
        GrantRefused: with `authorization_pending`, `slow_down`, `access_denied`, `expired_token` or `invalid_grant`.
    """
    found = DeviceAuthorisation.objects.select_related("user").filter(digest=_digest(device_code)).first()
    if found is None or found.client != client or found.status == DeviceStatus.USED:
        raise GrantRefused("invalid_grant", "This device code is not valid.")
    if found.status == DeviceStatus.DENIED:
        raise GrantRefused("access_denied", "The request was denied.")
    if found.expires_at <= timezone.now():
        raise GrantRefused("expired_token", "This device code has expired. Begin again.")
    if found.status == DeviceStatus.PENDING:
        raise _not_yet(found)
    return _use(found)


def devices_refuse(user: User) -> None:
    """Takes back what `user` approved and no program has used yet: part of signing out everywhere."""
    approved = DeviceAuthorisation.objects.filter(user=user, status=DeviceStatus.APPROVED)
    approved.update(status=DeviceStatus.DENIED)


def devices_forget() -> None:
    """Deletes what expired: a day ago when nobody answered it, else a month ago."""
    now = timezone.now()
    unanswered = Q(status=DeviceStatus.PENDING, expires_at__lt=now - timedelta(days=1))
    DeviceAuthorisation.objects.filter(unanswered | Q(expires_at__lt=now - KEPT)).delete()


# --- Codes --------------------------------------------------------------------------------------------------------
def _digest(device_code: str) -> str:
    return hashlib.sha256(device_code.encode("utf-8", "replace")).hexdigest()


def _written(letters: str) -> str:
    return f"{letters[:4]}-{letters[4:]}"


def _save_with_code(draft: DeviceAuthorisation) -> None:
    for _ in range(5):
        draft.user_code = _written("".join(secrets.choice(LETTERS) for _ in range(8)))
        try:
            with transaction.atomic():
                draft.save(force_insert=True)
            return
        except IntegrityError:
            continue  # somebody has this code
    raise StewardError("No code was found for this device. Try again.", retryable=True)


# --- Answers ------------------------------------------------------------------------------------------------------
@transaction.atomic
def _answer(authorisation: DeviceAuthorisation, user: User, action: str, answer: dict[str, Any]) -> None:
    waiting = DeviceAuthorisation.objects.filter(
        pk=authorisation.pk, status=DeviceStatus.PENDING, expires_at__gt=timezone.now()
    )
    if not waiting.update(**answer):
        raise NotFound(UNKNOWN)
    changes = {"client": ["", authorisation.client], "device_address": ["", authorisation.address]}
    audit.record(actor=user, action=action, target=authorisation, changes=changes)


def _not_yet(found: DeviceAuthorisation) -> GrantRefused:
    now = timezone.now()
    row = DeviceAuthorisation.objects.filter(pk=found.pk)
    pause = timedelta(seconds=found.interval_seconds) - EARLY
    if found.polled_at is not None and now - found.polled_at < pause:
        row.update(polled_at=now, interval_seconds=Least(F("interval_seconds") + 5, MAX_INTERVAL_SECONDS))
        return GrantRefused("slow_down", "Ask less often: wait five seconds longer from now on.")
    row.update(polled_at=now)
    return GrantRefused("authorization_pending", "The request waits for its approval.")


@transaction.atomic
def _use(found: DeviceAuthorisation) -> dict[str, Any]:
    approved = DeviceAuthorisation.objects.filter(pk=found.pk, status=DeviceStatus.APPROVED)
    if not approved.update(status=DeviceStatus.USED):
        raise GrantRefused("invalid_grant", "This device code is not valid.")
    if found.user is None or not found.user.is_active:
        raise GrantRefused("access_denied", "The account that approved this is disabled.")
    return tokens_issue(user=found.user, client=found.client, method="device", second_factor=found.second_factor)
