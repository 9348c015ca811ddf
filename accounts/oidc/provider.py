"""The identity provider: where its endpoints are (OpenID Connect Discovery 1.0), its signing keys, and asking it."""

from __future__ import annotations

import base64
import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from accounts.oidc.configuration import Configuration, configuration
from accounts.oidc.transport import SILENT, Answer, Deadline, fetch, require_secure
from platform_site.lib.errors import PermissionRefused, StewardError, Unavailable, UpstreamError

logger = logging.getLogger(__name__)

KEPT_SECONDS = 3600
RETRY_SECONDS = 60
"""How long what was read last is used when the provider cannot be read, and the pause between looks for a new key."""
REREAD_SECONDS = 3
DEFAULT_SCOPES = ("openid", "email", "profile")
NOT_THE_PERSON = {"invalid_client", "unauthorized_client", "unsupported_grant_type", "temporarily_unavailable"}
"""Refusals of the token endpoint (RFC 6749, section 5.2) that say something about this installation's client."""


class GrantRefused(PermissionRefused):
    """The provider does not accept a code or a refresh token (any more)."""


@dataclass(frozen=True)
class Metadata:
    """What the provider says about itself; every address is secure."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    scopes: frozenset[str]
    auth_methods: tuple[str, ...]
    says_issuer: bool

    @classmethod
    def of(cls, said: dict[str, Any], expected_issuer: str) -> Metadata:
        """Reads a discovery document.

        Raises:
            UpstreamError: it speaks for another issuer, or an address is missing or not secure.
        """
        issuer = said.get("issuer")
        if not isinstance(issuer, str) or issuer.removesuffix("/") != expected_issuer:
            raise UpstreamError("The identity provider's discovery document speaks for another issuer.")
        has_userinfo = said.get("userinfo_endpoint") is not None
        return cls(
            issuer=issuer,
            authorization_endpoint=require_secure(said.get("authorization_endpoint"), "authorization endpoint"),
            token_endpoint=require_secure(said.get("token_endpoint"), "token endpoint"),
            jwks_uri=require_secure(said.get("jwks_uri"), "key set"),
            userinfo_endpoint=require_secure(said["userinfo_endpoint"], "userinfo endpoint") if has_userinfo else "",
            scopes=frozenset(_strings(said.get("scopes_supported"))),
            auth_methods=_strings(said.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
            says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
        )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


class Provider:
    """One configured provider. What it published is kept in this process and, while it cannot be read, used on.

    Nothing waits for a lock while it asks the provider: two threads may ask for the same, which does no harm.
    """

    def __init__(self, config: Configuration) -> None:
        self.config = config
        self._metadata: Metadata | None = None
        self._metadata_until = 0.0
        self._keys: list[dict[str, Any]] = []
        self._keys_read_at = self._keys_tried_at = float("-inf")

    # --- What it published ----------------------------------------------------------------------------------------
    def metadata(self, deadline: Deadline) -> Metadata:
        """The discovery document, read at most once an hour.

        Raises:
            Unavailable, UpstreamError: it was never read and cannot be read now.
        """
        kept = self._metadata
        if kept is not None and time.monotonic() < self._metadata_until:
            return kept
        try:
            fresh = self._discover(deadline if kept is None else deadline.within(REREAD_SECONDS))
        except StewardError as exc:
            if kept is None:
                raise
            logger.warning("The identity provider's discovery document cannot be read again: %s", exc.detail)
            self._metadata_until = time.monotonic() + RETRY_SECONDS
            return kept
        self._metadata, self._metadata_until = fresh, time.monotonic() + KEPT_SECONDS
        return fresh

    def _discover(self, deadline: Deadline) -> Metadata:
        answer = fetch("GET", self.config.discovery_url, deadline=deadline)
        return Metadata.of(_good(answer), self.config.issuer)

    def key_for(self, kid: str | None, algorithm: str, deadline: Deadline) -> PyJWK:
        """The signing key of a token. An unknown key id makes the keys be read again, at most once a minute.

        Raises:
            UpstreamError: there is no such key.
            Unavailable: the keys were never read and cannot be read now.
        """
        self._read_keys_if(time.monotonic() - self._keys_read_at > KEPT_SECONDS, deadline)
        found = self._matching(kid, algorithm)
        if not found:
            self._read_keys_if(True, deadline)
            found = self._matching(kid, algorithm)
        # Without a key id only a single key is unambiguous.
        if len(found) != 1:
            raise UpstreamError("The identity provider has no key that fits the token's signature.")
        return found[0]

    def _read_keys_if(self, is_wanted: bool, deadline: Deadline) -> None:
        now = time.monotonic()
        if not is_wanted or now - self._keys_tried_at < RETRY_SECONDS:
            return
        try:
            address = self.metadata(deadline).jwks_uri
            answer = fetch("GET", address, deadline=deadline.within(REREAD_SECONDS) if self._keys else deadline)
            keys = _good(answer).get("keys")
        except StewardError as exc:
            if not self._keys:
                raise
            logger.warning("The identity provider's keys cannot be read again: %s", exc.detail)
            self._keys_tried_at = now
            return
        self._keys = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
        self._keys_read_at = self._keys_tried_at = now

    def _matching(self, kid: str | None, algorithm: str) -> list[PyJWK]:
        wanted = [
            key
            for key in self._keys
            if (kid is None or key.get("kid") == kid)
            and key.get("alg", algorithm) == algorithm
            and key.get("use", "sig") == "sig"
            and key.get("kty") in ("RSA", "EC", "OKP")
        ]
        found = []
        for key in wanted:
            try:
                found.append(PyJWK(key, algorithm))
            except (PyJWTError, ValueError, TypeError):  # of another kind than the algorithm, or malformed
                continue
        return found

    # --- Asking it ------------------------------------------------------------------------------------------------
    def scopes(self, deadline: Deadline) -> str:
        """The scopes to ask for, with a refresh token among them where the provider offers one."""
        offered = self.metadata(deadline).scopes
        wanted = self.config.scopes or (*DEFAULT_SCOPES, *(("offline_access",) if "offline_access" in offered else ()))
        return " ".join(wanted if "openid" in wanted else ("openid", *wanted))

    def tokens(self, grant: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """What the token endpoint gives for a code or a refresh token.

        Raises:
            GrantRefused: it does not accept it, or not any more.
            Unavailable: it did not answer, failed, or does not accept this installation's client.
            UpstreamError: its answer makes no sense.
        """
        metadata = self.metadata(deadline)
        headers, data = self._client_authentication(metadata)
        answer = fetch("POST", metadata.token_endpoint, deadline=deadline, headers=headers, data={**grant, **data})
        if answer.status != 200:
            raise _token_refusal(answer)
        said = answer.json()
        if not isinstance(said.get("access_token"), str) or str(said.get("token_type", "")).lower() != "bearer":
            raise UpstreamError("The identity provider's token answer makes no sense.")
        return said

    def _client_authentication(self, metadata: Metadata) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and fields that say which client asks (RFC 6749, section 2.3.1)."""
        name, secret = self.config.client_id, self.config.client_secret
        if not secret:
            return {}, {"client_id": name}
        if "client_secret_basic" not in metadata.auth_methods:
            return {}, {"client_id": name, "client_secret": secret}
        pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}, {}

    def userinfo(self, access_token: str, deadline: Deadline) -> Answer | None:
        """The answer of the userinfo endpoint, None when the provider has none.

        Raises:
            GrantRefused: the access token is not accepted.
            Unavailable: it did not answer or failed.
        """
        address = self.metadata(deadline).userinfo_endpoint
        if not address:
            return None
        answer = fetch("GET", address, deadline=deadline, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status in (401, 403):
            raise GrantRefused("The identity provider does not know this sign-in any more.")
        if answer.status != 200:
            raise Unavailable(SILENT, retryable=True)
        return answer


def _good(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise Unavailable(SILENT, retryable=True)
    return answer.json()


def _token_refusal(answer: Answer) -> StewardError:
    try:
        code = str(answer.json().get("error", ""))
    except UpstreamError:
        code = ""
    if answer.status >= 500 or answer.status in (408, 429) or code in NOT_THE_PERSON:
        logger.error("The identity provider's token endpoint answered %s %s", answer.status, code[:60])
        return Unavailable("The identity provider could not complete the sign-in.", retryable=True)
    if 400 <= answer.status < 500:
        return GrantRefused("The identity provider does not accept this sign-in any more.")
    return UpstreamError("The identity provider's token answer makes no sense.")


@lru_cache(maxsize=2)
def _provider_of(config: Configuration) -> Provider:
    return Provider(config)


def current_provider() -> Provider:
    """The configured provider; what it published stays known between calls.

    Raises:
        NotFound: none is configured.
    """
    return _provider_of(configuration())


def forget_provider() -> None:
    """Drops everything that was read from providers."""
    _provider_of.cache_clear()


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
