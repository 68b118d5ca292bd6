"""Which size and frame rate a viewer gets: less while network or encoder cannot keep up, more with patience."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LEAST_BITS_PER_PIXEL = 0.02
"""Below this a smaller picture looks better than this one."""

EVALUATE_EVERY_S = 1.0
_BUSY = 0.9
_EASY = 0.7
_SPARE = 1.5
_DOWN_AFTER_S = 2.0
_UP_AFTER_S = 10.0
_UP_AFTER_MOST_S = 160.0
_PROVEN_AFTER_S = 60.0
_LEAST_SHORT_SIDE_PX = 180
_LEAST_FPS = 10
_SMOOTH_FPS = 48


class Limit(StrEnum):
    """What keeps a viewer from what was wished for."""

    NONE = "none"
    NETWORK = "network"
    ENCODER = "encoder"


@dataclass(frozen=True, slots=True)
class Rung:
    """A share of the wished width and height, and a frame rate."""

    scale: float
    fps: int


def rungs(width: int, height: int, fps: int) -> tuple[Rung, ...]:
    """From what is wished down to the least: half of a high frame rate first, then the size, at last the rate again."""
    steps = [Rung(1.0, fps)]
    rate = fps
    if fps >= _SMOOTH_FPS:
        rate = (fps + 1) // 2
        steps.append(Rung(1.0, rate))
    for scale in (0.75, 0.5, 0.25):
        if min(width, height) * scale >= _LEAST_SHORT_SIDE_PX:
            steps.append(Rung(scale, rate))
    while rate // 2 >= _LEAST_FPS:
        rate //= 2
        steps.append(Rung(steps[-1].scale, rate))
    return tuple(steps)


class Ladder:
    """One viewer's place on the rungs. `step` is called about every second, with seconds of one monotonic clock."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._pixels = width * height
        self._rungs = rungs(width, height, fps)
        self._index = 0
        self._bad_since: float | None = None
        self._good_since: float | None = None
        self._risen_at: float | None = None
        self._patience_s = _UP_AFTER_S
        self.limit = Limit.NONE

    @property
    def rung(self) -> Rung:
        """Where the viewer stands."""
        return self._rungs[self._index]

    def step(self, *, bitrate: int, load: float, now: float) -> Rung:
        """Move by one rung at most. `load` is the share of a frame's time that encoding it takes."""
        cause = self._cause(bitrate, load)
        if cause is not None:
            self._good_since = None
            self._bad_since = now if self._bad_since is None else self._bad_since
            if now - self._bad_since >= _DOWN_AFTER_S and self._index + 1 < len(self._rungs):
                self._descend(cause, now)
        else:
            self._bad_since = None
            self._consider_rising(bitrate, load, now)
        return self.rung

    def _cause(self, bitrate: int, load: float) -> Limit | None:
        if bitrate < LEAST_BITS_PER_PIXEL * self._cost(self.rung):
            return Limit.NETWORK
        return Limit.ENCODER if load > _BUSY else None

    def _descend(self, cause: Limit, now: float) -> None:
        """The patience doubles where the last rise was a mistake, so that nothing swings to and fro."""
        if self._risen_at is not None and now - self._risen_at < _PROVEN_AFTER_S:
            self._patience_s = min(_UP_AFTER_MOST_S, 2 * self._patience_s)
        self._index += 1
        self._bad_since = self._risen_at = None
        self.limit = cause

    def _consider_rising(self, bitrate: int, load: float, now: float) -> None:
        if self._risen_at is not None and now - self._risen_at >= _PROVEN_AFTER_S:
            self._risen_at, self._patience_s = None, _UP_AFTER_S
        if self._index == 0:
            return
        above = self._rungs[self._index - 1]
        dearer = self._cost(above) / self._cost(self.rung)
        if bitrate < _SPARE * LEAST_BITS_PER_PIXEL * self._cost(above) or load * dearer > _EASY:
            self._good_since = None
            return
        self._good_since = now if self._good_since is None else self._good_since
        if now - self._good_since >= self._patience_s:
            self._index -= 1
            self._good_since, self._risen_at = None, now
            if self._index == 0:
                self.limit = Limit.NONE

    def _cost(self, rung: Rung) -> float:
        return self._pixels * rung.scale**2 * rung.fps
