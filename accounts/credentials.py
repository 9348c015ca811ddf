"""With what somebody proved who they are, and what that allows."""

from __future__ import annotations

import uuid
from contextvars import ContextVar
from dataclasses import dataclass

SESSION, JWT, TOKEN = "session", "jwt", "token"

READ, WRITE, MODELS, MANAGE = "read", "write", "models", "manage"
SCOPES = {
    READ: "See everything that you can see",
    WRITE: "Make and change what your role allows: applications, runs, conversations, appliances",
    MODELS: "Call models through the gateway",
    MANAGE: "Manage organisations, members and invitations, and read the audit trail",
}
"""What a personal access token can be limited to. No token manages sign-in, second factors or other tokens."""
DEFAULT_SCOPES = (READ, WRITE, MODELS)


@dataclass(frozen=True)
class Credential:
    """What a request or socket was opened with.

    Args:
        kind: `session` (a browser's), `jwt` (an access token of a token family), `token` (a personal access token).
        id: of the session (its public id), the token family or the personal access token.
        user_id: whose it is.
        label: what the audit trail calls it.
        scopes: what it is limited to, None for everything that its user may do.
        second_factor: whether a second factor was shown when it was made.
        organisation_id: the only organisation that it opens, None for all of the user's.
    """

    kind: str
    id: uuid.UUID
    user_id: uuid.UUID
    label: str
    scopes: frozenset[str] | None = None
    second_factor: bool = False
    organisation_id: uuid.UUID | None = None

    @property
    def is_interactive(self) -> bool:
        """Whether a person signed in with it, as opposed to a program that was given a token."""
        return self.kind != TOKEN

    def allows(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes


current: ContextVar[Credential | None] = ContextVar("credential", default=None)
"""The credential of the request that is being answered; reset by the tenancy middleware."""
