"""Placed shapes gathered into few draw calls: what has the same surface and stands still becomes one batch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamer.usd_viewer.camera import Bounds
from streamer.usd_viewer.parts import copied, copied_normals
from streamer.usd_viewer.scene import Batch, Bytes, Doubles, Floats, Integers, Kind, Surface
from streamer.usd_viewer.shading_normals import flat_normals, unit
from streamer.usd_viewer.shapes import Shape

MAX_ELEMENTS = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A shape, or a part of it, where it stands: once, or many times."""

    shape: Shape
    elements: Integers
    """The part of the shape's elements that is meant."""
    colors: Bytes
    """(n, 4) display-referred, beside the shape's points"""
    uvs: Doubles
    """(n, 2), or (0, 2)"""
    surface: Surface
    matrices: Doubles
    """(instances, 4, 4), in the world, at the start"""
    anchor: str = ""
    """What it moves with; empty where it stands still."""
    owner: int = 0
    """Number of the prim's path."""
    frames: Doubles | None = None
    """(frames, copies, 4, 4) where it stands many times over and anew in each; a matrix of zeros for none"""
    shown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(frames,) when it is to be seen, or (0,) for always"""
    deformation: Doubles | None = None
    """(frames, points of the mesh, 3) where it changes its shape"""


def outline_of(batches: Iterable[Batch]) -> Doubles:
    """(k, 3) of all points, at some times from start to end, those that lie farthest out in many directions."""
    outermost = []
    for batch in batches:
        for points in _over_time(batch):
            pieces = len(points) // _POINTS_AT_ONCE + 1
            outermost += [_farthest(piece) for piece in np.array_split(points, pieces)]
    return _farthest(np.concatenate([np.empty((0, 3)), *outermost]))


def _over_time(batch: Batch) -> Iterator[Doubles]:
    """A batch's points at up to _TIMES times; what turns is outlined by its outermost points alone."""
    if len(batch.point_frames):
        for number in np.unique(np.linspace(0, len(batch.point_frames) - 1, _TIMES).astype(int)):
            matrix = batch.transforms[number]
            yield batch.point_frames[number].astype(np.float64) @ matrix[:3, :3] + matrix[3, :3]
    elif len(batch.copies):
        outermost = _farthest(batch.points.astype(np.float64)).astype(np.float32)
        for number in np.unique(np.linspace(0, len(batch.copies) - 1, _TIMES).astype(int)):
            alive = batch.copies[number][batch.copies[number][:, 3, 3] != 0]
            yield copied(outermost, alive).astype(np.float64)
    elif len(batch.transforms):
        points = _farthest(batch.points.astype(np.float64))
        for number in np.unique(np.linspace(0, len(batch.transforms) - 1, _TIMES).astype(int)):
            yield points @ batch.transforms[number, :3, :3] + batch.transforms[number, 3, :3]
    else:
        yield batch.points.astype(np.float64)


def _farthest(points: Doubles) -> Doubles:
    chosen: Doubles = points[np.unique(np.argmax(_DIRECTIONS @ points.T, axis=1))] if len(points) else points
    return chosen


def _spread_directions(count: int) -> Doubles:
    """Unit vectors spread evenly over the sphere (a Fibonacci lattice)."""
    number = np.arange(count) + 0.5
    height, turn = 1 - 2 * number / count, np.pi * (1 + 5**0.5) * number
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


_DIRECTIONS = _spread_directions(200)
_POINTS_AT_ONCE = 50_000
_TIMES = 16


