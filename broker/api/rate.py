"""Refuses callers who ask too often."""

from __future__ import annotations

import time
from collections.abc import Callable

from broker.core.principal import Principal
from broker.core.rate import TokenBuckets
from broker.errors import RateLimited


class RateLimit:
    """Without a rate nobody is refused. Callers are told apart by `Principal.share`."""

    def __init__(self, rate_per_s: float | None, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = None if rate_per_s is None else TokenBuckets(rate_per_s, burst)
        self._clock = clock

    def admit(self, caller: Principal) -> None:
        """Count one request. Raises RateLimited."""
        if self._buckets is None:
            return
        wait_s = self._buckets.take(caller.share, self._clock())
        if wait_s > 0:
            raise RateLimited(wait_s)
