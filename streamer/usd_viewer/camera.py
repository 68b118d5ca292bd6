"""Orbit camera arithmetic: turntable, pan, zoom towards the pointer, framing. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

Vector = tuple[float, float, float]

MAX_ELEVATION = math.radians(89.0)
ORBIT_PER_PICTURE = math.radians(270.0)
NEAREST, FARTHEST = 1e-3, 100.0
"""Bounds of the distance, in radii of what was framed last."""

_LEAST_EXTENT = 1e-9
"""The smallest box that counts as one, in parts of its distance from the origin."""


class UpAxis(StrEnum):
    """The axis of the stage that points up."""

    Y = "Y"
    Z = "Z"


@dataclass(frozen=True, slots=True)
class Bounds:
    """An axis-aligned box, `low` <= `high` in every coordinate."""

    low: Vector
    high: Vector

    @property
    def center(self) -> Vector:
        """Its middle."""
        return scale(add(self.low, self.high), 0.5)

    @property
    def radius(self) -> float:
        """Half its diagonal; 1 for a box without extent, so that a single point can be framed.

        One that is lost in the rounding of its coordinates has none: no eye could stand before it.
        """
        half = length(subtract(self.high, self.low)) * 0.5
        farthest = max(map(abs, (*self.low, *self.high)))
        return half if half > farthest * _LEAST_EXTENT else 1.0

    def corners(self) -> Iterator[Vector]:
        """Its eight corners."""
        for x in (self.low[0], self.high[0]):
            for y in (self.low[1], self.high[1]):
                for z in (self.low[2], self.high[2]):
                    yield (x, y, z)


@dataclass(frozen=True, slots=True)
class Camera:
    """A turntable camera: it looks at `target` from `distance` away.

    Angles are radians: `azimuth` turns about the up axis (0 is the stage's front), `elevation` rises above the
    horizon, `field_of_view` is vertical, `roll` leans the picture's top to its left. `reach` is the radius of what was
    framed last; it bounds the zoom. `clip` is near and far, where a camera of the stage says so.
    """

    target: Vector = (0.0, 0.0, 0.0)
    distance: float = 4.0
    azimuth: float = math.radians(35.0)
    elevation: float = math.radians(22.0)
    up_axis: UpAxis = UpAxis.Y
    field_of_view: float = math.radians(35.0)
    reach: float = 1.0
    roll: float = 0.0
    clip: tuple[float, float] | None = None

    @property
    def backward(self) -> Vector:
        """Unit vector from the target to the eye."""
        horizontal = math.cos(self.elevation)
        return self._in_stage(
            (
                horizontal * math.sin(self.azimuth),
                math.sin(self.elevation),
                horizontal * math.cos(self.azimuth),
            )
        )

    @property
    def right(self) -> Vector:
        """Unit vector to the right in the picture."""
        level = self._in_stage((math.cos(self.azimuth), 0.0, -math.sin(self.azimuth)))
        if self.roll == 0.0:
            return level
        upright = cross(self.backward, level)
        return add(scale(level, math.cos(self.roll)), scale(upright, math.sin(self.roll)))

    @property
    def up(self) -> Vector:
        """Unit vector to the top of the picture."""
        return cross(self.backward, self.right)

    @property
    def world_up(self) -> Vector:
        """Unit vector along the up axis."""
        return self._in_stage((0.0, 1.0, 0.0))

    @property
    def eye(self) -> Vector:
        """Where the camera stands."""
        return add(self.target, scale(self.backward, self.distance))

    def _in_stage(self, vector: Vector) -> Vector:
        if self.up_axis is UpAxis.Y:
            return vector
        x, y, z = vector
        return (x, -z, y)


def add(a: Vector, b: Vector) -> Vector:
    """Sum."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def subtract(a: Vector, b: Vector) -> Vector:
    """Difference."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def scale(a: Vector, factor: float) -> Vector:
    """Multiple."""
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def dot(a: Vector, b: Vector) -> float:
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    """Outer product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def length(a: Vector) -> float:
    """Euclidean length."""
    return math.hypot(*a)


def orbit(camera: Camera, dx: float, dy: float) -> Camera:
    """Turn about the up axis by a drag of `dx`, `dy` picture heights (right and down); never over the poles."""
    azimuth = math.remainder(camera.azimuth - dx * ORBIT_PER_PICTURE, math.tau)
    elevation = camera.elevation + dy * ORBIT_PER_PICTURE
    elevation = min(max(elevation, -MAX_ELEVATION), MAX_ELEVATION)
    return replace(camera, azimuth=azimuth, elevation=elevation, roll=0.0, clip=None)


def pan(camera: Camera, dx: float, dy: float) -> Camera:
    """Shift by a drag of `dx`, `dy` picture heights: the point at the target's depth stays under the pointer."""
    height = 2.0 * camera.distance * math.tan(camera.field_of_view / 2.0)
    shift = add(scale(camera.right, -dx * height), scale(camera.up, dy * height))
    return replace(camera, target=add(camera.target, shift), clip=None)


def zoom(camera: Camera, factor: float, x: float = 0.0, y: float = 0.0) -> Camera:
    """Multiply the distance by `factor`; what lies at the target's depth under (`x`, `y`) stays there.

    `x` and `y` are picture heights from the middle, right and up.
    """
    distance = min(max(camera.distance * factor, camera.reach * NEAREST), camera.reach * FARTHEST)
    height = 2.0 * (camera.distance - distance) * math.tan(camera.field_of_view / 2.0)
    shift = add(scale(camera.right, x * height), scale(camera.up, y * height))
    return replace(camera, target=add(camera.target, shift), distance=distance, clip=None)


def frame(camera: Camera, points: Sequence[Vector], radius: float, aspect: float, *, margin: float = 1.1) -> Camera:
    """Look at `points` from the same direction, as near as leaves all of them in a picture of `aspect` (width/height).

    They lie in the middle of the picture, with `margin` around them; at least one point. `radius` is theirs, about.
    """
    tall = math.tan(camera.field_of_view / 2.0) / margin
    across, along = (
        _fit(points, camera.right, camera.backward, tall * aspect),
        _fit(points, camera.up, camera.backward, tall),
    )
    depth = max(across[1], along[1])
    front = max(dot(point, camera.backward) for point in points)
    middle = (front + min(dot(point, camera.backward) for point in points)) / 2.0
    depth = max(depth, front + radius * 0.1)
    target = add(
        add(scale(camera.right, across[0]), scale(camera.up, along[0])),
        scale(camera.backward, middle),
    )
    return replace(camera, target=target, distance=depth - middle, reach=radius, clip=None)


def _fit(points: Sequence[Vector], sideways: Vector, backward: Vector, slope: float) -> tuple[float, float]:
    """Where an eye stands, sideways and backward, whose view of `slope` to both sides just holds the points."""
    right = max(dot(point, sideways) + slope * dot(point, backward) for point in points)
    left = max(-dot(point, sideways) + slope * dot(point, backward) for point in points)
    return ((right - left) / 2.0, (right + left) / (2.0 * slope))


def clipping(camera: Camera, bounds: Bounds) -> tuple[float, float]:
    """Near and far plane: those that the camera has, or that hold `bounds`, near no less than a thousandth of far."""
    if camera.clip is not None:
        return camera.clip
    depths = [dot(subtract(camera.eye, corner), camera.backward) for corner in bounds.corners()]
    far = max(max(depths) * 1.01, camera.distance * 0.01)
    near = max(min(depths) * 0.99, far * 1e-3)
    return (near, far)