def bounds_of(placements: Iterable[Placement]) -> Bounds | None:
    """The box around everything, moving things where they start; None around nothing."""
    lows, highs = [], []
    for placement in placements:
        used = placement.shape.points[np.unique(placement.elements)]
        matrices = placement.matrices
        if not len(matrices) and placement.frames is not None:
            # Nothing stands there at the start, yet something will.
            matrices = placement.frames[placement.frames[..., 3, 3] != 0]
        if not len(used) or not len(matrices):
            continue
        box = np.stack([used.min(axis=0), used.max(axis=0)])
        corners = np.array([[box[x, 0], box[y, 1], box[z, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        placed = corners @ matrices[:, :3, :3] + matrices[:, None, 3, :3]
        lows.append(placed.min(axis=(0, 1)))
        highs.append(placed.max(axis=(0, 1)))
    if not lows:
        return None
    low, high = np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()
    return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def gather(
    placements: Iterable[Placement], tracks: Mapping[str, Doubles], origin: Doubles
) -> tuple[tuple[Batch, ...], int]:
    """Batches around `origin`, opaque ones first, and how many elements found no room under MAX_ELEMENTS.

    Args:
        tracks: (frames, 4, 4) world transforms of what things move with.
    """
    joined: defaultdict[tuple[Kind, Surface, str, bytes], list[Batch]] = defaultdict(list)
    alone: list[Batch] = []
    room, left_out = MAX_ELEMENTS, 0
    for placement in placements:
        each = max(len(placement.elements), 1)
        copies = len(placement.matrices) if placement.frames is None else placement.frames.shape[1]
        drawn = min(copies, room // each)
        left_out += (copies - drawn) * each
        room -= drawn * each
        if drawn == 0 or not len(placement.elements):
            continue
        track = tracks.get(placement.anchor)
        if placement.frames is not None:
            alone.append(_copied(placement, placement.frames[:, :drawn], origin))
        elif placement.deformation is not None:
            alone.append(_deforming(placement, placement.deformation, track, origin))
        else:
            anchor = "" if track is None else placement.anchor
            key = (placement.shape.kind, placement.surface, anchor, placement.shown.tobytes())
            joined[key].append(_rigid(placement, placement.matrices[:drawn], track, origin))
    batches = [_joined(parts) for parts in joined.values()] + alone
    return tuple(sorted(batches, key=lambda batch: batch.surface.translucent)), left_out


def _rigid(placement: Placement, matrices: Doubles, track: Doubles | None, origin: Doubles) -> Batch:
    shape, used, elements = _used(placement)
    if track is None:
        matrices = matrices @ _shift(origin)
    else:
        matrices = matrices @ np.linalg.inv(track[0])
    drawn, count = len(matrices), len(used)
    points = shape.points[used] @ matrices[:, :3, :3] + matrices[:, None, 3, :3]
    copies = np.tile(elements, (drawn, 1, 1))
    mirrored = np.linalg.det(matrices[:, :3, :3]) < 0
    copies[mirrored] = copies[mirrored][:, :, ::-1]
    copies += (np.arange(drawn, dtype=np.int32) * count)[:, None, None]
    return Batch(
        kind=shape.kind,
        surface=placement.surface,
        points=points.reshape(-1, 3).astype(np.float32),
        elements=copies.reshape(-1, elements.shape[1]),
        normals=copied_normals(_normals(shape, used), matrices.astype(np.float32)),
        colors=np.tile(placement.colors[used], (drawn, 1)),
        uvs=np.tile(placement.uvs[used] if len(placement.uvs) else placement.uvs, (drawn, 1)).astype(np.float32),
        transforms=np.empty((0, 4, 4)) if track is None else track @ _shift(origin),
        point_frames=np.empty((0, drawn * count, 3), np.float32),
        normal_frames=np.empty((0, drawn * count, 3), np.float32),
        runs=_run(placement),
        shown=placement.shown,
    )


def _copied(placement: Placement, frames: Doubles, origin: Doubles) -> Batch:
    shape, used, elements = _used(placement)
    return Batch(
        kind=shape.kind,
        surface=placement.surface,
        points=shape.points[used].astype(np.float32),
        elements=elements,
        normals=_normals(shape, used),
        colors=placement.colors[used],
        uvs=(placement.uvs[used] if len(placement.uvs) else placement.uvs).astype(np.float32),
        transforms=np.empty((0, 4, 4)),
        point_frames=np.empty((0, len(used), 3), np.float32),
        normal_frames=np.empty((0, len(used), 3), np.float32),
        runs=_run(placement),
        copies=np.where((frames[..., 3, 3] != 0)[..., None, None], frames @ _shift(origin), 0.0).astype(np.float32),
        shown=placement.shown,
    )


def _deforming(placement: Placement, deformation: Doubles, track: Doubles | None, origin: Doubles) -> Batch:
    shape, used, elements = _used(placement)
    sources = shape.sources if shape.sources is not None else np.arange(len(shape.points), dtype=np.int32)
    within = placement.matrices[:1] if track is None else placement.matrices[:1] @ np.linalg.inv(track[0]) @ track
    transforms = np.broadcast_to(within @ _shift(origin), (len(deformation), 4, 4))
    point_frames = deformation[:, sources[used]]
    return Batch(
        kind=shape.kind,
        surface=placement.surface,
        points=shape.points[used].astype(np.float32),
        elements=elements,
        normals=_normals(shape, used),
        colors=placement.colors[used],
        uvs=(placement.uvs[used] if len(placement.uvs) else placement.uvs).astype(np.float32),
        transforms=transforms,
        point_frames=point_frames.astype(np.float32),
        normal_frames=_normal_frames(point_frames, elements).astype(np.float32),
        runs=_run(placement),
        shown=placement.shown,
    )


def _run(placement: Placement) -> Integers:
    return np.array([[0, placement.owner]], np.int32)


def _normals(shape: Shape, used: Integers) -> Floats:
    return (shape.normals[used] if len(shape.normals) else shape.normals).astype(np.float32)


def _shift(origin: Doubles) -> Doubles:
    """The matrix that moves `origin` to zero."""
    matrix = np.eye(4)
    matrix[3, :3] = -origin
    return matrix


def _used(placement: Placement) -> tuple[Shape, Integers, Integers]:
    """The points that the part needs, and its elements over those."""
    used, elements = np.unique(placement.elements, return_inverse=True)
    return placement.shape, used, elements.reshape(placement.elements.shape).astype(np.int32)


def _normal_frames(point_frames: Doubles, elements: Integers) -> Doubles:
    """Normals of every frame: those of the faces around each welded point, so creases stay."""
    result = np.zeros_like(point_frames)
    if elements.shape[1] == 3:
        for points, normals in zip(point_frames, result, strict=True):
            weighted = flat_normals(points, elements)
            for corner in range(3):
                np.add.at(normals, elements[:, corner], weighted)
    return unit(result)


def _joined(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
    firsts = np.cumsum([0, *(len(part.elements) for part in parts[:-1])])
    points = np.concatenate([part.points for part in parts])
    return Batch(
        kind=parts[0].kind,
        surface=parts[0].surface,
        points=points,
        elements=np.concatenate([part.elements + start for part, start in zip(parts, starts, strict=True)]).astype(
            np.int32
        ),
        normals=np.concatenate([part.normals for part in parts]),
        colors=np.concatenate([part.colors for part in parts]),
        uvs=np.concatenate([part.uvs for part in parts]),
        transforms=parts[0].transforms,
        point_frames=np.empty((0, len(points), 3), np.float32),
        normal_frames=np.empty((0, len(points), 3), np.float32),
        shown=parts[0].shown,
        runs=np.concatenate(
            [part.runs + np.array([first, 0]) for part, first in zip(parts, firsts, strict=True)]
        ).astype(np.int32),
    )
