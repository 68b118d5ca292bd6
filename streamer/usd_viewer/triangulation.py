"""Polygons of any number of corners, concave ones too, as triangles. Pure NumPy."""

import numpy as np

from streamer.usd_viewer.scene import Doubles, Integers

MAX_EAR_CORNERS = 4096
"""A concave polygon with more corners is fanned: ears cost the square of the corners."""


def triangulate(points: Doubles, counts: Integers, indices: Integers) -> tuple[Integers, Integers]:
    """Triangles of a mesh's faces.

    Args:
        points: (n, 3).
        counts: corners of each face; faces of fewer than three are left out.
        indices: the points of all corners, face after face.

    Returns:
        (t, 3) positions in `indices`, in the faces' winding, and (t,) the face of each triangle.
    """
    starts = np.cumsum(counts, dtype=np.int64) - counts
    triangles: list[Integers] = []
    faces: list[Integers] = []
    for size in np.unique(counts):
        if size < 3:
            continue
        chosen = np.flatnonzero(counts == size).astype(np.int32)
        corners = (starts[chosen][:, None] + np.arange(size)).astype(np.int32)
        of_size = _same_size(points[indices[corners]], corners)
        triangles.append(of_size.reshape(-1, 3))
        faces.append(np.repeat(chosen, size - 2))
    if not triangles:
        return np.empty((0, 3), np.int32), np.empty(0, np.int32)
    return np.concatenate(triangles), np.concatenate(faces)


def polygon_normals(polygons: Doubles) -> Doubles:
    """Newell's normals of (f, corners, 3) polygons, as long as twice their area."""
    following = np.roll(polygons, -1, axis=1)
    total: Doubles = np.cross(polygons, following).sum(axis=1)
    return total


def _same_size(polygons: Doubles, corners: Integers) -> Integers:
    """(f, size - 2, 3) corners for (f, size, 3) polygons."""
    size = corners.shape[1]
    if size == 3:
        return corners[:, None, :]
    centered = polygons - polygons.mean(axis=1, keepdims=True)
    normals = polygon_normals(centered)
    fan = np.stack([np.zeros(size - 2, int), np.arange(1, size - 1), np.arange(2, size)], axis=1)
    result: Integers = corners[:, fan]
    for face in np.flatnonzero(_reflex(centered, normals).any(axis=1)):
        if size <= MAX_EAR_CORNERS:
            result[face] = corners[face][_clip_ears(_flatten(centered[face], normals[face]))]
    return result


def _reflex(polygons: Doubles, normals: Doubles) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which corners turn against their polygon."""
    incoming = polygons - np.roll(polygons, 1, axis=1)
    outgoing = np.roll(polygons, -1, axis=1) - polygons
    turns = np.einsum("fcx,fx->fc", np.cross(incoming, outgoing), normals)
    tolerance = 1e-9 * np.einsum("fx,fx->f", normals, normals)[:, None]
    return np.asarray(turns < -tolerance)


def _flatten(polygon: Doubles, normal: Doubles) -> Doubles:
    """The polygon seen along its normal, counter-clockwise: the plane of the normal's greatest coordinate."""
    axis = int(np.argmax(np.abs(normal)))
    flat: Doubles = polygon[:, [(axis + 1) % 3, (axis + 2) % 3]]
    return flat if normal[axis] > 0 else flat * np.array([-1.0, 1.0])


def _clip_ears(polygon: Doubles) -> Integers:
    """Ear clipping of a counter-clockwise polygon in the plane; what is degenerate is fanned."""
    left = list(range(len(polygon)))
    triangles: list[tuple[int, int, int]] = []
    while len(left) > 3:
        position = next((at for at in range(len(left)) if _is_ear(polygon, left, at)), 0)
        triangles.append((left[position - 1], left[position], left[(position + 1) % len(left)]))
        del left[position]
    triangles.append((left[0], left[1], left[2]))
    return np.array(triangles, np.int32)


def _is_ear(polygon: Doubles, left: list[int], position: int) -> bool:
    before, here, after = left[position - 1], left[position], left[(position + 1) % len(left)]
    a, b, c = polygon[before], polygon[here], polygon[after]
    if _cross(b - a, c - b) <= 0:
        return False
    others = polygon[[corner for corner in left if corner not in (before, here, after)]]
    inside = (_cross(b - a, others - a) >= 0) & (_cross(c - b, others - b) >= 0) & (_cross(a - c, others - c) >= 0)
    same = (others == a).all(axis=1) | (others == b).all(axis=1) | (others == c).all(axis=1)
    return not bool((inside & ~same).any())


def _cross(edge: Doubles, other: Doubles) -> Doubles:
    value: Doubles = edge[..., 0] * other[..., 1] - edge[..., 1] * other[..., 0]
    return value
