"""How access and refresh tokens are signed and read: the one place around simplejwt's token backend.

`JWT_SECRET` signs. What an older key of `JWT_SECRET_FALLBACKS` signed is read as well, so that a key can be replaced
without signing everybody out: put the old one there until its tokens have expired.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken, TokenError

__all__ = ["MAX_TOKEN_CHARACTERS", "AccessToken", "RefreshToken", "TokenError"]

ALGORITHM = "HS256"
MAX_TOKEN_CHARACTERS = 4096
"""Ours have about 400. What is longer is refused before anything looks into it."""


@lru_cache(maxsize=8)
def _backend(key: str, audience: str, issuer: str) -> TokenBackend:
    # The algorithm is named here and nowhere else: what the header of a token says is only compared with it.
    return TokenBackend(ALGORITHM, key, audience=audience, issuer=issuer)


class KeyRing(TokenBackend):
    """simplejwt's backend with a ring of keys: the first signs, all verify. Settings are read with each token."""

    def __init__(self) -> None:
        super().__init__(ALGORITHM)

    def encode(self, payload: dict[str, Any]) -> str:
        return str(self._backends()[0].encode(payload))

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The claims of an encoded token, which is always verified.

        Raises:
            TokenBackendError: it is malformed, expired, or signed by none of the keys for this issuer and audience.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise TokenBackendError("Token is invalid")
        for backend in self._backends():
            try:
                claims: dict[str, Any] = backend.decode(token, verify=True)  # type: ignore[arg-type] # as above
                return claims
            except TokenBackendExpiredToken:
                raise  # signed by this key, so no other one fits
            except TokenBackendError:
                continue
        raise TokenBackendError("Token is invalid")

    def _backends(self) -> list[TokenBackend]:
        keys = [settings.JWT_SECRET, *settings.JWT_SECRET_FALLBACKS]
        audience, issuer = settings.SIMPLE_JWT["AUDIENCE"], settings.SIMPLE_JWT["ISSUER"]
        return [_backend(key, audience, issuer) for key in keys]


class AccessToken(tokens.AccessToken):  # type: ignore[misc]
    """What a caller shows with each request, for half an hour."""

    _token_backend = KeyRing()


class RefreshToken(tokens.RefreshToken):  # type: ignore[misc]
    """What a caller shows once to get the next pair."""

    _token_backend = KeyRing()
    access_token_class = AccessToken
