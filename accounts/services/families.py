"""Token families: access and refresh tokens (JWT, RFC 7519) that follow from one sign-in.

A refresh token is used once: its successor takes its place in one conditional update, so of many concurrent calls
exactly one wins. The others are refused. What a refused call means is decided by when it **arrived**, which the edge
noted before the call waited for anything:

- It arrived before the token was replaced: it lost a race, as two tabs or a retrying client do. The family lives on,
  and the winner's pair works.
- It arrived after the token was replaced: somebody uses a copy, and nobody can tell who of the two is the thief. The
  family is revoked, and with it every access token of the family from the next request on (RFC 9700, section 4.14.2).

A call is under way for a moment before it arrives. So the one that will win waits until `GATHER` after its own arrival
before it replaces the token: what was sent together with it arrives meanwhile. The rule loses nothing by it, as nobody
can send a token again on the strength of an answer that was not given yet.

`REFRESH_REUSE_GRACE_SECONDS` moves the border: calls that arrive up to so many seconds after the replacement count as
the race's losers. It is 0 unless clients are known to send the same token from several places, or the clocks of several
servers differ. Even then no token works twice.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import TokenFamily, User
from accounts.services.sign_in import sign_in_note
from accounts.signing import AccessToken, RefreshToken, TokenError
from platform_site.lib import origin
from platform_site.lib.errors import NotAuthenticated

FAMILY_CLAIM = "fam"
REFUSED = "This refresh token is not valid. Sign in again."
ACCESS_REFUSED = "This token is not valid any more. Sign in again."
KEPT = timedelta(days=30)
GATHER = timedelta(milliseconds=500)
TURNS = 5
"""Of the event loop, from a connection that waits to be accepted to the note of its call's arrival."""


def tokens_issue(
    *, user: User, client: str = "", method: str = "password", second_factor: bool = False
) -> dict[str, Any]:
    """Begins a family: `{access, refresh, expires_in}` with `expires_in` in seconds.

    Args:
        client: what the program calls itself, shown where somebody looks at their sign-ins.
        method: how they signed in: `password`, `oidc` or `device`.
        second_factor: whether a second factor was shown.
    """
    family = TokenFamily(user=user, client=client[:100], method=method, second_factor=second_factor)
    refresh = _refresh_token(family)
    came_from = origin.current.get()
    family.current_jti = refresh["jti"]
    family.address, family.user_agent = came_from.address[:45], came_from.user_agent
    family.expires_at = timezone.now() + settings.REFRESH_TOKEN_LIFETIME
    with transaction.atomic():
        family.save(force_insert=True)
        sign_in_note(user=user, method=method, second_factor=second_factor, client=family.client)
    return _pair(refresh)


def tokens_refresh(raw: str, *, arrived_at: datetime) -> tuple[User, dict[str, Any]]:
    """Replaces a refresh token: its user and a new pair.

    Args:
        arrived_at: when the call reached this server.

    Raises:
        NotAuthenticated: it is malformed, expired, revoked, used before, or its user may no longer sign in.
    """
    token, family_id = _read(RefreshToken, raw, REFUSED)
    _let_others_arrive(arrived_at)
    family = _family_of(token, family_id)
    if not family.user.is_active:
        raise NotAuthenticated(REFUSED)
    fresh = _refresh_token(family)
    now = timezone.now()
    # Conditions on this one table only: with a join PostgreSQL would check them on the row as it was before the update
    # of a concurrent call, and both would win. Disabling a user revokes their families, so a disabled user never wins.
    current = TokenFamily.objects.filter(pk=family.pk, current_jti=token["jti"], revoked_at=None, expires_at__gt=now)
    if current.update(current_jti=fresh["jti"], rotated_at=now, expires_at=now + settings.REFRESH_TOKEN_LIFETIME):
        return family.user, _pair(fresh)
    _revoke_if_copied(token, arrived_at)
    raise NotAuthenticated(REFUSED)


