"""Shapes in their own space: indexed points with normals, colours and texture coordinates, and the implicit ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streamer.usd_viewer.camera import UpAxis
from streamer.usd_viewer.scene import Doubles, Integers, Kind

_SEGMENTS, _RINGS = 32, 16


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Geometry before it is placed. Every array has one row per point; colours are linear."""

    kind: Kind
    points: Doubles
    elements: Integers
    normals: Doubles
    """(0, 3) for lines and dots"""
    colors: Doubles | None = None
    """(n, 4) display colour and opacity, where the shape brings its own"""
    uvs: Mapping[str, Doubles] = field(default_factory=dict)
    """texture coordinates by primvar name"""
    tints: Mapping[str, Doubles] = field(default_factory=dict)
    """linear colours, other than the display colour, by primvar name"""
    faces: Integers | None = None
    """(m,) the mesh's face of each element, for subsets"""
    sources: Integers | None = None
    """(n,) the mesh's point behind each point, for deformation"""


def weld(positions: Integers, attributes: Doubles) -> tuple[Integers, Integers]:
    """Corners that agree in position and attributes made one.

    Args:
        positions: (c,) point of each corner.
        attributes: (c, k) what else tells corners apart.

    Returns:
        (v,) one corner for each point that remains, and (c,) the remaining point of each corner.
    """
    words = np.ascontiguousarray(attributes, np.float32).view(np.uint32).astype(np.uint64)
    keys = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for column in words.T:
        keys = (keys ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        keys ^= keys >> np.uint64(32)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first.astype(np.int32), inverse.astype(np.int32)


def cube(size: float) -> Shape:
    """A cube about the origin."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    points, normals = [], []
    for axis in range(3):
        for side in (-1.0, 1.0):
            quad = np.full((4, 3), side * size / 2)
            quad[:, [(axis + 1) % 3, (axis + 2) % 3]] = corners if side > 0 else corners[::-1]
            points.append(quad)
            normals.append(np.tile(np.eye(3)[axis] * side, (4, 1)))
    quads = np.arange(24, dtype=np.int32).reshape(6, 4)
    elements = quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    return Shape(Kind.SURFACE, np.concatenate(points), elements, np.concatenate(normals))


def plane(width: float, length: float, axis: str) -> Shape:
    """A rectangle across `axis` through the origin, `width` along the first and `length` along the other direction."""
    across = {"X": (2, 1), "Y": (0, 2), "Z": (0, 1)}[axis]
    points = np.zeros((4, 3))
    points[:, across[0]] = np.array([-1, 1, 1, -1]) * width / 2
    points[:, across[1]] = np.array([-1, -1, 1, 1]) * length / 2
    normals = np.tile(np.eye(3)["XYZ".index(axis)], (4, 1))
    uvs = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    elements = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    if axis != "Z":
        elements = elements[:, ::-1].copy()
    return Shape(Kind.SURFACE, points, elements, normals, uvs={"st": uvs})


def sphere(radius: float) -> Shape:
    """A sphere about the origin."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, _RINGS + 1)
    around = _cosines(angles)
    return _turned(around * radius, np.sin(angles) * radius, around, np.sin(angles), "Z")


def capsule(radius: float, height: float, axis: str) -> Shape:
    """A cylinder of `height` between two half spheres."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, _RINGS + 2)
    lift = np.where(np.arange(_RINGS + 2) <= _RINGS // 2, -height / 2, height / 2)
    around = _cosines(angles)
    return _turned(around * radius, np.sin(angles) * radius + lift, around, np.sin(angles), axis)


def cylinder(radius: float, height: float, axis: str) -> Shape:
    """A cylinder with its caps."""
    half = height / 2
    radii = np.array([0.0, radius, radius, radius, radius, 0.0])
    outward = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    along = np.array([-1.0, -1.0, 0.0, 0.0, 1.0, 1.0])
    return _turned(radii, np.array([-half, -half, -half, half, half, half]), outward, along, axis)


def cone(radius: float, height: float, axis: str) -> Shape:
    """A cone with its cap, apex on the positive side."""
    slope = np.hypot(radius, height) or 1.0
    radii = np.array([0.0, radius, radius, 0.0])
    heights = np.array([-height / 2, -height / 2, -height / 2, height / 2])
    outward = np.array([0.0, 0.0, height / slope, height / slope])
    along = np.array([-1.0, -1.0, radius / slope, radius / slope])
    return _turned(radii, heights, outward, along, axis)


def box_edges(low: Doubles, high: Doubles) -> Shape:
    """The twelve edges of a box."""
    bits = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    edges = [(a, b) for a in range(8) for b in range(a) if np.abs(bits[a] - bits[b]).sum() == 1]
    return Shape(Kind.LINES, np.where(bits, high, low).astype(float), np.array(edges, np.int32), np.empty((0, 3)))


def as_up_axis(name: str) -> UpAxis:
    """The up axis that a stage names; Y for what is not one."""
    return UpAxis.Z if name == "Z" else UpAxis.Y


def _cosines(angles: Doubles) -> Doubles:
    """Cosines, zero at the poles."""
    return np.where(np.abs(np.sin(angles)) > 1 - 1e-12, 0.0, np.cos(angles))


def _turned(radii: Doubles, heights: Doubles, outward: Doubles, along: Doubles, axis: str) -> Shape:
    """The surface of a profile turned about an axis, from its lowest point up."""
    turn = np.linspace(0.0, 2 * np.pi, _SEGMENTS + 1)
    around = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    points = np.empty((len(radii), _SEGMENTS + 1, 3))
    normals = np.empty_like(points)
    for target, spread, height in ((points, radii, heights), (normals, outward, along)):
        target[..., :2] = spread[:, None, None] * around
        target[..., 2] = height[:, None]
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals /= np.where(lengths > 0, lengths, 1.0)
    ring, segment = np.mgrid[0 : len(radii) - 1, 0:_SEGMENTS]
    corner = (ring * (_SEGMENTS + 1) + segment).reshape(-1, 1)
    quads = corner + np.array([0, 1, _SEGMENTS + 2, _SEGMENTS + 1])
    apart = (np.diff(radii) != 0) | (np.diff(heights) != 0)
    low, high = ((apart[ring] & (radii[ring + side] > 0)).reshape(-1) for side in (0, 1))
    elements = np.concatenate([quads[low][:, [0, 1, 2]], quads[high][:, [0, 2, 3]]]).astype(np.int32)
    order = {"X": [2, 0, 1], "Y": [1, 2, 0], "Z": [0, 1, 2]}[axis]
    return Shape(Kind.SURFACE, points.reshape(-1, 3)[:, order], elements, normals.reshape(-1, 3)[:, order])
