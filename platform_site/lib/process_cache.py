"""The cache of an installation without Redis. Apart from the shared one, as loading Redis' client takes its time."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

MAX_ENTRIES = 100_000
"""Of a cache in memory. Few would let somebody who makes up many keys push the counters of others out."""


class ProcessCache(LocMemCache):
    """Django's cache in memory, with room for the counters of everybody who calls."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, {"max_entries": MAX_ENTRIES, **params})
