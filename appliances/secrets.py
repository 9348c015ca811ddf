"""The two secrets of an appliance: the one-time code that people carry to it, and the key that it keeps.

Both are random with at least 100 bits, so a plain SHA-256 is enough at rest: there is nothing to guess and stretch.
Finding one by its hash through an index tells an attacker who measures time nothing about the secret itself.
"""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "steward-device-"
# Base 32 without letters and digits that people mistake for each other.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GROUPS, _GROUP = 5, 4


def new_code() -> str:
    """An enrolment code with 100 random bits, such as `K7QM-2FWX-9TRB-HNVE-4SJC`."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def code_hash(code: str) -> str:
    """What is stored of a code; case, spaces and hyphens do not count."""
    return _sha256("".join(code.upper().replace("-", "").split()))


def new_key() -> str:
    """A device key with 256 random bits. Its prefix tells it from people's tokens, and lets scanners find leaks."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """What is stored of a device key."""
    return _sha256(key)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
