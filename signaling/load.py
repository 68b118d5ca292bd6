"""How much a relay carries: measured now and then, smoothed so that a burst does not move placement."""

from __future__ import annotations

from signaling.routes import RelayLoad

_SMOOTHING_S = 3.0


class LoadMeter:
    """Makes a rate of a count that only rises. `now` is any clock that does not jump, in seconds."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._rate = 0.0

    def measure(self, now: float, *, sessions: int, datagrams: int) -> RelayLoad:
        """The load at this moment; `datagrams` were passed on since the relay began."""
        if self._last is None:
            self._last = now, datagrams
        since, before = self._last
        if now > since:
            weight = min((now - since) / _SMOOTHING_S, 1.0)
            self._rate += weight * ((datagrams - before) / (now - since) - self._rate)
            self._last = now, datagrams
        return RelayLoad(sessions, round(self._rate, 1))
