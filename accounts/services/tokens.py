"""Personal access tokens: what programs hold instead of a password. Told once, kept as a hash, revoked at any time."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from zlib import crc32

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.credentials import DEFAULT_SCOPES, SCOPES
from accounts.models import Membership, PersonalAccessToken, User
from platform_site.lib import origin
from platform_site.lib.errors import Conflict, InvalidRequest, NotAuthenticated, NotFound

PREFIX = "stw_"
SECRET_CHARACTERS, CHECK_CHARACTERS = 40, 6
BASE62 = string.digits + string.ascii_letters
HINT_CHARACTERS = 12
MAX_LIVE_TOKENS = 100
MAX_NAME = 80
LONGEST_LIFE = timedelta(days=3653)
USED_EVERY = timedelta(minutes=1)
REFUSED = "This token is not valid any more."


def tokens_of(user: User) -> QuerySet[PersonalAccessToken]:
    """What the user sees of their tokens: those that were not revoked, expired ones included."""
    return PersonalAccessToken.objects.filter(user=user, revoked_at=None).select_related("organisation")


def token_find(*, user: User, token_id: uuid.UUID) -> PersonalAccessToken:
    """A token of the user.

    Raises:
        NotFound: it does not exist, was revoked, or is somebody else's: all look alike.
    """
    token = tokens_of(user).filter(pk=token_id).first()
    if token is None:
        raise NotFound("There is no such token.")
    return token


# --- Making and revoking ------------------------------------------------------------------------------------------
@transaction.atomic
def token_create(
    *,
    user: User,
    name: str,
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    organisation_id: uuid.UUID | None = None,
) -> tuple[PersonalAccessToken, str]:
    """A new token and its text, which is told this once.

    Args:
        scopes: what it is limited to; None for `DEFAULT_SCOPES`.
        expires_at: an aware time; None for never.
        organisation_id: the only organisation that it opens; None for all of the user's.

    Raises:
        InvalidRequest: a value cannot be used; `errors` names it.
        Conflict: the user has `MAX_LIVE_TOKENS`.
    """
    raw = token_text()
    token = PersonalAccessToken(
        user=user,
        name=_checked_name(name),
        scopes=_checked_scopes(DEFAULT_SCOPES if scopes is None else scopes),
        expires_at=_checked_expiry(expires_at),
        organisation_id=_checked_organisation(user, organisation_id),
        digest=digest_of(raw),
        hint=raw[:HINT_CHARACTERS],
    )
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # counted one after another
    if PersonalAccessToken.objects.filter(user=user).live().count() >= MAX_LIVE_TOKENS:
        raise Conflict(f"You have {MAX_LIVE_TOKENS} tokens. Revoke one that is not used any more.")
    token.save(force_insert=True)
    changes = {"scopes": [[], token.scopes], "expires_at": ["", expires_at.isoformat() if expires_at else "never"]}
    audit.record(actor=user, action="token.create", target=token, organisation_id=organisation_id, changes=changes)
    return token, raw


@transaction.atomic
def token_revoke(*, token: PersonalAccessToken, actor: User) -> None:
    """Ends a token at once.

    Raises:
        NotFound: it was revoked before.
    """
    if not PersonalAccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        raise NotFound("There is no such token.")
    audit.record(actor=actor, action="token.revoke", target=token)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise _wrong("name", f"A name of 1 to {MAX_NAME} printable characters.")
    return name


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    if not scopes:
        raise _wrong("scopes", "Choose at least one scope.")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise _wrong("scopes", f"There is no scope {unknown[0][:40]!r}. There are: {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in scopes]


def _checked_expiry(expires_at: datetime | None) -> datetime | None:
    if expires_at is None:
        return None
    if timezone.is_naive(expires_at):
        raise _wrong("expires_at", "Say the time zone too, such as 2030-01-31T12:00:00Z.")
    now = timezone.now()
    if not now < expires_at <= now + LONGEST_LIFE:
        raise _wrong("expires_at", "A time in the future, at most ten years from now.")
    return expires_at


def _checked_organisation(user: User, organisation_id: uuid.UUID | None) -> uuid.UUID | None:
    if organisation_id is None:
        return None
    if not Membership.objects.filter(user=user, organisation_id=organisation_id, organisation__closed_at=None).exists():
        raise _wrong("organization", "You do not belong to this organisation.")
    return organisation_id


def _wrong(field: str, sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, errors={field: [sentence]})


# --- The text of a token, and using it ----------------------------------------------------------------------------
def token_text() -> str:
    """A random token: the prefix, 40 characters of base 62 (238 bits) and a checksum of them."""
    secret = "".join(secrets.choice(BASE62) for _ in range(SECRET_CHARACTERS))
    return PREFIX + secret + _checksum(secret)


def digest_of(raw: str) -> str:
    return sha256(raw.encode()).hexdigest()


def _checksum(secret: str) -> str:
    """Lets scanners of leaked secrets, and this server before it asks the database, tell a token from a likeness."""
    rest, characters = crc32(secret.encode()), ""
    for _ in range(CHECK_CHARACTERS):
        rest, digit = divmod(rest, len(BASE62))
        characters = BASE62[digit] + characters
    return characters


def _is_well_formed(raw: str) -> bool:
    secret, check = raw[len(PREFIX) : -CHECK_CHARACTERS], raw[-CHECK_CHARACTERS:]
    looks_right = raw.startswith(PREFIX) and raw.isascii() and len(secret) == SECRET_CHARACTERS
    return looks_right and check == _checksum(secret)


def token_authenticate(raw: str) -> PersonalAccessToken:
    """The token with this text, its user beside it. Notes the use, at most once a minute.

    Raises:
        NotAuthenticated: it is malformed, unknown, expired or revoked, or its user may not sign in: all look alike.
    """
    if not _is_well_formed(raw):
        raise NotAuthenticated(REFUSED)
    token = PersonalAccessToken.objects.select_related("user").filter(digest=digest_of(raw)).first()
    if token is None or not token.is_live or not token.user.is_active:
        raise NotAuthenticated(REFUSED)
    _note_use(token)
    return token


def _note_use(token: PersonalAccessToken) -> None:
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < USED_EVERY:
        return
    long_unused = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
    address = origin.current.get().address[:45]
    PersonalAccessToken.objects.filter(long_unused, pk=token.pk).update(last_used_at=now, last_used_address=address)
