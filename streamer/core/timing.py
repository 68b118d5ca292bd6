"""What is due when, and how much may pass: key frames, pictures that stay the same, whatever comes in floods."""

from __future__ import annotations

import math

KEY_FRAME_INTERVAL_S = 0.5
_SETTLE_S = 0.5
_STILL_INTERVAL_S = 0.2


class KeyFrameGate:
    """Lets key frames through when they are asked for, but not one after the other: each costs what ten others do."""

    def __init__(self, interval_s: float = KEY_FRAME_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._asked = False
        self._made_at = -math.inf

    def ask(self) -> None:
        """A key frame is wanted. However many ask, one will do."""
        self._asked = True

    def made(self, now: float) -> None:
        """A key frame was made, asked for or not."""
        self._asked, self._made_at = False, now

    def wait_s(self, now: float) -> float | None:
        """How long until one is due; 0 when it is, None when none is wanted."""
        return max(0.0, self._made_at + self._interval_s - now) if self._asked else None


class StillClock:
    """When a picture that did not change is sent again: at the usual rate until it is sharp, then now and then."""

    def __init__(self) -> None:
        self._changed_at = -math.inf
        self._sent_at = -math.inf

    def changed(self, now: float) -> None:
        """A new picture was sent."""
        self._changed_at = self._sent_at = now

    def due(self, now: float) -> bool:
        """Whether the last one should be sent again; then it counts as sent."""
        due = now - self._changed_at < _SETTLE_S or now - self._sent_at >= _STILL_INTERVAL_S
        if due:
            self._sent_at = now
        return due


class Bucket:
    """Lets `per_s` things pass in a second, and `burst` at once."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may pass now."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
