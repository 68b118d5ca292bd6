"""How often each caller may ask: one bucket of tokens for each, which fills at a steady rate."""

from __future__ import annotations

from collections import OrderedDict

_CALLERS_MOST = 10_000


class TokenBuckets:
    """Each caller may ask `burst` times at once and `rate_per_s` times a second for long.

    So many callers are remembered; of more, the one who was silent the longest starts afresh.
    """

    def __init__(self, rate_per_s: float, burst: int, *, callers_most: int = _CALLERS_MOST) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._callers_most = callers_most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, now: float) -> float:
        """0 where the caller may ask now, which is counted; else the seconds until it may."""
        tokens, at = self._buckets.get(caller, (float(self._burst), now))
        tokens = min(self._burst, tokens + max(now - at, 0.0) * self._rate_per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._rate_per_s
        self._buckets[caller] = tokens - 1 if wait_s == 0 else tokens, max(at, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._callers_most:
            self._buckets.popitem(last=False)
        return wait_s
