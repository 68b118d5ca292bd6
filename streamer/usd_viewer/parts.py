"""Which elements of a scene belong to which prims, and where those are. Pure NumPy."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamer.usd_viewer.camera import Bounds
from streamer.usd_viewer.scene import Batch, Doubles, Floats, Integers, Scene
from streamer.usd_viewer.shading_normals import unit


def owner_of(batch: Batch, element: int) -> int:
    """The number, in the scene's `paths`, of the prim to which an element belongs."""
    run = int(np.searchsorted(batch.runs[:, 0], element, side="right")) - 1
    return int(batch.runs[run, 1])


def parts_under(scene: Scene, paths: Iterable[str]) -> list[Batch]:
    """What is drawn of these prims and of all below them, as batches that hold nothing else."""
    chosen = _under(scene.paths, paths)
    parts = []
    for batch in scene.batches:
        lengths = np.diff(np.append(batch.runs[:, 0], len(batch.elements)))
        owners = np.repeat(batch.runs[:, 1], lengths)
        kept = chosen[owners]
        if kept.any():
            parts.append(replace(batch, elements=batch.elements[kept], runs=runs_of(owners[kept])))
    return parts


def runs_of(owners: Integers) -> Integers:
    """(k, 2) runs for the owner of each element; at least one element."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    return np.stack([starts, owners[starts]], axis=1).astype(np.int32)


def bounds_of(scene: Scene, paths: Iterable[str], frame: int = 0) -> Bounds | None:
    """The box around these prims and all below them in a frame of the timeline; None where nothing is drawn of them.

    In the scene's coordinates, as the camera's: moved by `-scene.origin`.
    """
    placed = [points for part in parts_under(scene, paths) if len(points := _points(part, frame))]
    if not placed:
        return None
    low = np.min([points.min(axis=0) for points in placed], axis=0).tolist()
    high = np.max([points.max(axis=0) for points in placed], axis=0).tolist()
    return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _under(paths: tuple[str, ...], roots: Iterable[str]) -> NDArray[np.bool_]:
    """Which paths are one of the roots or below one."""
    trees = {root.rstrip("/") for root in roots}
    return np.array([any(above in trees for above in _upward(path)) for path in paths], np.bool_)


def _upward(path: str) -> Iterable[str]:
    """A path and all above it; the last is the empty one of the pseudo-root."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield path


def reach_of(scene: Scene) -> Bounds:
    """A box that holds the scene in all of its frames."""
    lows, highs = [np.array(scene.bounds.low)], [np.array(scene.bounds.high)]
    for batch in scene.batches:
        shapes = batch.point_frames if len(batch.point_frames) else batch.points[None]
        matrices = batch.copies.reshape(-1, 4, 4) if len(batch.copies) else batch.transforms
        matrices = matrices[matrices[:, 3, 3] != 0]
        if not len(matrices) or not shapes.size:
            continue
        box = np.stack([shapes.min(axis=(0, 1)), shapes.max(axis=(0, 1))])
        corners = np.array([[box[x, 0], box[y, 1], box[z, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        placed = corners @ matrices[:, :3, :3] + matrices[:, None, 3, :3]
        lows.append(placed.min(axis=(0, 1)))
        highs.append(placed.max(axis=(0, 1)))
    low, high = np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()
    return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def copied(points: Floats, matrices: Floats) -> Floats:
    """(copies * n, 3) points as each matrix places them; one of zeros has all its points in one place, unseen."""
    linear, shift = matrices[:, :3, :3], matrices[:, None, 3, :3]
    placed: Floats = (points @ linear + shift).astype(np.float32)
    alive = matrices[:, 3, 3] != 0
    if not alive.all():
        placed[~alive] = placed[alive][0, 0] if alive.any() else 0.0
    return placed.reshape(-1, 3)


def copied_normals(normals: Floats, matrices: Floats) -> Floats:
    """(copies * n, 3) normals beside `copied` points."""
    if not len(normals):
        return normals
    linear = matrices[:, :3, :3].astype(np.float64)
    singular = np.abs(np.linalg.det(linear)) < 1e-30
    cofactors = np.linalg.inv(np.where(singular[:, None, None], np.eye(3), linear)).transpose(0, 2, 1)
    return unit(normals @ cofactors).reshape(-1, 3).astype(np.float32)


def _points(batch: Batch, frame: int) -> Doubles:
    """The points that the batch's elements use, where they are in a frame."""
    used = np.unique(batch.elements)
    shown = batch.point_frames[min(frame, len(batch.point_frames) - 1)] if len(batch.point_frames) else batch.points
    points: Doubles = shown[used].astype(np.float64)
    if len(batch.copies):
        matrices = batch.copies[min(frame, len(batch.copies) - 1)]
        points = copied(shown[used], matrices[matrices[:, 3, 3] != 0]).astype(np.float64)
    if len(batch.transforms):
        matrix = batch.transforms[min(frame, len(batch.transforms) - 1)]
        points = points @ matrix[:3, :3] + matrix[3, :3]
    return points
