"""The shared cache: Redis, and this process's own memory for as long as Redis cannot be used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from platform_site.lib.process_cache import ProcessCache

logger = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 5.0
ANSWER_SECONDS = 1.0

_clients: dict[tuple[str, ...], RedisCacheClient] = {}


class _Absence:
    """Whether Redis is away, for all threads of the process; it is asked again every few seconds."""

    until = 0.0
    noted = False

    def began(self, exc: Exception) -> None:
        self.until = time.monotonic() + TRY_AGAIN_SECONDS
        if not self.noted:
            self.noted = True
            logger.warning("Redis cannot be used; this process counts for itself: %s", type(exc).__name__)

    def ended(self) -> None:
        self.noted = False
        logger.warning("Redis can be used again.")


_absence = _Absence()


class SharedCache(RedisCache):
    """Django's Redis cache. Without Redis it neither fails nor forgets to count: each process goes on by itself.

    Django makes an instance for every request; the connections belong to the process.
    """

    _servers: list[str]
    _options: dict[str, Any]
    _class: type[RedisCacheClient]

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        patience = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        # One repetition, at once: a kept connection may have been closed by the server meanwhile.
        self._options = {**patience, "retry": Retry(NoBackoff(), 1), **self._options}
        self._stand_in = ProcessCache("while-redis-is-away", {})

    @property
    def _cache(self) -> RedisCacheClient:  # type: ignore[override]
        servers = tuple(self._servers)
        return _clients.setdefault(servers, _clients.get(servers) or self._class(self._servers, **self._options))

    def ping(self) -> None:
        """Raises:
        RedisError: Redis does not answer.
        """
        self._cache.get_client().ping()

    def _or_in_memory(self, ask: Callable[[], Any], instead: Callable[[], Any]) -> Any:
        if time.monotonic() < _absence.until:
            return instead()
        try:
            answer = ask()
        except RedisError as exc:
            _absence.began(exc)
            return instead()
        if _absence.noted:
            _absence.ended()
        return answer

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(
            self._or_in_memory(
                lambda: super(SharedCache, self).add(key, value, timeout, version),
                lambda: self._stand_in.add(key, value, timeout, version),
            )
        )

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._or_in_memory(
            lambda: super(SharedCache, self).get(key, default, version),
            lambda: self._stand_in.get(key, default, version),
        )

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._or_in_memory(
            lambda: super(SharedCache, self).set(key, value, timeout, version),
            lambda: self._stand_in.set(key, value, timeout, version),
        )

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(
            self._or_in_memory(
                lambda: super(SharedCache, self).delete(key, version), lambda: self._stand_in.delete(key, version)
            )
        )

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return int(
            self._or_in_memory(
                lambda: super(SharedCache, self).incr(key, delta, version),
                lambda: self._incr_in_memory(key, delta, version),
            )
        )

    def _incr_in_memory(self, key: Any, delta: int, version: int | None) -> int:
        self._stand_in.add(key, 0, version=version)  # what Redis had counted is not known here
        return self._stand_in.incr(key, delta, version)
