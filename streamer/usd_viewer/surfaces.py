"""How a placed shape looks: colours of its points, its textures and how it takes the light."""

from dataclasses import dataclass

import numpy as np
from pxr import Usd, UsdGeom

from streamer.usd_viewer.camera import Vector
from streamer.usd_viewer.color import from_srgb, to_srgb
from streamer.usd_viewer.gprims import DEFAULT_COLOR
from streamer.usd_viewer.materials import Material
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import UNMOVED, Affine, Bytes, Doubles, Slot, Surface, Texture
from streamer.usd_viewer.shader_inputs import TextureRead, vector
from streamer.usd_viewer.shapes import Shape
from streamer.usd_viewer.stage_policy import StagePolicy
from streamer.usd_viewer.texture_slots import TextureSlots

OPAQUE = 250
"""Alpha, of 255, from which on nothing shines through."""
NO_COORDINATES = "textured materials on prims without texture coordinates, drawn in the texture's mean colour"
SEVERAL_SETS = "materials whose textures lie on several sets of coordinates, drawn on one"
NO_PRIMVAR = "materials that read a primvar which the prim lacks or the viewer does not read"


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

    def __init__(self, policy: StagePolicy, omissions: Omissions) -> None:
        self._omissions = omissions
        self._slots = TextureSlots(policy, omissions)

    @property
    def textures(self) -> tuple[Texture, ...]:
        """All textures so far, in the order of their indices."""
        return self._slots.textures

    def look(self, prim: Usd.Prim, shape: Shape, material: Material, time: Usd.TimeCode) -> Look:
        """How `shape` looks with `material`."""
        base, detail, relief = (bake(material) for bake in (self._slots.base, self._slots.detail, self._slots.relief))
        glow, strength = self._slots.glow(material)
        uvs = _coordinates(shape, material.textures)
        colors = self._colors(prim, shape, material, time, textured=base >= 0)
        numbers = [material.roughness.value[0], material.metallic.value[0]]
        emissive = (strength,) * 3 if glow >= 0 else vector(material.emissive.value)
        if not len(uvs) and max(base, detail, glow) >= 0:
            self._omissions.add(NO_COORDINATES, prim)
            colors = _tinted(colors, self._mean(base))
            numbers = (self._mean(detail)[1:3] / 255).tolist() if detail >= 0 else numbers
            emissive = _emitted(self._mean(glow), strength) if glow >= 0 else emissive
            base = detail = relief = glow = -1
        place = self._placements(prim, material, (base, detail, relief, glow))
        alpha = self._slots.least_alpha(base) if base >= 0 else 255
        seen_through = min(int(colors[:, 3].min(initial=255)), alpha) < OPAQUE
        surface = Surface(
            base=place[0],
            detail=place[1],
            relief=place[2],
            glow=place[3],
            roughness=round(min(max(numbers[0], 0.0), 1.0), 2),
            metallic=round(min(max(numbers[1], 0.0), 1.0), 2),
            specular=_rounded(vector(material.specular.value)),
            emissive=_rounded(emissive),
            cutoff=round(material.opacity_threshold, 3) if seen_through else 0.0,
            translucent=seen_through and material.opacity_threshold == 0.0,
        )
        textured = max(base, detail, relief, glow) >= 0
        return Look(surface, colors, _transformed(uvs, _first_placement(material)) if textured else np.empty((0, 2)))

    def _placements(
        self, prim: Usd.Prim, material: Material, textures: tuple[int, int, int, int]
    ) -> tuple[Slot, Slot, Slot, Slot]:
        """Each texture's slot; the coordinates carry the first placement already."""
        first = _first_placement(material)
        sources = (
            (material.base_color, material.opacity),
            (material.occlusion, material.roughness, material.metallic),
            (material.normal,),
            (material.emissive,),
        )
        slots = []
        for texture, inputs in zip(textures, sources, strict=True):
            reads = [one.texture for one in inputs if one.texture is not None]
            if len({(read.placement, read.wrap) for read in reads}) > 1:
                self._omissions.add("materials whose textures are placed differently, drawn placed alike", prim)
            own = reads[0].placement if reads else UNMOVED
            slots.append(Slot(texture, _relative(first, own)) if texture >= 0 else Slot())
        if len({read.uv_name for read in material.textures if read.uv_name}) > 1 and max(textures) >= 0:
            self._omissions.add(SEVERAL_SETS, prim)
        return slots[0], slots[1], slots[2], slots[3]

    def _colors(self, prim: Usd.Prim, shape: Shape, material: Material, time: Usd.TimeCode, *, textured: bool) -> Bytes:
        linear = np.ones((len(shape.points), 4))
        if material.base_color.texture is None or not textured:
            linear[:, :3] = np.clip(vector(material.base_color.value), 0.0, 1.0)
        if material.opacity.texture is None or not textured:
            linear[:, 3] = min(max(material.opacity.value[0], 0.0), 1.0)
        if material.base_color.primvar:
            self._take_primvar(prim, shape, material.base_color.primvar, linear[:, :3], time)
        if material.opacity.primvar:
            self._take_primvar(prim, shape, material.opacity.primvar, linear[:, 3:], time)
        linear[:, :3] = to_srgb(linear[:, :3])
        return np.asarray((linear * 255).round(), np.uint8)

    def _take_primvar(self, prim: Usd.Prim, shape: Shape, name: str, target: Doubles, time: Usd.TimeCode) -> None:
        columns = {"displayColor": slice(0, 3), "displayOpacity": slice(3, 4)}.get(name)
        if columns is not None:
            own = shape.colors if shape.colors is not None else _inherited_color(prim, time)
            target[:] = own[..., columns]
        elif (found := shape.tints.get(name)) is not None and found.shape[1] == target.shape[1]:
            target[:] = found
        else:
            self._omissions.add(NO_PRIMVAR, prim)

    def _mean(self, texture: int) -> Doubles:
        if texture < 0:
            return np.full(4, 255.0)
        mean: Doubles = self.textures[texture].pixels.mean(axis=(0, 1))
        return mean


