"""Identifiers that sort by time and work as keys on SQLite, PostgreSQL and MongoDB alike."""

from __future__ import annotations

import os
import threading
import time
import uuid
from datetime import datetime

_VERSION_AND_VARIANT = 0x7 << 76 | 0x2 << 62
_RANDOM_LOW = (1 << 62) - 1
_lock = threading.Lock()
_last = (0, 0)


def uuid7_floor(moment: datetime) -> uuid.UUID:
    """The smallest identifier that `uuid7` could have made at `moment`, for ranges of ids that are ranges of time."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), (1 << 48) - 1)
    return uuid.UUID(int=milliseconds << 80 | _VERSION_AND_VARIANT)


def uuid7() -> uuid.UUID:
    """A time-ordered UUID, version 7 of RFC 9562, section 5.7: 48 bits of Unix milliseconds, then 74 random bits.

    Within one process each is greater than the one before, also in the same millisecond or when the clock steps back
    (section 6.2, method 2: the random part is counted up).
    """
    global _last
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big") >> 6
    with _lock:
        if milliseconds <= _last[0]:
            milliseconds, random_bits = _last[0], _last[1] + 1 + random_bits % 1024
        _last = (milliseconds, random_bits)
    high, low = random_bits >> 62 & 0xFFF, random_bits & _RANDOM_LOW
    return uuid.UUID(int=milliseconds << 80 | _VERSION_AND_VARIANT | high << 64 | low)
