"""From a code to a user: the library's backend with its checks replaced. Loading it is slow; see the package."""

from __future__ import annotations

from typing import Any

from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from accounts.models import User
from accounts.oidc.claims import Person, person_of
from accounts.oidc.provider import Provider
from accounts.oidc.tokens import ID_TOKEN_CLAIMS, USERINFO_CLAIMS, check_access_token, check_nonce, verify
from accounts.oidc.transport import Answer, Deadline
from accounts.services.identities import identity_connect, identity_sign_in
from platform_site.lib.errors import UpstreamError

CALLBACK = "oidc_callback"
"""The name of the one route that is registered with the provider as redirect URI."""


class ProviderBackend(OIDCAuthenticationBackend):
    """One answer of the provider, turned into a user.

    As it comes, the library checks neither issuer nor audience, takes whatever algorithm fits, finds accounts by e-mail
    address and waits without end. It keeps the order of steps; each step is ours. It does not stand in
    `AUTHENTICATION_BACKENDS`: the callback alone may use it, passwords never reach it.

    Args:
        account: who connects an identity; None for signing in.
    """

    def __init__(self, provider: Provider, deadline: Deadline, account: User | None = None) -> None:
        self.provider, self.deadline, self.account = provider, deadline, account
        self.tokens: dict[str, Any] = {}
        self.person: Person | None = None
        super().__init__()

    def get_settings(self, attr: str, *args: Any) -> Any:
        metadata = self.provider.metadata(self.deadline)
        known = {
            "OIDC_OP_TOKEN_ENDPOINT": metadata.token_endpoint,
            "OIDC_OP_USER_ENDPOINT": metadata.userinfo_endpoint,
            "OIDC_OP_JWKS_ENDPOINT": metadata.jwks_uri,
            "OIDC_RP_CLIENT_ID": self.provider.config.client_id,
            "OIDC_RP_CLIENT_SECRET": "",  # the provider object adds it where it belongs
            "OIDC_RP_SIGN_ALGO": "RS256",  # not what is checked: see `tokens.ALGORITHMS`
            "OIDC_AUTHENTICATION_CALLBACK_URL": CALLBACK,
        }
        return known[attr] if attr in known else args[0]

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        grant = {name: str(payload[name]) for name in ("grant_type", "code", "redirect_uri", "code_verifier")}
        self.tokens = self.provider.tokens(grant, self.deadline)
        return self.tokens

    def verify_token(self, token: Any, **kwargs: Any) -> dict[str, Any]:
        verified = verify(token, self.provider, self.deadline, required=ID_TOKEN_CLAIMS)
        check_nonce(verified.claims, kwargs.get("nonce"))
        check_access_token(verified, self.tokens["access_token"])
        return verified.claims

    def get_userinfo(self, access_token: str, id_token: Any, payload: dict[str, Any]) -> dict[str, Any]:
        return userinfo_of(self.provider.userinfo(access_token, self.deadline), self.provider, self.deadline)

    def store_tokens(self, access_token: Any, id_token: Any) -> None:
        """No token goes into the session; the refresh token is kept with the identity, encrypted."""

    def get_or_create_user(self, access_token: str, id_token: Any, payload: dict[str, Any]) -> User:
        userinfo = self.get_userinfo(access_token, id_token, payload)
        self.person = person_of(payload, userinfo, groups_claim=self.provider.config.groups_claim)
        refresh_token = refresh_token_of(self.tokens)
        if self.account is not None:
            return identity_connect(user=self.account, person=self.person, refresh_token=refresh_token).user
        return identity_sign_in(person=self.person, refresh_token=refresh_token)

    # The library's doors to accounts by e-mail address, in case a later version opens one.
    def filter_users_by_claims(self, claims: Any) -> Any:
        return User.objects.none()

    def create_user(self, claims: Any) -> Any:
        raise UpstreamError("Accounts are made by (issuer, subject) only.")

    def retrieve_matching_jwk(self, token: Any) -> Any:
        raise UpstreamError("Keys are looked up by the provider object only.")


def userinfo_of(answer: Answer | None, provider: Provider, deadline: Deadline) -> dict[str, Any]:
    """The claims of a userinfo answer, plain or signed; a signed one is verified like an ID token.

    Raises:
        UpstreamError: it cannot be believed.
    """
    if answer is None:
        return {}
    if answer.content_type.startswith("application/jwt"):
        raw = answer.body.decode("ascii", errors="replace").strip()
        return verify(raw, provider, deadline, required=USERINFO_CLAIMS).claims
    said = answer.json()
    if "sub" not in said:
        raise UpstreamError("The identity provider's userinfo does not say of whom it speaks.")
    return said


def refresh_token_of(tokens: dict[str, Any]) -> str:
    """The refresh token of a token answer, empty when it holds none that can be stored."""
    said = tokens.get("refresh_token")
    return said if isinstance(said, str) and len(said) <= 20_000 else ""


def person_of_refresh(tokens: dict[str, Any], provider: Provider, deadline: Deadline) -> Person:
    """Who the answer to a refresh token speaks of, and what the provider says of them now.

    A provider need not send a new ID token (OpenID Connect Core 1.0, section 12.2); then userinfo alone tells.

    Raises:
        GrantRefused: userinfo does not accept the new access token.
        Unavailable, UpstreamError: the provider cannot be asked, or not believed.
    """
    userinfo = userinfo_of(provider.userinfo(tokens["access_token"], deadline), provider, deadline)
    id_token = _id_token_of(tokens, provider, deadline)
    issuer = provider.metadata(deadline).issuer
    if id_token is None and not userinfo:
        # The grant lives, which is all that can be known of it.
        return Person(issuer, subject="", groups=None)
    claims = id_token or {"iss": issuer, "sub": userinfo["sub"]}
    return person_of(claims, userinfo, groups_claim=provider.config.groups_claim)


def _id_token_of(tokens: dict[str, Any], provider: Provider, deadline: Deadline) -> dict[str, Any] | None:
    if tokens.get("id_token") is None:
        return None
    verified = verify(tokens["id_token"], provider, deadline, required=ID_TOKEN_CLAIMS)
    check_access_token(verified, tokens["access_token"])
    return verified.claims
