"""Normals for meshes that bring none: flat for polygons, smooth up to a crease for subdivision cages. Pure NumPy."""

import numpy as np

from streamer.usd_viewer.scene import Doubles, Integers

CREASE_COSINE = float(np.cos(np.radians(50.0)))
"""Faces that meet at a sharper angle keep their edge."""
MAX_VALENCE = 48
"""Around a vertex with more faces all are averaged: comparing each with each costs the square."""
_PAIRS_AT_ONCE = 2_000_000


def flat_normals(points: Doubles, triangles: Integers) -> Doubles:
    """(t, 3) normals of triangles of points, as long as twice their area."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    normals: Doubles = np.cross(b - a, c - a)
    return normals


def smooth_normals(points: Doubles, triangles: Integers) -> Doubles:
    """(t, 3, 3) unit normals of each triangle's corners: those of the faces around it, up to the crease angle."""
    weighted = flat_normals(points, triangles)
    units = unit(weighted)
    vertices = triangles.reshape(-1)
    order = np.argsort(vertices, kind="stable")
    _, starts, valences = np.unique(vertices[order], return_index=True, return_counts=True)
    result = np.empty((len(vertices), 3))
    for valence in np.unique(valences):
        alike = order[starts[valences == valence][:, None] + np.arange(valence)]
        for corners in np.array_split(alike, 1 + alike.size * int(valence) // _PAIRS_AT_ONCE):
            result[corners] = _around_vertices(weighted[corners // 3], units[corners // 3])
    return unit(result).reshape(-1, 3, 3)


def _around_vertices(weighted: Doubles, units: Doubles) -> Doubles:
    """Sums for (vertices, valence, 3) normals of the faces around vertices of one valence."""
    if units.shape[1] > MAX_VALENCE:
        everything: Doubles = np.broadcast_to(weighted.sum(axis=1, keepdims=True), weighted.shape)
        return everything
    alike: Doubles = (units @ units.transpose(0, 2, 1) > CREASE_COSINE) @ weighted
    return alike


def unit(vectors: Doubles) -> Doubles:
    """Vectors of length one; those without length stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    normalized: Doubles = vectors / np.where(lengths > 0, lengths, 1.0)
    return normalized
