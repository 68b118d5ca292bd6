"""What is drawn, as plain arrays: the form in which a loaded stage leaves the process that read it.

Matrices act on row vectors, as USD's do: `point @ matrix[:3, :3] + matrix[3, :3]`. Colours are display-referred (sRGB).
"""

from dataclasses import dataclass, field
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


class Wrap(StrEnum):
    """What a texture shows beyond its edges."""

    REPEAT = "repeat"
    MIRROR = "mirror"
    CLAMP = "clamp"
    BLACK = "black"


Affine = tuple[float, float, float, float, float, float]
"""u' = a u + c v + e, v' = b u + d v + f, as (a, b, c, d, e, f)."""

UNMOVED: Affine = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Slot:
    """A texture of a surface: index into the scene's textures, or -1, and how it lies on the batch's coordinates."""

    texture: int = -1
    placement: Affine = UNMOVED


@dataclass(frozen=True, slots=True)
class Surface:
    """How a batch takes the light. Colours of points and base texture multiply."""

    base: Slot = Slot()
    """Display-referred colour, and opacity in alpha."""
    detail: Slot = Slot()
    """Occlusion, roughness and metallic in red, green and blue, in place of the two numbers."""
    relief: Slot = Slot()
    """Normals in tangent space, 0 to 255 for -1 to 1."""
    glow: Slot = Slot()
    """Display-referred colour that multiplies `emissive`."""
    roughness: float = 0.5
    metallic: float = 0.0
    specular: Vector = (0.04, 0.04, 0.04)
    """Linear; what is mirrored head-on where it is no metal."""
    emissive: Vector = (0.0, 0.0, 0.0)
    """Linear, of any size."""
    cutoff: float = 0.0
    """Opacity below which there is a hole; above it, where it is not 0, all is opaque."""
    translucent: bool = False

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All four textures."""
        return (self.base, self.detail, self.relief, self.glow)


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
    copies: Floats = field(default_factory=lambda: np.empty((0, 0, 4, 4), np.float32))
    """(frames, copies, 4, 4): where all of this stands, many times over, in each frame; no frames for once"""
    shown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(frames,) when it is to be seen, or (0,) for always"""


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """An image, first row on top."""

    pixels: Bytes
    """(height, width, 4) RGBA"""
    wrap: tuple[Wrap, Wrap] = (Wrap.REPEAT, Wrap.REPEAT)
    """Sideways and upward."""


class LightKind(StrEnum):
    """From where a light shines."""

    DISTANT = "distant"
    BALL = "ball"
    PANEL = "panel"
    """From one side of a small plane."""
    TUBE = "tube"


@dataclass(frozen=True, slots=True)
class Light:
    """A light, in the scene's coordinates."""

    kind: LightKind
    power: Vector
    """Linear: what falls on a surface that faces it; at unit distance, unless it is distant."""
    position: Vector = (0.0, 0.0, 0.0)
    direction: Vector = (0.0, 0.0, -1.0)
    """Where it shines; of a tube, its axis."""
    radius: float = 0.0
    """Nearer than this it grows no brighter."""
    cone: tuple[float, float] = (-1.0, -1.0)
    """Cosines of the angles at which it begins to fade and is dark; -1 for light all around."""


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What surrounds the scene, as light, mirror image and background."""

    pixels: Bytes
    """(height, width, 4) the square root of radiance / `peak`, latitude by longitude, up on top"""
    peak: float
    axes: tuple[Vector, Vector, Vector]
    """The environment's own x, y and z axes in the scene: z in the middle of the image, x in its left half, y up."""
    harmonics: Doubles
    """(9, 3) irradiance / pi as spherical harmonics along `axes`"""
    visible: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Lighting:
    """The lights of a stage; the viewer's own where there are none."""

    lights: tuple[Light, ...] = ()
    environment: Environment | None = None
    ambient: float = 0.0
    """Radiance from everywhere that stands for light thrown back and forth."""

    def __bool__(self) -> bool:
        return bool(self.lights) or self.environment is not None


@dataclass(frozen=True, slots=True)
class StageCamera:
    """A camera of the stage at its start time, in the scene's coordinates."""

    name: str
    eye: Vector
    forward: Vector
    field_of_view: float
    """Vertical, in radians."""
    up: Vector = (0.0, 1.0, 0.0)
    aspect: float = 1.5
    """Width over height of the aperture: all of it is to be seen."""
    clip: tuple[float, float] | None = None
    """Near and far, where the stage says so."""
    path: str = ""


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
    lighting: Lighting
    cameras: tuple[StageCamera, ...]
    """The one that the stage names for its first view comes first"""
    prims: int
    """Prims visited."""
    omissions: tuple[str, ...]
    """What the stage holds and the picture does not, one line each."""

    @property
    def triangles(self) -> int:
        """Triangles of all batches."""
        return sum(len(batch.elements) for batch in self.batches if batch.kind is Kind.SURFACE)
