"""Where somebody is signed in, and how that ends: browsers' sessions and token families together."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import PersonalAccessToken, Session, TokenFamily, User


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
    if tokens_too:
        PersonalAccessToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    audit.record(actor=actor, action="account.sign_out_everywhere", target=user, changes={"reason": ["", reason]})
