"""Whether the people who watch streams and sockets may still see them, asked anew while they watch.

A request is checked when it comes; a stream stays open for hours. So one watcher per event loop asks the database every
other second about all viewers together, in a handful of queries whatever their number, and tells those who may not
look any more. Disabled and deleted people, ended sessions, revoked tokens and families, lost memberships, closed
organisations and lost administrator rights end a stream that way, in whichever process it was opened.

While the database cannot be asked, streams stay as they are: an outage says nothing about anybody.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import close_old_connections
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from accounts.credentials import JWT, SESSION, TOKEN, Credential
from accounts.models import Membership, Organisation, PersonalAccessToken, PlatformRole, Session, TokenFamily, User

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
BATCH = 500
"""Claims asked about at once: bounds the length of a query."""


@dataclass(frozen=True)
class Claim:
    """On what grounds somebody watches: who they are, by which credential, and where they work.

    Args:
        kind: of the credential.
        credential_id: the session's public id, the token family or the personal access token.
        organisation_id: whose the thing is that they watch.
    """

    kind: str
    credential_id: uuid.UUID
    user_id: uuid.UUID
    organisation_id: uuid.UUID


class Viewing:
    """One viewer of one stream. `is_lost` turns true once, when they may not see it any more."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_lost = False
        self._when_lost: Callable[[], None] | None = None

    @contextmanager
    def watched(self, when_lost: Callable[[], None] | None = None) -> Iterator[None]:
        """Inside, the claim is checked every other second; `when_lost` is called in the event loop when it fails."""
        self._when_lost = when_lost
        watcher = _watcher()
        watcher.add(self)
        try:
            yield
        finally:
            watcher.remove(self)

    def lose(self) -> None:
        self.is_lost = True
        if self._when_lost is not None:
            self._when_lost()


def viewing_of(request: HttpRequest | Request) -> Viewing:
    """The viewing that a request opens, of something in the organisation that it works in."""
    django_request: Any = request._request if isinstance(request, Request) else request
    return _viewing(django_request.credential, django_request.organisation.pk)


def viewing_of_socket(scope: dict[str, Any]) -> Viewing:
    """The viewing that a socket opens, whose `scope` passed `accounts.sockets.socket_scope`."""
    return _viewing(scope["credential"], scope["organisation_id"])


def _viewing(credential: Credential, organisation_id: uuid.UUID) -> Viewing:
    return Viewing(Claim(credential.kind, credential.id, credential.user_id, organisation_id))


# --- What the database says ---------------------------------------------------------------------------------------
def claims_lost(claims: Sequence[Claim]) -> set[Claim]:
    """Those of `claims` that do not hold any more."""
    lost: set[Claim] = set()
    for start in range(0, len(claims), BATCH):
        lost |= _claims_lost(claims[start : start + BATCH])
    return lost


def _claims_lost(claims: Collection[Claim]) -> set[Claim]:
    roles = _roles_of_active(claims)
    credentials = _live_credentials(claims)
    members, organisations = _memberships(claims), _open_organisations(claims)

    def holds(claim: Claim) -> bool:
        role = roles.get(claim.user_id)
        belongs = role == PlatformRole.ADMINISTRATOR or (claim.user_id, claim.organisation_id) in members
        proved = (claim.kind, claim.credential_id, claim.user_id) in credentials
        return role is not None and belongs and proved and claim.organisation_id in organisations

    return {claim for claim in claims if not holds(claim)}


def _roles_of_active(claims: Collection[Claim]) -> dict[uuid.UUID, str]:
    users = User.objects.filter(pk__in={claim.user_id for claim in claims}, is_active=True)
    return dict(users.values_list("pk", "role"))


def _live_credentials(claims: Collection[Claim]) -> set[tuple[str, uuid.UUID, uuid.UUID]]:
    """(kind, id, user) of the credentials that are neither ended nor revoked nor expired."""
    now = timezone.now()
    sources = {
        SESSION: Session.objects.filter(public_id__in=_ids(claims, SESSION), expire_date__gt=now).values_list(
            "public_id", "user_id"
        ),
        # The access token may have expired: its family says whether its holder could have another one now.
        JWT: TokenFamily.objects.filter(pk__in=_ids(claims, JWT), revoked_at=None, expires_at__gt=now).values_list(
            "pk", "user_id"
        ),
        TOKEN: PersonalAccessToken.objects.live(now).filter(pk__in=_ids(claims, TOKEN)).values_list("pk", "user_id"),
    }
    # Django asks nothing for an empty list of ids.
    return {(kind, pk, user_id) for kind, rows in sources.items() for pk, user_id in rows}


def _ids(claims: Collection[Claim], kind: str) -> set[uuid.UUID]:
    return {claim.credential_id for claim in claims if claim.kind == kind}


def _memberships(claims: Collection[Claim]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    users, organisations = {claim.user_id for claim in claims}, {claim.organisation_id for claim in claims}
    rows = Membership.objects.filter(user_id__in=users, organisation_id__in=organisations)
    return set(rows.values_list("user_id", "organisation_id"))


def _open_organisations(claims: Collection[Claim]) -> set[uuid.UUID]:
    wanted = {claim.organisation_id for claim in claims}
    return set(Organisation.objects.filter(pk__in=wanted, closed_at=None).values_list("pk", flat=True))


def _ask(claims: Sequence[Claim]) -> set[Claim]:
    try:
        return claims_lost(claims)
    finally:
        close_old_connections()  # an idle thread keeps none of the pool's connections


# --- The watcher --------------------------------------------------------------------------------------------------
class Watcher:
    """The viewings of one event loop, by claim. Its task runs while there is one."""

    def __init__(self) -> None:
        self._viewings: dict[Claim, set[Viewing]] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_blind = False

    def add(self, viewing: Viewing) -> None:
        self._viewings.setdefault(viewing.claim, set()).add(viewing)
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="standing")

    def remove(self, viewing: Viewing) -> None:
        same = self._viewings.get(viewing.claim, set())
        same.discard(viewing)
        if not same:
            self._viewings.pop(viewing.claim, None)
        if not self._viewings and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self._check()
                self._is_blind = False
            except (
                Exception
            ) as exc:  # the database, or whatever stands before it: viewers stay, and so does the watcher
                if not self._is_blind:
                    logger.warning("Nobody can say who may still watch; streams stay open: %s", exc, exc_info=exc)
                self._is_blind = True

    async def _check(self) -> None:
        asked = list(self._viewings)
        for claim in await asyncio.get_running_loop().run_in_executor(None, _ask, asked):
            # Those who wait leave at once. A viewer that is being sent something leaves after it.
            for viewing in self._viewings.pop(claim, ()):
                viewing.lose()


_watchers: dict[asyncio.AbstractEventLoop, Watcher] = {}


def _watcher() -> Watcher:
    """The watcher of the running event loop."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _watchers if known.is_closed()]:
        del _watchers[closed]
    return _watchers.setdefault(loop, Watcher())
