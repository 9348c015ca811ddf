"""Whether people are still known at the identity provider: asked every few minutes, for as long as they can get in.

With a refresh token the provider is asked at its token endpoint. Without one it cannot be asked, so a sign-in through
it lasts `OIDC_SESSION_MINUTES`. While the provider is away, sign-ins go on for `OIDC_OUTAGE_GRACE_MINUTES`.

Loading this module is slow; see `accounts.oidc`.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Length
from django.utils import timezone

from accounts.models import OidcIdentity, PersonalAccessToken, Session, TokenFamily
from accounts.oidc.backend import person_of_refresh, refresh_token_of
from accounts.oidc.claims import Person
from accounts.oidc.provider import GrantRefused, Provider, current_provider
from accounts.oidc.transport import Deadline
from accounts.services.identities import THROUGH_PROVIDER, identity_end, identity_note, sign_ins_end
from platform_site.lib.errors import StewardError

logger = logging.getLogger(__name__)

ASK_AFTER = timedelta(minutes=3)
TURN_SECONDS = 20.0
CALL_SECONDS = 8.0
AT_ONCE = 8
BATCH = 500


@dataclass(frozen=True)
class Said:
    """What the provider said about one identity: a person, or why there is none.

    Args:
        refresh_token: the next one, empty to keep the old; known as well when what came after it failed.
    """

    person: Person | None = None
    error: StewardError | None = None
    refresh_token: str = ""


def identities_check() -> None:
    """Asks the provider about everybody who was not confirmed for some minutes, and acts on what it says."""
    _end_unasked()
    due = list(_due()[:BATCH])
    if due:
        _check(due, Deadline(TURN_SECONDS))


def _due() -> QuerySet[OidcIdentity]:
    """Those who can get in and whose turn it is; in random order, so that one that always fails delays no other."""
    now, mine = timezone.now(), {"user": OuterRef("user")}
    gets_in = (
        Exists(Session.objects.filter(**mine, expire_date__gt=now))
        | Exists(TokenFamily.objects.filter(**mine, revoked_at=None, expires_at__gt=now))
        | Exists(PersonalAccessToken.objects.filter(**mine, revoked_at=None))
    )
    waiting = OidcIdentity.objects.filter(Q(checked_at=None) | Q(checked_at__lt=now - ASK_AFTER))
    return _asked_with_token(waiting, True).filter(gets_in, user__is_active=True).order_by("?")


def _asked_with_token(identities: QuerySet[OidcIdentity], is_so: bool) -> QuerySet[OidcIdentity]:
    """An encrypted column cannot be compared; its length tells whether there is anything in it."""
    measured = identities.annotate(token_length=Length("refresh_token"))
    return measured.filter(token_length__gt=0) if is_so else measured.filter(token_length=0)


def _check(due: list[OidcIdentity], deadline: Deadline) -> None:
    """Asks for several at once, and writes in this thread: only the waiting is shared."""
    provider = current_provider()
    pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="identities")
    asked = {pool.submit(_ask, provider, identity, deadline): identity for identity in due}
    try:
        for done in as_completed(asked):
            if (said := done.result()) is not None:
                _act(asked[done], said)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ask(provider: Provider, identity: OidcIdentity, deadline: Deadline) -> Said | None:
    """Without the database, in a thread of its own; None when the turn is over before this one was asked."""
    if deadline.remaining < 1:
        return None
    deadline, refresh_token = deadline.within(CALL_SECONDS), ""
    try:
        grant = {"grant_type": "refresh_token", "refresh_token": identity.refresh_token}
        tokens = provider.tokens(grant, deadline)
        refresh_token = refresh_token_of(tokens)
        person = person_of_refresh(tokens, provider, deadline)
    except StewardError as exc:
        return Said(error=exc, refresh_token=refresh_token)
    if person.issuer != identity.issuer or person.subject not in ("", identity.subject):
        return Said(error=GrantRefused("The identity provider speaks of somebody else."))
    return Said(person, refresh_token=refresh_token)


@transaction.atomic
def _act(asked: OidcIdentity, said: Said) -> None:
    identity = OidcIdentity.objects.select_for_update().select_related("user").filter(pk=asked.pk).first()
    # Somebody who signed in meanwhile has a newer refresh token; what was said of the old one means nothing.
    if identity is None or identity.refresh_token != asked.refresh_token:
        return
    if said.person is not None:
        identity_note(identity=identity, person=said.person, refresh_token=said.refresh_token)
    elif isinstance(said.error, GrantRefused):
        identity_end(identity=identity, reason="unknown at the identity provider")
    else:
        _note_failure(identity, said)


def _note_failure(identity: OidcIdentity, said: Said) -> None:
    now = timezone.now()
    if said.refresh_token:  # the old one was used up
        identity.refresh_token = said.refresh_token
        identity.save(update_fields=["refresh_token"])
    if identity.failing_since is None:
        logger.warning("The identity provider cannot be asked about %s: %s", identity.pk, said.error)
        OidcIdentity.objects.filter(pk=identity.pk).update(failing_since=now)
    elif now - identity.failing_since > timedelta(minutes=settings.OIDC_OUTAGE_GRACE_MINUTES):
        sign_ins_end(user=identity.user, reason="identity provider away")


def _end_unasked() -> None:
    """Ends sign-ins of people whom the provider cannot be asked about, some time after it vouched for them."""
    began = timezone.now() - timedelta(minutes=settings.OIDC_SESSION_MINUTES)
    mine = {"user": OuterRef("user")}
    signed_in = Exists(Session.objects.filter(THROUGH_PROVIDER, **mine)) | Exists(
        TokenFamily.objects.filter(THROUGH_PROVIDER, **mine, revoked_at=None)
    )
    unasked = _asked_with_token(OidcIdentity.objects.filter(signed_in, checked_at__lt=began), False)
    for identity in unasked.select_related("user")[:BATCH]:
        others = OidcIdentity.objects.filter(user=identity.user).exclude(pk=identity.pk)
        vouched = others.filter(checked_at__gte=began).exists() or _asked_with_token(others, True).exists()
        if not vouched:
            sign_ins_end(user=identity.user, reason="identity provider cannot be asked")
