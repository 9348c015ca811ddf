"""Token families: access and refresh tokens (JWT, RFC 7519) that follow from one sign-in.

A refresh token is used once; its successor takes its place in one conditional update, so of many concurrent calls one
wins. A token that comes back after it was replaced was copied, and its whole family is revoked (RFC 9700, section
4.14.2).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import audit
from accounts.models import TokenFamily, User
from platform_site.lib import origin
from platform_site.lib.errors import NotAuthenticated

FAMILY_CLAIM = "fam"
REFUSED = "This refresh token is not valid. Sign in again."


def tokens_issue(
    *, user: User, client: str = "", method: str = "password", second_factor: bool = False
) -> dict[str, Any]:
    """Begins a family: `{access, refresh, expires_in}` with `expires_in` in seconds."""
    family = TokenFamily(user=user, client=client[:100], method=method, second_factor=second_factor)
    refresh = _refresh_token(family)
    came_from = origin.current.get()
    family.current_jti = refresh["jti"]
    family.address, family.user_agent = came_from.address[:45], came_from.user_agent
    family.expires_at = timezone.now() + settings.REFRESH_TOKEN_LIFETIME
    family.save(force_insert=True)
    return _pair(refresh)


def tokens_refresh(raw: str, *, arrived_at: datetime) -> tuple[User, dict[str, Any]]:
    """Replaces a refresh token: its user and a new pair.

    Args:
        arrived_at: when the call reached this server. A call that was under way before the token was replaced lost a
            race; one that came later used a copy.

    Raises:
        NotAuthenticated: it is malformed, expired, revoked, used before, or its user may no longer sign in.
    """
    token, family = _family_of(raw)
    fresh = _refresh_token(family)
    now = timezone.now()
    replaced = (
        TokenFamily.objects.filter(pk=family.pk, current_jti=token["jti"], revoked_at=None, expires_at__gt=now)
        .filter(user__is_active=True)
        .update(
            current_jti=fresh["jti"],
            rotated_at=now,
            expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
        )
    )
    if replaced:
        return family.user, _pair(fresh)
    _revoke_if_copied(token, arrived_at)
    raise NotAuthenticated(REFUSED)


def tokens_revoke(raw: str) -> None:
    """Ends the family of a refresh token: signing out.

    Raises:
        NotAuthenticated: the token is not valid any more.
    """
    token, family = _family_of(raw)
    if not family.is_live or family.current_jti != token["jti"]:
        raise NotAuthenticated(REFUSED)
    family_revoke(family=family, reason="signed out", actor=family.user)


def family_revoke(*, family: TokenFamily, reason: str, actor: User | None) -> None:
    """Ends every token of a family at once."""
    revoked = TokenFamily.objects.filter(pk=family.pk, revoked_at=None)
    if revoked.update(revoked_at=timezone.now(), revoked_reason=reason[:40]):
        changes = {"client": ["", family.client], "reason": ["", reason]}
        audit.record(actor=actor, action="tokens.revoke", target=family.user, changes=changes)


def _family_of(raw: str) -> tuple[Any, TokenFamily]:
    try:
        token = RefreshToken(raw)  # type: ignore[arg-type] # the library takes the encoded text
        family_id = uuid.UUID(str(token[FAMILY_CLAIM]))
    except (TokenError, KeyError, ValueError) as exc:
        raise NotAuthenticated(REFUSED) from exc
    family = TokenFamily.objects.select_related("user").filter(pk=family_id).first()
    if family is None or str(family.user_id) != token.get("user_id"):
        raise NotAuthenticated(REFUSED)
    return token, family


@transaction.atomic
def _revoke_if_copied(token: Any, arrived_at: datetime) -> None:
    family = TokenFamily.objects.select_for_update().get(pk=token[FAMILY_CLAIM])
    if family.is_live and family.current_jti != token["jti"] and arrived_at > family.rotated_at:
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
