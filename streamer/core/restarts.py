"""When a backend that ended is started again, and when it is said not to stay up."""

from __future__ import annotations


class Restarts:
    """Counts runs that were short. One that lasted `steady_s` is no reproach, nor is one that served a session."""

    def __init__(
        self, *, first_s: float = 0.2, most_s: float = 30.0, steady_s: float = 30.0, broken_after: int = 3
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._steady_s = steady_s
        self._broken_after = broken_after
        self._short = 0

    def ended(self, ran_s: float, *, served: bool) -> float:
        """A run ended: in how many seconds to start the next."""
        if served or ran_s >= self._steady_s:
            self._short = 0
            return 0.0
        self._short += 1
        return min(self._first_s * 2.0 ** min(self._short - 1, 16), self._most_s)

    @property
    def broken(self) -> bool:
        """Whether so many short runs came one after the other that nobody should be sent there."""
        return self._short >= self._broken_after