def _tinted(colors: Bytes, mean: Doubles) -> Bytes:
    return np.asarray(colors * mean / 255, np.uint8)


def _emitted(mean: Doubles, strength: float) -> Vector:
    red, green, blue = (from_srgb(mean[:3] / 255) * strength).tolist()
    return (red, green, blue)


def _rounded(color: Vector) -> Vector:
    return (round(color[0], 3), round(color[1], 3), round(color[2], 3))


def _coordinates(shape: Shape, reads: tuple[TextureRead, ...]) -> Doubles:
    """The texture coordinates that the textures ask for, else the shape's first; (0, 2) where it has none."""
    names = (read.uv_name for read in reads)
    found = next((shape.uvs[name] for name in names if name in shape.uvs), None)
    if found is None and reads:
        found = next(iter(shape.uvs.values()), None)
    return np.empty((0, 2)) if found is None else found


def _first_placement(material: Material) -> Affine:
    """That of the first texture which can be undone; the coordinates are given in it."""
    placements = (read.placement for read in material.textures)
    return next((one for one in placements if abs(one[0] * one[3] - one[1] * one[2]) > 1e-9), UNMOVED)


def _square(placement: Affine) -> Doubles:
    a, b, c, d, e, f = placement
    return np.array([[a, b, 0.0], [c, d, 0.0], [e, f, 1.0]])


def _transformed(uvs: Doubles, placement: Affine) -> Doubles:
    matrix = _square(placement)
    placed: Doubles = uvs @ matrix[:2, :2] + matrix[2, :2]
    return placed


def _relative(first: Affine, own: Affine) -> Affine:
    """What takes coordinates placed by `first` to where `own` would place them."""
    if own == first:
        return UNMOVED
    matrix = np.linalg.inv(_square(first)) @ _square(own)
    a, b, c, d, e, f = (round(float(part), 6) for part in matrix[:, :2].reshape(-1))
    return (a, b, c, d, e, f)


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