def tokens_revoke(raw: str) -> None:
    """Ends the family of a refresh token: signing out.

    Raises:
        NotAuthenticated: the token is not valid any more.
    """
    # A replaced token signs out too: whoever holds a copy can only do what its owner would want now.
    family = _family_of(*_read(RefreshToken, raw, REFUSED))
    if not family.is_live:
        raise NotAuthenticated(REFUSED)
    family_revoke(family=family, reason="signed out", actor=family.user)


@transaction.atomic
def family_revoke(*, family: TokenFamily, reason: str, actor: User | None) -> None:
    """Ends every token of a family at once."""
    revoked = TokenFamily.objects.filter(pk=family.pk, revoked_at=None)
    if revoked.update(revoked_at=timezone.now(), revoked_reason=reason[:40]):
        changes = {"client": ["", family.client], "reason": ["", reason]}
        audit.record(actor=actor, action="tokens.revoke", target=family.user, changes=changes)


def access_find(raw: str) -> TokenFamily:
    """The living family of an access token, with its user; one query.

    Raises:
        NotAuthenticated: it is malformed, expired or revoked, or its user may no longer sign in.
    """
    token, family_id = _read(AccessToken, raw, ACCESS_REFUSED)
    family = TokenFamily.objects.select_related("user").filter(pk=family_id, revoked_at=None).first()
    if family is None or not family.user.is_active or str(family.user_id) != token.get("user_id"):
        raise NotAuthenticated(ACCESS_REFUSED)
    return family


def families_forget() -> None:
    """Deletes families that expired more than a month ago."""
    TokenFamily.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()


# --- Reading and making tokens ------------------------------------------------------------------------------------
def _read(kind: type[AccessToken] | type[RefreshToken], raw: str, refused: str) -> tuple[Any, uuid.UUID]:
    try:
        token = kind(raw)  # type: ignore[arg-type] # the library takes the encoded text
        return token, uuid.UUID(str(token[FAMILY_CLAIM]))
    except (TokenError, KeyError, ValueError) as exc:
        raise NotAuthenticated(refused) from exc


def _family_of(token: Any, family_id: uuid.UUID) -> TokenFamily:
    family = TokenFamily.objects.select_related("user").filter(pk=family_id).first()
    if family is None or str(family.user_id) != token.get("user_id"):
        raise NotAuthenticated(REFUSED)
    return family


def _let_others_arrive(arrived_at: datetime) -> None:
    """Waits before the first query, so that no connection of the pool waits with it.

    It waits in the event loop that receives the calls: what reached this host by the end of the wait is noted before
    it goes on here, also on a host that is too busy to keep time.
    """
    rest = arrived_at + GATHER - timezone.now()
    async_to_sync(_turns_of_the_loop)(max(timedelta(), min(rest, GATHER)).total_seconds())


async def _turns_of_the_loop(seconds: float) -> None:
    await asyncio.sleep(seconds)
    for _ in range(TURNS):
        await asyncio.sleep(0)


@transaction.atomic
def _revoke_if_copied(token: Any, arrived_at: datetime) -> None:
    family = TokenFamily.objects.select_for_update().filter(pk=token[FAMILY_CLAIM]).first()
    if family is None or not family.is_live or family.current_jti == token["jti"]:
        return
    if arrived_at > family.rotated_at + timedelta(seconds=settings.REFRESH_REUSE_GRACE_SECONDS):
        family_revoke(family=family, reason="a used refresh token came back", actor=None)


def _refresh_token(family: TokenFamily) -> Any:
    token = RefreshToken.for_user(family.user)
    token[FAMILY_CLAIM] = str(family.pk)
    return token


def _pair(refresh: Any) -> dict[str, Any]:
    access = refresh.access_token
    return {
        "access": str(access),
        "refresh": str(refresh),
        "expires_in": int(access.lifetime.total_seconds()),
    }
