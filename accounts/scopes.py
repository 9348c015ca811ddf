"""What a credential may be used for: the scopes of personal access tokens, and what no token does at all.

Named in the settings of the REST framework, which reads it while its own views are being loaded: it imports little.
"""

from __future__ import annotations

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.credentials import READ, WRITE, Credential
from platform_site.lib.errors import PermissionRefused

INTERACTIVE_ONLY = "A personal access token cannot be used for this. Sign in instead."


def scope_needed(view: object, method: str) -> str:
    """The scope that `method` of a view takes: the one it names in `scope` (one for all, or by method), else `read`
    for what only looks and `write` for the rest."""
    named = getattr(view, "scope", None)
    if isinstance(named, dict):
        named = named.get(method)
    return named or (READ if method in SAFE_METHODS else WRITE)


def require_scope(credential: Credential | None, scope: str) -> None:
    """Refuses a credential that is limited to other scopes.

    Raises:
        PermissionRefused: it names the scope that is missing.
    """
    if credential is not None and not credential.allows(scope):
        raise PermissionRefused(f"This token does not have the scope `{scope}`.")


class WithinScopes(BasePermission):
    """Keeps a request within the scopes of its credential.

    A view says what it takes: `scope = "manage"`, or by method `scope = {"PATCH": "manage"}`; `interactive_only = True`
    where only people who signed in themselves may act, as for passwords, sessions, second factors and tokens.
    """

    def has_permission(self, request: Request, view: object) -> bool:  # type: ignore[override]
        credential: Credential | None = getattr(request._request, "credential", None)
        if credential is None:
            return True
        if getattr(view, "interactive_only", False) and not credential.is_interactive:
            raise PermissionRefused(INTERACTIVE_ONLY)
        require_scope(credential, scope_needed(view, request.method or ""))
        return True
