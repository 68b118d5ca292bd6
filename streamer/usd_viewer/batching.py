"""Placed shapes gathered into few draw calls: what has the same surface and stands still becomes one batch."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streamer.usd_viewer.camera import Bounds
from streamer.usd_viewer.scene import Batch, Bytes, Doubles, Integers, Kind, Surface
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
    """(instances, 4, 4)"""
    track: Doubles | None = None
    """(frames, 4, 4) where it moves; then `matrices` is its first one alone"""
    deformation: Doubles | None = None
    """(frames, points of the mesh, 3) where it changes its shape"""


def to_srgb(linear: Doubles) -> Doubles:
    """Display-referred colour of linear colour, both 0 to 1."""
    encoded: Doubles = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
    return encoded


def bounds_of(placements: Iterable[Placement]) -> Bounds | None:
    """The box around everything, moving things where they start; None around nothing."""
    lows, highs = [], []
    for placement in placements:
        used = placement.shape.points[np.unique(placement.elements)]
        if not len(used) or not len(placement.matrices):
            continue
        box = np.stack([used.min(axis=0), used.max(axis=0)])
        corners = np.array([[box[x, 0], box[y, 1], box[z, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        placed = corners @ placement.matrices[:, :3, :3] + placement.matrices[:, None, 3, :3]
        lows.append(placed.min(axis=(0, 1)))
        highs.append(placed.max(axis=(0, 1)))
    if not lows:
        return None
    low, high = np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()
    return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def gather(placements: Iterable[Placement], origin: Doubles) -> tuple[tuple[Batch, ...], int]:
    """Batches around `origin`, opaque ones first, and how many elements found no room under MAX_ELEMENTS."""
    still: defaultdict[tuple[Kind, Surface], list[Batch]] = defaultdict(list)
    moving: list[Batch] = []
    room, left_out = MAX_ELEMENTS, 0
    for placement in placements:
        each = max(len(placement.elements), 1)
        drawn = min(len(placement.matrices), room // each)
        left_out += (len(placement.matrices) - drawn) * each
        room -= drawn * each
        if drawn == 0 or not len(placement.elements):
            continue
        if placement.track is not None or placement.deformation is not None:
            moving.append(_moving(placement, origin))
        else:
            still[placement.shape.kind, placement.surface].append(_still(placement, drawn, origin))
    batches = [_joined(parts) for parts in still.values()] + moving
    return tuple(sorted(batches, key=lambda batch: batch.surface.translucent)), left_out


def _still(placement: Placement, drawn: int, origin: Doubles) -> Batch:
    shape, used, elements = _used(placement)
    matrices = placement.matrices[:drawn]
    points = shape.points[used] @ matrices[:, :3, :3] + (matrices[:, None, 3, :3] - origin)
    count = len(used)
    copies = np.tile(elements, (drawn, 1, 1))
    mirrored = np.linalg.det(matrices[:, :3, :3]) < 0
    copies[mirrored] = copies[mirrored][:, :, ::-1]
    copies += (np.arange(drawn, dtype=np.int32) * count)[:, None, None]
    return Batch(
        kind=shape.kind,
        surface=placement.surface,
        points=points.reshape(-1, 3).astype(np.float32),
        elements=copies.reshape(-1, elements.shape[1]),
        normals=_placed_normals(shape.normals[used], matrices) if len(shape.normals) else np.empty((0, 3), np.float32),
        colors=np.tile(placement.colors[used], (drawn, 1)),
        uvs=np.tile(placement.uvs[used] if len(placement.uvs) else placement.uvs, (drawn, 1)).astype(np.float32),
        transforms=np.empty((0, 4, 4)),
        point_frames=np.empty((0, drawn * count, 3), np.float32),
        normal_frames=np.empty((0, drawn * count, 3), np.float32),
    )


def _moving(placement: Placement, origin: Doubles) -> Batch:
    shape, used, elements = _used(placement)
    tracks = placement.matrices[:1] if placement.track is None else placement.track
    shift = np.eye(4)
    shift[3, :3] = -origin
    frames = 0 if placement.deformation is None else len(placement.deformation)
    if placement.deformation is not None and shape.sources is not None:
        point_frames = placement.deformation[:, shape.sources[used]]
    else:
        point_frames = np.empty((0, len(used), 3))
    transforms = tracks @ shift
    if len(transforms) == 1 and frames > 1:
        transforms = np.repeat(transforms, frames, axis=0)
    return Batch(
        kind=shape.kind,
        surface=placement.surface,
        points=shape.points[used].astype(np.float32),
        elements=elements,
        normals=(shape.normals[used] if len(shape.normals) else shape.normals).astype(np.float32),
        colors=placement.colors[used],
        uvs=(placement.uvs[used] if len(placement.uvs) else placement.uvs).astype(np.float32),
        transforms=transforms,
        point_frames=point_frames.astype(np.float32),
        normal_frames=_normal_frames(point_frames, elements).astype(np.float32),
    )


def _used(placement: Placement) -> tuple[Shape, Integers, Integers]:
    """The points that the part needs, and its elements over those."""
    used, elements = np.unique(placement.elements, return_inverse=True)
    return placement.shape, used, elements.reshape(placement.elements.shape).astype(np.int32)


def _placed_normals(normals: Doubles, matrices: Doubles) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    linear = matrices[:, :3, :3]
    singular = np.abs(np.linalg.det(linear)) < 1e-30
    cofactors = np.linalg.inv(np.where(singular[:, None, None], np.eye(3), linear)).transpose(0, 2, 1)
    return unit(normals @ cofactors).reshape(-1, 3).astype(np.float32)


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
    )
