"""The lease on convergence: at most one broker makes sessions true, and who was deposed writes nothing any more.

The promise, and the form of one process; the conformance suite in tests/broker/stores holds every form to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.core.pauses import KEPT_PAUSES, Pause

PAUSE_AFTER_TTLS = 2.0
"""A lease that nobody renewed for so many times its length was away; time up to its next holder does not count."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the lease stood at `at`, on the store's clock. `fence` is the caller's while it holds the lease.

    While another holds it, `fence` is None and `left_s` the time until it is free unless that one renews it. `pauses`
    are the times at which nobody renewed it, oldest first.
    """

    at: float
    fence: int | None
    left_s: float
    pauses: tuple[Pause, ...] = ()


class Lease(Protocol):
    """Every method may raise `StoreUnavailable`."""

    async def take(self, holder: str, ttl_s: float, *, fence: int | None = None) -> Standing:
        """Take the lease where it is free, or renew it, for `ttl_s`; returns how it stands now.

        Each new holder gets a fence above all before it, and from then on writes with any other are refused. Who comes
        with the `fence` that it had and finds that nobody held the lease since gets it back, fence and all.
        """

    async def look(self) -> Standing:
        """How it stands, without taking it: `left_s` is 0 where it is free."""

    async def give_up(self, holder: str, fence: int) -> None:
        """Let another take it at once. Idempotent; nothing happens where another has it already."""


class MemoryLease:
    """The lease of one process. `fence` is what a store asks before each write: the number of the latest holder."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._holder: str | None = None
        self._until = 0.0
        self._fence = 0
        self._pulse: float | None = None
        self._pauses: tuple[Pause, ...] = ()

    @property
    def fence(self) -> int:
        """The number of the latest holder; 0 before the first."""
        return self._fence

    async def take(self, holder: str, ttl_s: float, *, fence: int | None = None) -> Standing:
        now = self._clock()
        is_free = self._holder is None or now >= self._until
        if not is_free and self._holder != holder:
            return Standing(now, None, self._until - now, self._pauses)
        if is_free and fence != self._fence:
            self._fence += 1
        self._holder, self._until = holder, now + ttl_s
        self._count_pulse(now, ttl_s)
        return Standing(now, self._fence, ttl_s, self._pauses)

    async def look(self) -> Standing:
        now = self._clock()
        left_s = 0.0 if self._holder is None else max(self._until - now, 0.0)
        return Standing(now, None, left_s, self._pauses)

    async def give_up(self, holder: str, fence: int) -> None:
        if self._holder == holder and self._fence == fence:
            self._holder = None

    def _count_pulse(self, now: float, ttl_s: float) -> None:
        if self._pulse is not None and now - self._pulse > PAUSE_AFTER_TTLS * ttl_s:
            self._pauses = (*self._pauses, Pause(self._pulse, now))[-KEPT_PAUSES:]
        self._pulse = now
