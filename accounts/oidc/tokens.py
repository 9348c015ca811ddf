"""Which signed tokens of the provider are believed (OpenID Connect Core 1.0, section 3.1.3.7).

Only asymmetric signatures: "none" proves nothing, and with HMAC whoever knows the client's secret, or gets a public key
taken for one, signs as the provider.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import PyJWTError

from accounts.oidc.provider import Provider
from accounts.oidc.transport import Deadline
from platform_site.lib.errors import UpstreamError

HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
ALGORITHMS = frozenset(f"{family}{size}" for family in ("RS", "PS", "ES") for size in HASHES) | {"EdDSA"}
LEEWAY_SECONDS = 60
MAX_TOKEN_CHARACTERS = 100_000
ID_TOKEN_CLAIMS = ("iss", "sub", "aud", "exp", "iat")
USERINFO_CLAIMS = ("iss", "sub", "aud")


@dataclass(frozen=True)
class Verified:
    """A token that this provider signed for this client, and that is valid now."""

    claims: dict[str, Any]
    algorithm: str


def verify(raw: object, provider: Provider, deadline: Deadline, *, required: tuple[str, ...]) -> Verified:
    """Checks signature, issuer, audience and times.

    Args:
        required: claims that must be there.

    Raises:
        UpstreamError: one of them is not right.
        Unavailable: the keys cannot be read.
    """
    if not isinstance(raw, str) or len(raw) > MAX_TOKEN_CHARACTERS:
        raise UpstreamError("The identity provider sent no token that can be read.")
    try:
        header = jwt.get_unverified_header(raw)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS or "crit" in header:
            raise UpstreamError("The identity provider's token is not signed in a way that is accepted.")
        claims = jwt.decode(
            raw,
            provider.key_for(header.get("kid"), algorithm, deadline),
            algorithms=[algorithm],
            audience=provider.config.client_id,
            issuer=provider.metadata(deadline).issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": list(required), "enforce_minimum_key_length": True},
        )
    except (PyJWTError, ValueError, TypeError, RecursionError) as exc:
        raise UpstreamError(f"The identity provider's token is not valid: {type(exc).__name__}.") from exc
    _check_party(claims, provider.config.client_id)
    return Verified(claims, algorithm)


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    """A token for several audiences must name this client as the one it was issued to."""
    audience, party = claims["aud"], claims.get("azp")
    is_shared = isinstance(audience, list) and len(audience) > 1
    if (is_shared or party is not None) and party != client_id:
        raise UpstreamError("The identity provider's token was issued to another client.")


def check_nonce(claims: dict[str, Any], nonce: str | None) -> None:
    """The token belongs to the sign-in that this browser began.

    Raises:
        UpstreamError: it does not.
    """
    said = claims.get("nonce")
    if not nonce or not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise UpstreamError("The identity provider's token belongs to another sign-in.")


def check_access_token(token: Verified, access_token: str) -> None:
    """The access token is the one that the ID token speaks of, where it does (`at_hash`).

    Raises:
        UpstreamError: it is another one.
    """
    said = token.claims.get("at_hash")
    if said is None:
        return
    # Ed25519 hashes with SHA-512, the others by their name.
    digest = HASHES.get(token.algorithm[-3:], hashlib.sha512)(access_token.encode()).digest()
    expected = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(said, str) or not hmac.compare_digest(said.rstrip("=").encode(), expected):
        raise UpstreamError("The identity provider's tokens do not belong together.")
