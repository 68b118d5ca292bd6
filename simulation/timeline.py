"""Simulated time: what happens next, in order, without waiting for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from heapq import heappop, heappush

Happening = Callable[[], Awaitable[None]]


class Timeline:
    """Happenings by their time, in seconds since the epoch; those of the same time in the order of being added."""

    def __init__(self, begin: float) -> None:
        self.now = begin
        self._due: list[tuple[float, int, Happening]] = []
        self._added = 0

    def at(self, when: float, happening: Happening) -> None:
        """Have it happen then, or at once where that is past."""
        self._added += 1
        heappush(self._due, (max(when, self.now), self._added, happening))

    def after(self, seconds: float, happening: Happening) -> None:
        """Have it happen so much later."""
        self.at(self.now + seconds, happening)

    async def run(self, until: float) -> None:
        """Let everything happen that is due by then."""
        while self._due and self._due[0][0] <= until:
            self.now, _, happening = heappop(self._due)
            await happening()
        self.now = until
