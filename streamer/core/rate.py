"""The bitrate of one viewer's stream: bounds for a picture's size, a target that follows the network within them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

_REFERENCE_PIXELS = 1280 * 720
_REFERENCE_FPS = 30
_SIZE_EXPONENT = 0.75
_FPS_EXPONENT = 0.5
_MOST_BPS = 60_000_000
_LEAST_BPS = 300_000
_ROUND_TO_BPS = 50_000

_WINDOW_S = 1.0
_WINDOW_FRAMES = 240
_GROWTH = 1.25
_HEAVY_LOSS = 0.1
_LIGHT_LOSS = 0.02

_CLASS_BASE_BPS = 100_000
_CLASS_RATIO = 1.5
_CLASS_OVERLAP = 1.1


@dataclass(frozen=True, slots=True)
class Bitrates:
    """Bits per second: what a stream starts with, and what it stays within. The defaults suit 1280 x 720 at 30."""

    start: int = 4_000_000
    floor: int = 500_000
    ceiling: int = 12_000_000


def bitrates_for(width: int, height: int, fps: int, *, most_bps: int = _MOST_BPS) -> Bitrates:
    """Bounds for this size and rate.

    Twice the pixels take about 1.7 times the bits, and twice the frames about 1.4 times: neighbours are alike.
    The ceiling is from 1.5 Mbit/s (320 x 180) over 12 (720p30), 22 (1080p30) to 60 (2160p), and never above `most_bps`.
    """
    size = (width * height / _REFERENCE_PIXELS) ** _SIZE_EXPONENT
    factor = size * (fps / _REFERENCE_FPS) ** _FPS_EXPONENT
    usual = Bitrates()
    most_bps = max(_LEAST_BPS, min(_MOST_BPS, most_bps))
    ceiling = min(most_bps, max(2 * _LEAST_BPS, _round(usual.ceiling * factor)))
    start = min(ceiling, max(_LEAST_BPS, _round(usual.start * factor)))
    return Bitrates(start, min(start, max(_LEAST_BPS, _round(usual.floor * math.sqrt(factor)))), ceiling)


def _round(bps: float) -> int:
    return round(bps / _ROUND_TO_BPS) * _ROUND_TO_BPS


def rate_class(bps: int, current: int | None = None) -> int:
    """The class of rates to which viewers may share one encoding; the current one as long as it nearly fits."""
    exact = math.log(max(1, bps) / _CLASS_BASE_BPS, _CLASS_RATIO)
    slack = math.log(_CLASS_OVERLAP, _CLASS_RATIO)
    if current is not None and current - slack <= exact < current + 1 + slack:
        return current
    return max(0, math.floor(exact))


class Rate:
    """A target bitrate within bounds. All times are seconds of one monotonic clock."""

    def __init__(self, bitrates: Bitrates) -> None:
        self._bitrates = bitrates
        self._sent: deque[tuple[float, int]] = deque(maxlen=_WINDOW_FRAMES)
        self._estimate = 0
        self._moved_at = -math.inf
        self.target = bitrates.start

    @property
    def bounds(self) -> Bitrates:
        """The bounds; others, for another size of picture, take the target along in proportion."""
        return self._bitrates

    @bounds.setter
    def bounds(self, bitrates: Bitrates) -> None:
        if bitrates != self._bitrates:
            scaled = round(self.target * bitrates.start / self._bitrates.start)
            self.target = max(bitrates.floor, min(bitrates.ceiling, scaled))
            self._bitrates = bitrates

    def follow(self, estimate: int, now: float) -> None:
        """Follow a receiver's estimate of what its network carries (REMB), as far as the bounds allow.

        An estimate never goes far above what arrives (draft-alvestrand-rmcat-remb), so after a picture at rest it is
        low for no fault of the network. What tells of congestion is that it falls while about as much is sent as is
        aimed at. Without that the target grows: to where streams start by itself, above as far as the estimate goes.
        """
        fell, self._estimate = estimate < self._estimate, estimate
        bounds = self._bitrates
        if fell and estimate < self.target and self._sent_bitrate(now) > self.target / 2:
            self.target, self._moved_at = max(bounds.floor, estimate), now
        else:
            self._grow(max(bounds.start, min(estimate, bounds.ceiling)), now)

    def lose(self, fraction: float, now: float) -> None:
        """Follow a receiver's report of loss, 0 to 1: an estimate tells of delay only (draft-ietf-rmcat-gcc §6).

        Above a tenth the target falls by half of it, once a second; in between it stays, below a fiftieth it grows.
        """
        if fraction > _HEAVY_LOSS:
            if now - self._moved_at >= _WINDOW_S:
                fallen = round(self.target * (1 - min(1.0, fraction) / 2))
                self.target, self._moved_at = max(self._bitrates.floor, fallen), now
        elif fraction > _LIGHT_LOSS:
            self._moved_at = max(self._moved_at, now)
        else:
            self._grow(self._bitrates.start, now)

    def _grow(self, limit: int, now: float) -> None:
        if self.target < limit and now - self._moved_at >= _WINDOW_S:
            self.target, self._moved_at = min(limit, round(self.target * _GROWTH)), now

    def count(self, size_bytes: int, now: float) -> None:
        """Remember that so much was sent just now."""
        self._sent.append((now, 8 * size_bytes))

    def _sent_bitrate(self, now: float) -> float:
        return sum(bits for at, bits in self._sent if at > now - _WINDOW_S) / _WINDOW_S
