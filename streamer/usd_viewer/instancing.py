"""Point instancers: where they place their prototypes, at the start or in every frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pxr import Gf, Usd, UsdGeom

from streamer.usd_viewer.gprims import BadGeometry, numbers
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Doubles, Integers

MAX_INSTANCES = 1_000_000
MAX_MOVING = 1_000_000
"""Instances of all frames together that are placed anew in each."""
MAX_NESTING = 8
"""Point instancers inside prototypes of point instancers."""
_PLACING = ("protoIndices", "positions", "orientations", "orientationsf", "scales", "velocities", "invisibleIds")


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How what is walked stands in the world, after its own transform: once, or as instancers place it."""

    matrices: Doubles = field(default_factory=lambda: np.eye(4)[None])
    """(instances, 4, 4) at the start"""
    frames: Doubles | None = None
    """(frames, most instances, 4, 4) where they are placed anew in each; a matrix of zeros for none"""
    outside: Gf.Matrix4d = field(default_factory=lambda: Gf.Matrix4d(1.0))
    """Undoes the place of a prototype itself."""
    anchor: str | None = None
    """What the instances move with; None outside of instancers, where each prim has its own."""
    shown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(frames,) when the instancers themselves are to be seen, or (0,) for always"""
    owner: str = ""
    """The outermost instancer."""
    nesting: int = 0

    def placed(self, world: Doubles) -> "tuple[Doubles, Doubles | None]":
        """The matrices and frames of something that stands at `world` in here."""
        return world @ self.matrices, None if self.frames is None else _alive_only(world @ self.frames, self.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Prototype:
    """Where an instancer places one of its prototypes, in its own space."""

    target: Usd.Prim
    matrices: Doubles
    frames: Doubles | None


def read_instances(
    instancer: UsdGeom.PointInstancer, time: Usd.TimeCode, times: Sequence[float], omissions: Omissions
) -> list[Prototype]:
    """All prototypes that are placed. BadGeometry where arrays do not fit together or are too large."""
    chosen, matrices = _at(instancer, time)
    moving = _moving(instancer, times, len(chosen), omissions)
    prototypes = []
    for number, target in enumerate(instancer.GetPrototypesRel().GetForwardedTargets()):
        prim = instancer.GetPrim().GetStage().GetPrimAtPath(target)
        frames = None if moving is None else _padded([placed[which == number] for which, placed in moving])
        own = matrices[chosen == number]
        if prim and (len(own) or (frames is not None and frames.shape[1])):
            prototypes.append(Prototype(prim, own, frames))
    return prototypes


def within(standing: Standing, prototype: Prototype, world: Doubles, worlds: Doubles | None) -> Standing:
    """How a prototype stands whose instancer stands in `standing`, at `world`, or at `worlds` in each frame."""
    outer, outer_frames = standing.placed(world)
    count = len(prototype.matrices) * len(outer)
    if count > MAX_INSTANCES:
        raise BadGeometry(f"more than {MAX_INSTANCES} instances")
    matrices = (prototype.matrices[:, None] @ outer[None]).reshape(-1, 4, 4)
    frames = None
    if prototype.frames is not None or outer_frames is not None:
        inner = prototype.matrices[None] if prototype.frames is None else prototype.frames
        around = (outer[None] if worlds is None else worlds[:, None]) if outer_frames is None else outer_frames
        if max(len(inner), len(around)) * inner.shape[1] * around.shape[1] > MAX_MOVING:
            raise BadGeometry(f"its instances move in more than {MAX_MOVING} steps together")
        product = inner[:, :, None] @ around[:, None]
        frames = product.reshape(len(product), -1, 4, 4)
    return Standing(
        matrices=matrices,
        frames=frames,
        anchor=standing.anchor,
        shown=standing.shown,
        owner=standing.owner,
        nesting=standing.nesting + 1,
    )


def moves(instancer: UsdGeom.PointInstancer) -> bool:
    """Whether it places its instances anew over time."""
    attributes = (instancer.GetPrim().GetAttribute(name) for name in _PLACING)
    return any(attribute and attribute.ValueMightBeTimeVarying() for attribute in attributes)


def _at(instancer: UsdGeom.PointInstancer, time: Usd.TimeCode) -> tuple[Integers, Doubles]:
    """The prototype and the transform of each visible instance."""
    chosen = np.asarray(instancer.GetProtoIndicesAttr().Get(time) or [], np.int32)
    if len(chosen) > MAX_INSTANCES or len(numbers(instancer.GetPositionsAttr(), time, 3)) != len(chosen):
        raise BadGeometry(f"positions and protoIndices do not fit together, or are more than {MAX_INSTANCES}")
    mask = instancer.ComputeMaskAtTime(time)
    transforms = instancer.ComputeInstanceTransformsAtTime(
        time, time, UsdGeom.PointInstancer.IncludeProtoXform, UsdGeom.PointInstancer.IgnoreMask
    )
    matrices = np.array(transforms, dtype=np.float64).reshape(-1, 4, 4)
    if len(matrices) != len(chosen):
        raise BadGeometry("its instances have no transforms")
    kept = np.asarray(mask, bool) if len(mask) == len(chosen) else np.ones(len(chosen), bool)
    return chosen[kept], matrices[kept]


def _moving(
    instancer: UsdGeom.PointInstancer, times: Sequence[float], count: int, omissions: Omissions
) -> list[tuple[Integers, Doubles]] | None:
    """The instances of every frame; None where they stay, or are too many to be followed."""
    if not times or not moves(instancer):
        return None
    if len(times) * count > MAX_MOVING:
        omissions.add("point instancers with too many instances to move, shown as at the start", instancer.GetPrim())
        return None
    return [_at(instancer, Usd.TimeCode(time)) for time in times]


def _padded(frames: list[Doubles]) -> Doubles:
    """(frames, most, 4, 4), zeros where a frame has fewer."""
    padded = np.zeros((len(frames), max(len(matrices) for matrices in frames), 4, 4))
    for target, matrices in zip(padded, frames, strict=True):
        target[: len(matrices)] = matrices
    return padded


def _alive_only(placed: Doubles, frames: Doubles) -> Doubles:
    """A matrix of zeros stays one, whatever it is multiplied by."""
    return np.where((frames[..., 3, 3] != 0)[..., None, None], placed, 0.0)
