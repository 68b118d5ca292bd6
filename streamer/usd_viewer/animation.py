"""Time samples baked into frames: transforms of whatever moves, points of what changes its shape."""

from dataclasses import dataclass, field, replace

import numpy as np
from pxr import Usd, UsdGeom

from streamer.usd_viewer.batching import Placement
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
    """Remembers which placements move, and bakes their tracks in one pass over time."""

    frames: Frames
    played: bool = False
    """Whether anything moves at all."""
    _varying: dict[str, bool] = field(default_factory=dict)
    _tracked: dict[int, Usd.Prim] = field(default_factory=dict)
    _tracks: dict[int, Doubles] | None = None
    _deformed: int = 0

    def consider(self, prim: Usd.Prim, placement: Placement) -> None:
        """Remember a placement if its prim's transform changes over time."""
        single = len(placement.matrices) == 1
        room = (len(self._tracked) + 1) * len(self.frames.times) <= MAX_TRANSFORMS
        if single and room and self._moves(prim):
            self._tracked[id(placement)] = prim

    def resolved(self, placement: Placement) -> Placement:
        """The placement with its track, where it has one."""
        if self._tracks is None:
            self._tracks = self._bake()
        track = self._tracks.get(id(placement))
        return placement if track is None else replace(placement, track=track)

    def timeline(self) -> Timeline:
        """What there is to play."""
        if not self.played:
            return Timeline()
        return Timeline(len(self.frames.times), self.frames.frames_per_second)

    def room_for(self, numbers: int) -> bool:
        """Claim room for a deformation of so many numbers."""
        if self._deformed + numbers > MAX_DEFORMED_NUMBERS:
            return False
        self._deformed += numbers
        self.played = True
        return True

    def _moves(self, prim: Usd.Prim) -> bool:
        if not self.frames.times or prim.IsPseudoRoot():
            return False
        key = str(prim.GetPath())
        if key not in self._varying:
            xformable = UsdGeom.Xformable(prim)
            own = bool(xformable) and xformable.TransformMightBeTimeVarying()
            self._varying[key] = own or self._moves(prim.GetParent())
        return self._varying[key]

    def _bake(self) -> dict[int, Doubles]:
        baked = {key: np.empty((len(self.frames.times), 4, 4)) for key in self._tracked}
        self.played = self.played or bool(baked)
        for number, time in enumerate(self.frames.times if baked else ()):
            transforms = UsdGeom.XformCache(time)
            for key, prim in self._tracked.items():
                baked[key][number] = np.array(transforms.GetLocalToWorldTransform(prim))
        return {key: track for key, track in baked.items() if np.isfinite(track).all()}


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
