"""To the provider and back: the library's views with states that are used once. Loading it is slow; see the package."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.contrib.auth import SESSION_KEY, get_user
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from accounts.models import User
from accounts.oidc.backend import CALLBACK, ProviderBackend
from accounts.oidc.provider import Provider, current_provider
from accounts.oidc.transport import Deadline
from platform_site.lib.errors import InvalidRequest, PermissionRefused, StewardError, Unavailable, UpstreamError

STATES_KEY = "oidc_states"  # the library's name
STATE_SECONDS = 600
TOTAL_SECONDS = 8.0
"""For all calls of one step together: with the work around them a step stays under ten seconds."""
FOREIGN = "This sign-in was not begun in this browser, took too long, or was used before. Please begin again."


@dataclass(frozen=True)
class Finished:
    """Somebody came back from the provider.

    Args:
        is_connection: whether `user`, who is signed in, connected an identity; else they are to be signed in.
        destination: the path to go on to.
    """

    user: User
    second_factor: bool
    is_connection: bool
    destination: str


class AuthenticationRequest(OIDCAuthenticationRequestView):
    """Sends a browser to the provider, with state, nonce and PKCE (S256)."""

    provider: Provider
    deadline: Deadline

    def __init__(self, provider: Provider, deadline: Deadline) -> None:
        self.provider, self.deadline = provider, deadline
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        known = {
            "OIDC_OP_AUTHORIZATION_ENDPOINT": self.provider.metadata(self.deadline).authorization_endpoint,
            "OIDC_RP_CLIENT_ID": self.provider.config.client_id,
            "OIDC_RP_SCOPES": self.provider.scopes(self.deadline),
            "OIDC_AUTHENTICATION_CALLBACK_URL": CALLBACK,
            "OIDC_USE_PKCE": True,
        }
        return known[attr] if attr in known else args[0]


def begin(request: HttpRequest, *, destination: str, account: User | None = None) -> HttpResponse:
    """The redirect to the provider.

    Args:
        destination: the path to go on to afterwards; must have been checked.
        account: who connects an identity; None for signing in.

    Raises:
        Unavailable, UpstreamError: the provider cannot be asked where to go.
    """
    _forget_old_states(request)
    answer = AuthenticationRequest(current_provider(), Deadline(TOTAL_SECONDS)).get(request)
    request.session.pop("oidc_login_next", None)  # the library's, one for all states
    query = dict(parse_qsl(urlsplit(answer.url).query))
    about = {"next": destination, "account": str(account.pk) if account else ""}
    request.session[STATES_KEY][query["state"]].update(about)
    request.session.modified = True
    return answer


def _forget_old_states(request: HttpRequest) -> None:
    """The library bounds their number; this bounds their age."""
    states = request.session.get(STATES_KEY)
    if isinstance(states, dict):
        young = {key: one for key, one in states.items() if time.time() - one.get("added_on", 0) < STATE_SECONDS}
        request.session[STATES_KEY] = young


class Callback(OIDCAuthenticationCallbackView):
    """Takes a browser back. The library's own `get` asks every backend and signs in by itself, so it is replaced."""

    def finish(self, request: HttpRequest) -> Finished:
        deadline = Deadline(TOTAL_SECONDS)
        provider = current_provider()
        state = _state_use(request)
        self._check_answer(request, provider, deadline)
        account = _account_of(request, state)
        backend = ProviderBackend(provider, deadline, account)
        user = backend.authenticate(request, nonce=state["nonce"], code_verifier=state["code_verifier"])
        if user is None or backend.person is None:
            raise UpstreamError("The identity provider's answer could not be used.")
        return Finished(user, backend.person.second_factor, account is not None, state["next"])

    def _check_answer(self, request: HttpRequest, provider: Provider, deadline: Deadline) -> None:
        """The answer comes from the provider that was asked (RFC 9207) and is no error."""
        metadata, issuer = provider.metadata(deadline), request.GET.get("iss")
        if issuer != metadata.issuer if issuer is not None else metadata.says_issuer:
            raise InvalidRequest("This answer comes from another identity provider.")
        if error := request.GET.get("error"):
            raise _error_of(error)
        if not request.GET.get("code"):
            raise InvalidRequest("The identity provider sent no code. Please begin again.")


def finish(request: HttpRequest) -> Finished:
    """Uses the answer that a browser brought back.

    Raises:
        InvalidRequest: it is no answer to something that this browser began.
        PermissionRefused: the provider or this installation refuses.
        Unavailable, UpstreamError: the provider did not answer, or cannot be believed.
    """
    return Callback().finish(request)


def _state_use(request: HttpRequest) -> dict[str, Any]:
    """What was noted for the state, which works once: in this session, and in one of two calls at the same time."""
    name = request.GET.get("state", "")
    states = request.session.get(STATES_KEY)
    state = states.pop(name, None) if isinstance(states, dict) else None
    if state is None:
        raise InvalidRequest(FOREIGN)
    request.session.modified = True
    request.session.save()
    digest = hashlib.sha256(name.encode()).hexdigest()
    is_first = cache.add(f"oidc-state:{digest}", True, STATE_SECONDS)
    if not is_first or time.time() - state.get("added_on", 0) > STATE_SECONDS:
        raise InvalidRequest(FOREIGN)
    return dict(state)


def _account_of(request: HttpRequest, state: dict[str, Any]) -> User | None:
    """Who connects an identity: still the one who began, in the same session."""
    if not state["account"]:
        return None
    user = get_user(request)
    if not isinstance(user, User) or request.session.get(SESSION_KEY) != state["account"]:
        raise PermissionRefused("You were signed out meanwhile. Sign in and connect again.")
    return user


def _error_of(code: str) -> StewardError:
    if code in ("server_error", "temporarily_unavailable"):
        return Unavailable("The identity provider could not complete the sign-in.", retryable=True)
    if code in ("access_denied", "login_required", "consent_required", "interaction_required"):
        return PermissionRefused("The sign-in was cancelled, or the identity provider does not let you in here.")
    return UpstreamError("The identity provider did not accept the request.")
