"""How a placed shape looks: colours of its points, its texture and how it takes the light."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from pxr import Usd, UsdGeom

from streamer.usd_viewer.batching import to_srgb
from streamer.usd_viewer.gprims import DEFAULT_COLOR
from streamer.usd_viewer.materials import Material, TextureUse
from streamer.usd_viewer.scene import Bytes, Doubles, Surface, Texture
from streamer.usd_viewer.shapes import Shape
from streamer.usd_viewer.stage_policy import StagePolicy, shorten
from streamer.usd_viewer.textures import BadTexture, read_texture

MAX_TEXTURES = 128
OPAQUE = 250
"""Alpha, of 255, from which on nothing shines through."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A surface with the values at the shape's points that go with it."""

    surface: Surface
    colors: Bytes
    uvs: Doubles


class Surfaces:
    """Collects the textures of a stage and says how shapes look.

    Args:
        omissions: counts what could not be read.
    """

    def __init__(self, policy: StagePolicy, omissions: Counter[str]) -> None:
        self._policy = policy
        self._omissions = omissions
        self._numbers: dict[tuple[str, bool, bool], int] = {}
        self._textures: list[Texture] = []

    @property
    def textures(self) -> tuple[Texture, ...]:
        """All textures so far, in the order of their indices."""
        return tuple(self._textures)

    def look(self, prim: Usd.Prim, shape: Shape, material: Material, time: Usd.TimeCode) -> Look:
        """How `shape` looks with `material`."""
        use = material.texture
        texture = self._texture(use) if use else -1
        uvs = _uvs(shape, use) if use and texture >= 0 else np.empty((0, 2))
        colors = self._colors(prim, shape, material, time)
        translucent = bool(colors[:, 3].min(initial=255) < OPAQUE)
        if use and texture >= 0:
            pixels = self._textures[texture].pixels
            translucent |= bool(use.uses_alpha and pixels[..., 3].min() < OPAQUE)
            if not len(uvs):
                colors[:, :3] = pixels[..., :3].mean(axis=(0, 1))
                texture = -1
        emissive = to_srgb(np.array(material.emissive)).round(2).tolist()
        surface = Surface(
            texture=texture,
            roughness=round(material.roughness, 1),
            metallic=round(material.metallic, 1),
            emissive=(emissive[0], emissive[1], emissive[2]),
            translucent=translucent,
        )
        return Look(surface, colors, uvs)

    def _colors(self, prim: Usd.Prim, shape: Shape, material: Material, time: Usd.TimeCode) -> Bytes:
        linear = np.empty((len(shape.points), 4))
        linear[:, :3] = material.base_color
        linear[:, 3] = material.opacity
        if material.from_display_color:
            own = shape.colors if shape.colors is not None else _inherited_color(prim, time)
            linear[:, :3] = own[..., :3]
            linear[:, 3] = own[..., 3] * material.opacity
        linear[:, :3] = to_srgb(linear[:, :3])
        return np.asarray((linear * 255).round(), np.uint8)

    def _texture(self, use: TextureUse) -> int:
        key = (use.asset or use.authored, use.repeat, use.uses_alpha)
        if key not in self._numbers:
            self._numbers[key] = self._load(use)
        return self._numbers[key]

    def _load(self, use: TextureUse) -> int:
        try:
            if not use.asset:
                raise BadTexture("it is missing")
            if len(self._textures) >= MAX_TEXTURES:
                raise BadTexture(f"there are more than {MAX_TEXTURES}")
            texture = read_texture(use.asset, self._policy, repeat=use.repeat)
        except BadTexture as error:
            self._omissions[f"texture {shorten(use.authored)}: {error}"] += 1
            return -1
        if not use.uses_alpha:
            texture.pixels[..., 3] = 255
        self._textures.append(texture)
        return len(self._textures) - 1


def _uvs(shape: Shape, use: TextureUse) -> Doubles:
    """The texture coordinates that a texture asks for, else the shape's first; (0, 2) where it has none."""
    found = shape.uvs.get(use.uv_name)
    if found is None:
        found = next(iter(shape.uvs.values()), np.empty((0, 2)))
    matrix = np.array(use.uv_matrix).reshape(3, 2)
    mapped: Doubles = found @ matrix[:2] + matrix[2]
    return mapped


def _inherited_color(prim: Usd.Prim, time: Usd.TimeCode) -> Doubles:
    """(4,) constant colour and opacity that an ancestor gives."""
    api = UsdGeom.PrimvarsAPI(prim)
    result = np.array([*DEFAULT_COLOR, 1.0])
    for name, part in (("displayColor", slice(0, 3)), ("displayOpacity", slice(3, 4))):
        primvar = api.FindPrimvarWithInheritance(name)
        value = primvar.ComputeFlattened(time) if primvar and primvar.HasValue() else None
        if value is not None and len(value):
            result[part] = np.asarray(value[0], np.float64)
    return np.asarray(np.clip(np.nan_to_num(result), 0.0, 1.0))
