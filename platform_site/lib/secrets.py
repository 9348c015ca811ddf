"""Secrets at rest (encrypted columns with a key ring) and secrets in transit (redaction of logs and events)."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from platform_site.lib.errors import StewardError

REDACTED = "[redacted]"

_PATTERNS = re.compile(
    r"(?i:\bbearer\s+)(?P<bearer>[A-Za-z0-9._~+/=-]{16,})"
    r"|(?P<openai>\bsk-[A-Za-z0-9_-]{16,})"
    r"|(?P<github>\bgh[pousr]_[A-Za-z0-9]{30,})"
    r"|(?P<steward>\bstw_[A-Za-z0-9]{30,})"
    r"|(?P<aws>\bAKIA[0-9A-Z]{16}\b)"
    r"|(?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
    r"|://[^\s/:@]{1,100}:(?P<userinfo>[^\s/@]{1,200})@"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
)
# Cheap substrings, one of which occurs in every text that a pattern can match.
_MARKS = ("earer ", "EARER ", "sk-", "gh", "stw_", "AKIA", "eyJ", "://", "PRIVATE KEY")

_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None
_lock = threading.Lock()


def register_secret(value: str) -> None:
    """Makes `redact` hide `value` wherever it appears. Values under 8 characters are too common to hide."""
    global _known_pattern
    if len(value) < 8 or value in _known:
        return
    with _lock:
        _known.add(value)
        longest_first = sorted(_known, key=len, reverse=True)
        _known_pattern = re.compile("|".join(re.escape(secret) for secret in longest_first))


def redact(text: str) -> str:
    """`text` with known secrets and everything that looks like a credential replaced by `[redacted]`."""
    if _known_pattern is not None:
        text = _known_pattern.sub(REDACTED, text)
    if any(mark in text for mark in _MARKS):
        text = _PATTERNS.sub(_hide_group, text)
    return text


def _hide_group(match: re.Match[str]) -> str:
    secret = match.group(match.lastgroup or 0)
    return match.group(0).replace(secret, REDACTED)


def encryption_keys() -> tuple[str, ...]:
    """The ring: the first key encrypts, all decrypt. Where Steward keeps it in a file, it follows the file."""
    path: Path | None = settings.KEPT_ENCRYPTION_KEYS
    if path is None:
        return tuple(settings.ENCRYPTION_KEYS)
    return _kept_keys(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _kept_keys(path: Path, modified: int) -> tuple[str, ...]:
    keys = tuple(path.read_text().strip().split(","))
    for key in keys:
        register_secret(key)
    return keys


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys])


def encrypt(plain: str) -> str:
    """`plain` under the first key of the ring, as text."""
    return _ring(encryption_keys()).encrypt(plain.encode()).decode()


def is_current(stored: str) -> bool:
    """Whether `stored` is encrypted under the first key."""
    try:
        _ring(encryption_keys()[:1]).decrypt(stored.encode())
    except InvalidToken:
        return False
    return True


def decrypt(stored: str) -> str:
    """The plain text of `stored` under any key of the ring.

    Raises:
        StewardError: no key of the ring fits.
    """
    try:
        return _ring(encryption_keys()).decrypt(stored.encode()).decode()
    except InvalidToken as exc:
        raise StewardError("A stored secret cannot be read with the configured encryption keys.") from exc


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database and plain in Python. It cannot be searched or compared in a query.

    Args:
        redacted: whether `redact` hides every value that was read. Not for what each user or message has its own of:
            the list of values to hide would grow without end.
    """

    def __init__(self, *args: Any, redacted: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.redacted = redacted

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        if not value:
            return value
        plain = decrypt(value)
        if self.redacted:
            register_secret(plain)
        return plain

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
