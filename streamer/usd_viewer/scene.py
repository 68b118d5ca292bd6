"""What is drawn, as plain arrays: the form in which a loaded stage leaves the process that read it.

Matrices act on row vectors, as USD's do: `point @ matrix[:3, :3] + matrix[3, :3]`. Colours are display-referred (sRGB).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamer.usd_viewer.camera import Bounds, UpAxis, Vector

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int32]
Bytes = NDArray[np.uint8]


class Kind(StrEnum):
    """What a batch's elements are; it says how many points each has."""

    SURFACE = "surface"
    LINES = "lines"
    DOTS = "dots"

    @property
    def corners(self) -> int:
        """Points per element."""
        return {Kind.SURFACE: 3, Kind.LINES: 2, Kind.DOTS: 1}[self]


@dataclass(frozen=True, slots=True)
class Surface:
    """How a batch takes the light; its base colour lies in the points and in the texture."""

    texture: int = -1
    """Index into the scene's textures, or -1."""
    roughness: float = 0.5
    metallic: float = 0.0
    emissive: Vector = (0.0, 0.0, 0.0)
    translucent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One draw call: everything of one kind and surface that moves alike."""

    kind: Kind
    surface: Surface
    points: Floats
    """(n, 3)"""
    elements: Integers
    """(m, kind.corners), indices into the points"""
    normals: Floats
    """(n, 3) unit vectors; (0, 3) for lines and dots"""
    colors: Bytes
    """(n, 4), straight alpha"""
    uvs: Floats
    """(n, 2), origin at the lower left; (0, 2) where there is no texture"""
    transforms: Doubles
    """(frames, 4, 4), or (0, 4, 4) for what stands still"""
    point_frames: Floats
    """(frames, n, 3), or (0, n, 3) for what keeps its shape"""
    normal_frames: Floats
    """(frames, n, 3) beside `point_frames`"""
    runs: Integers
    """(k, 2): from this element on, they belong to the prim of this number in the scene's `paths`; first row from 0"""


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """An image, first row on top."""

    pixels: Bytes
    """(height, width, 4) RGBA"""
    repeat: bool


@dataclass(frozen=True, slots=True)
class StageCamera:
    """A camera of the stage at its start time."""

    name: str
    eye: Vector
    forward: Vector
    field_of_view: float
    """Vertical, in radians."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """`frames` pictures, played over and over; a single one is a still."""

    frames: int = 1
    frames_per_second: float = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A stage, ready to be drawn, moved by `-origin` so that single precision suffices."""

    up_axis: UpAxis
    meters_per_unit: float
    origin: Vector
    bounds: Bounds
    outline: Doubles
    """(k, 3) the outermost points over time, by which the view is framed"""
    timeline: Timeline
    batches: tuple[Batch, ...]
    paths: tuple[str, ...]
    """Paths of the prims that are drawn; what a point instancer places belongs to the instancer"""
    textures: tuple[Texture, ...]
    cameras: tuple[StageCamera, ...]
    prims: int
    """Prims visited."""
    omissions: tuple[str, ...]
    """What the stage holds and the picture does not, one line each."""

    @property
    def triangles(self) -> int:
        """Triangles of all batches."""
        return sum(len(batch.elements) for batch in self.batches if batch.kind is Kind.SURFACE)
