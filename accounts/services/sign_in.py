"""What every completed sign-in leaves behind, whichever way it came and whether a browser or a program holds it."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User


@transaction.atomic
def sign_in_note(*, user: User, method: str, second_factor: bool, client: str = "") -> None:
    """Notes a sign-in once nothing is missing from it. Links for a new password end with it."""
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])
    changes: dict[str, list[object]] = {"method": ["", method], "second_factor": [False, second_factor]}
    if client:
        changes["client"] = ["", client]
    audit.record(actor=user, action="account.sign_in", target=user, changes=changes)


def sign_out_note(*, user: User) -> None:
    """Notes that somebody ends the session that they hold."""
    audit.record(actor=user, action="account.sign_out", target=user)
