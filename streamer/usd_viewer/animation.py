"""Time samples baked into frames: transforms of whatever moves, points of what changes its shape."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom

from streamer.usd_viewer.scene import Doubles, Timeline

MAX_FRAMES = 600
MAX_TRANSFORMS = 200_000
MAX_DEFORMED_NUMBERS = 40_000_000


@dataclass(frozen=True, slots=True)
class Frames:
    """The times at which a stage is read; more than MAX_FRAMES are thinned out."""

    start: Usd.TimeCode
    times: tuple[float, ...]
    frames_per_second: float

    @classmethod
    def of(cls, stage: Usd.Stage) -> "Frames":
        """Those of a stage's authored range; a single one where it authors none."""
        if not stage.HasAuthoredTimeCodeRange():
            return cls(Usd.TimeCode.EarliestTime(), (), 24.0)
        first, last = stage.GetStartTimeCode(), stage.GetEndTimeCode()
        rate = stage.GetTimeCodesPerSecond()
        if not (np.isfinite([first, last, rate]).all() and last >= first and rate > 0):
            return cls(Usd.TimeCode.EarliestTime(), (), 24.0)
        stride = max(1.0, (last - first) / (MAX_FRAMES - 1))
        times = tuple(first + number * stride for number in range(int((last - first) / stride) + 1))
        return cls(Usd.TimeCode(first), times if len(times) > 1 else (), min(max(rate / stride, 0.1), 1000.0))


@dataclass(slots=True)
class MovingPrims:
    """Finds what moves with what, and bakes one track for all that moves alike."""

    frames: Frames
    _anchors: dict[str, str] = field(default_factory=dict)
    _prims: dict[str, Usd.Prim] = field(default_factory=dict)
    _shown: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    _deformed: int = 0
    _changes: bool = False

    def anchor(self, prim: Usd.Prim) -> str:
        """The nearest prim, from this one up, whose own transform changes over time: this one keeps its place in it.

        Empty where nothing moves it.
        """
        if not self.frames.times or prim.IsPseudoRoot():
            return ""
        key = str(prim.GetPath())
        if key not in self._anchors:
            xformable = UsdGeom.Xformable(prim)
            moves = bool(xformable) and xformable.TransformMightBeTimeVarying()
            room = (len(self._prims) + 1) * len(self.frames.times) <= MAX_TRANSFORMS
            if moves and room:
                self._prims[key] = prim
                self._anchors[key] = key
            else:
                self._anchors[key] = self.anchor(prim.GetParent())
        return self._anchors[key]

    def shown(self, prim: Usd.Prim) -> NDArray[np.bool_]:
        """(frames,) when a prim is to be seen, itself and all above it; (0,) for what is so always."""
        if not self.frames.times or prim.IsPseudoRoot():
            return np.empty(0, np.bool_)
        key = str(prim.GetPath())
        if key not in self._shown:
            above = self.shown(prim.GetParent())
            attribute = UsdGeom.Imageable(prim).GetVisibilityAttr() if prim.IsA(UsdGeom.Imageable) else None
            if attribute and attribute.ValueMightBeTimeVarying():
                self._changes = True
                seen = [attribute.Get(Usd.TimeCode(time)) != UsdGeom.Tokens.invisible for time in self.frames.times]
                above = both_shown(above, np.array(seen))
            self._shown[key] = above
        return self._shown[key]

    def worlds(self, prim: Usd.Prim) -> Doubles | None:
        """(frames, 4, 4) of a prim's world transform; None for one that nothing moves."""
        if not self.anchor(prim):
            return None
        transforms = UsdGeom.XformCache()
        baked = np.empty((len(self.frames.times), 4, 4))
        for number, time in enumerate(self.frames.times):
            transforms.SetTime(Usd.TimeCode(time))
            baked[number] = np.array(transforms.GetLocalToWorldTransform(prim))
        return baked

    def note_change(self) -> None:
        """Say that something else changes over time."""
        self._changes = True

    def tracks(self) -> dict[str, Doubles]:
        """(frames, 4, 4) of each anchor's world transform; those that cannot be undone are left out."""
        baked = {path: np.empty((len(self.frames.times), 4, 4)) for path in self._prims}
        for number, time in enumerate(self.frames.times if baked else ()):
            transforms = UsdGeom.XformCache(time)
            for path, prim in self._prims.items():
                baked[path][number] = np.array(transforms.GetLocalToWorldTransform(prim))
        return {path: track for path, track in baked.items() if _usable(track)}

    def timeline(self) -> Timeline:
        """What there is to play."""
        if not self._prims and not self._deformed and not self._changes:
            return Timeline()
        return Timeline(len(self.frames.times), self.frames.frames_per_second)

    def room_for(self, numbers: int) -> bool:
        """Claim room for a deformation of so many numbers."""
        if self._deformed + numbers > MAX_DEFORMED_NUMBERS:
            return False
        self._deformed += numbers
        return True


def both_shown(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """When both are to be seen; (0,) stands for always."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both: NDArray[np.bool_] = one & other
    return both


def _usable(track: Doubles) -> bool:
    return bool(np.isfinite(track).all() and abs(np.linalg.det(track[0])) > 1e-30)


def deformation(prim: Usd.Prim, moving: MovingPrims) -> Doubles | None:
    """(frames, points, 3) of a mesh whose points change over time; None for others and for want of room."""
    attribute = UsdGeom.PointBased(prim).GetPointsAttr()
    if not moving.frames.times or not attribute or not attribute.ValueMightBeTimeVarying():
        return None
    count = len(attribute.Get(moving.frames.start) or [])
    if not moving.room_for(count * 6 * len(moving.frames.times)):
        return None
    baked = np.empty((len(moving.frames.times), count, 3))
    for number, time in enumerate(moving.frames.times):
        points = attribute.Get(time)
        if points is None or len(points) != count or not np.isfinite(np.asarray(points)).all():
            return None
        baked[number] = np.asarray(points)
    return baked
