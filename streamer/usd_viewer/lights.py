"""UsdLux lights as the few numbers that the picture uses, and how bright the whole is to be shown."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdLux

from streamer.usd_viewer.camera import Bounds, Vector
from streamer.usd_viewer.environment import environment_of
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Doubles, Environment, Floats, Light, Lighting, LightKind
from streamer.usd_viewer.stage_policy import StagePolicy, shorten
from streamer.usd_viewer.textures import BadTexture, read_radiance

MAX_LIGHTS = 8
DIMMEST, BRIGHTEST = 0.4, 1.6
"""What a white surface may throw back, 1 being white: stages that are darker or brighter are shown as if exposed so."""
_BOUNCED = 0.08
_KINDS = {
    "DistantLight": LightKind.DISTANT,
    "SphereLight": LightKind.BALL,
    "RectLight": LightKind.PANEL,
    "DiskLight": LightKind.PANEL,
    "CylinderLight": LightKind.TUBE,
}
_FLAT: Floats = np.ones((2, 4, 3), np.float32)
"""The picture of a dome that has none."""
_DOMES = ("DomeLight", "DomeLight_1")


@dataclass(slots=True)
class LightReader:
    """Collects the lights of a stage.

    Args:
        omissions: counts what is not drawn of them.
    """

    policy: StagePolicy
    omissions: Omissions
    _lights: list[Light] = field(default_factory=list)
    _environment: Environment | None = None

    def add(self, prim: Usd.Prim, world: Doubles, time: Usd.TimeCode) -> None:
        """Take a light that stands at `world`."""
        kind = str(prim.GetTypeName())
        if kind in _DOMES:
            self._add_dome(prim, world, time)
        elif kind not in _KINDS:
            self.omissions.add(f"lights of type {kind or 'none'}", prim)
        elif len(self._lights) >= MAX_LIGHTS:
            self.omissions.add(f"lights beyond the first {MAX_LIGHTS}", prim)
        elif (light := _light(_KINDS[kind], prim, world, time)) is not None:
            self._lights.append(light)
            self._tell(prim, time)

    def lighting(self, bounds: Bounds, origin: Doubles) -> Lighting:
        """All of them, moved by `-origin`, as bright as a picture of `bounds` needs."""
        lights = [replace(light, position=_moved(light.position, origin)) for light in self._lights]
        if not lights and self._environment is None:
            return Lighting()
        shown = float(np.median([_brightness(at, lights, self._environment) for at in _places(bounds)]))
        factor = float(np.clip(shown, DIMMEST, BRIGHTEST)) / shown if shown > 0.0 else 1.0
        environment = self._environment
        if environment is not None:
            harmonics = environment.harmonics * factor
            environment = replace(environment, peak=environment.peak * factor, harmonics=harmonics)
        lights = [replace(light, power=_scaled(light.power, factor)) for light in lights]
        return Lighting(tuple(lights), environment, 0.0 if environment else _BOUNCED * shown * factor)

    def _tell(self, prim: Usd.Prim, time: Usd.TimeCode) -> None:
        texture = prim.GetAttribute("inputs:texture:file")
        if texture and isinstance(asset := texture.Get(time), Sdf.AssetPath) and asset.path:
            self.omissions.add("textures of lights, drawn in one colour", prim)
        if any(attribute.ValueMightBeTimeVarying() for attribute in prim.GetAttributes()):
            self.omissions.add("lights that change, shown as at the start", prim)
        for name, told in (("lightLink", "lights"), ("shadowLink", "shadows")):
            if Usd.CollectionAPI(prim, name).GetIncludesRel().HasAuthoredTargets():
                self.omissions.add(f"{told} for some prims only, drawn for all", prim)

    def _add_dome(self, prim: Usd.Prim, world: Doubles, time: Usd.TimeCode) -> None:
        if self._environment is not None:
            self.omissions.add("dome lights beyond the first", prim)
            return
        pixels = _FLAT
        asset = UsdLux.DomeLight(prim).GetTextureFileAttr().Get(time)
        layout = prim.GetAttribute("inputs:texture:format").Get(time)
        if isinstance(asset, Sdf.AssetPath) and asset.path:
            if layout not in (None, UsdLux.Tokens.automatic, UsdLux.Tokens.latlong):
                self.omissions.add(f"dome lights laid out as {layout}, drawn without their texture", prim)
            else:
                pixels = self._radiance(asset, pixels)
        color = _radiance_of(prim, time)
        if color is not None:
            if _pole_is_z(prim):
                world = np.diag([1.0, 1.0, 1.0, 1.0])[[0, 2, 1, 3]] * np.array([1.0, -1.0, 1.0, 1.0]) @ world
            visible = pixels.shape[0] > _FLAT.shape[0]
            self._environment = environment_of(pixels * np.array(color, np.float32), world, visible=visible)
            self._tell_dome(prim)

    def _tell_dome(self, prim: Usd.Prim) -> None:
        if any(attribute.ValueMightBeTimeVarying() for attribute in prim.GetAttributes()):
            self.omissions.add("lights that change, shown as at the start", prim)

    def _radiance(self, asset: Sdf.AssetPath, default: Floats) -> Floats:
        try:
            if not asset.resolvedPath:
                raise BadTexture("it is missing")
            return read_radiance(asset.resolvedPath, self.policy)
        except BadTexture as error:
            self.omissions.add(f"texture {shorten(asset.path)}: {error}")
            return default


def _pole_is_z(prim: Usd.Prim) -> bool:
    """Whether a dome's picture has its top along z: the older kind of dome has it along y everywhere."""
    attribute = prim.GetAttribute("poleAxis")
    pole = attribute.Get() if attribute else "Y"
    return bool(pole == "Z" or (pole == "scene" and UsdGeom.GetStageUpAxis(prim.GetStage()) == UsdGeom.Tokens.z))


def _light(kind: LightKind, prim: Usd.Prim, world: Doubles, time: Usd.TimeCode) -> Light | None:
    """A light, or None for one that sheds none."""
    color = _radiance_of(prim, time)
    linear = world[:3, :3]
    if color is None or not np.isfinite(world).all() or not np.linalg.norm(linear, axis=1).all():
        return None
    area, size = _area(kind, prim, np.linalg.norm(linear, axis=1), time)
    normalized = bool(_number(prim, "normalize", 0.0, time))
    factor = area[1] / area[0] if normalized and area[0] > 0 else area[1]
    axis = linear[0] if kind is LightKind.TUBE else -linear[2]
    x, y, z = (axis / np.linalg.norm(axis)).tolist()
    px, py, pz = world[3, :3].tolist()
    return Light(kind, _scaled(color, factor), (px, py, pz), (x, y, z), size, _cone(prim, time))


def _area(kind: LightKind, prim: Usd.Prim, scales: Doubles, time: Usd.TimeCode) -> tuple[tuple[float, float], float]:
    """By what `normalize` divides, by what radiance is multiplied to light a surface at unit distance, and a radius."""
    radius = abs(_number(prim, "radius", 0.5, time))
    if kind is LightKind.DISTANT:
        half = np.radians(min(max(_number(prim, "angle", 0.53, time), 0.0), 180.0)) / 2
        solid = float(np.pi * np.sin(half) ** 2)
        return ((solid, solid), 0.0) if solid > 0 else ((1.0, 1.0), 0.0)
    if kind is LightKind.BALL:
        size = radius * float(scales.max())
        if size == 0.0:
            return (4 * np.pi, np.pi), 0.0
        return (4 * np.pi * size**2, np.pi * size**2), size
    if kind is LightKind.TUBE:
        length = abs(_number(prim, "length", 1.0, time)) * float(scales[0])
        size = radius * float(scales[1:].max())
        return (2 * np.pi * size * length, 2 * size * length), max(size, length / 4)
    if prim.GetTypeName() == "RectLight":
        sides = (abs(_number(prim, name, 1.0, time)) * float(scales[at]) for at, name in ((0, "width"), (1, "height")))
        area = float(np.prod(list(sides)))
    else:
        area = np.pi * radius**2 * float(scales[0] * scales[1])
    return (area, area), float(np.sqrt(area / np.pi))


def _radiance_of(prim: Usd.Prim, time: Usd.TimeCode) -> Vector | None:
    """What a light sends out, before its size counts; None for nothing."""
    strength = _number(prim, "intensity", 1.0, time) * 2.0 ** min(_number(prim, "exposure", 0.0, time), 60.0)
    strength *= _number(prim, "diffuse", 1.0, time)
    color = prim.GetAttribute("inputs:color").Get(time) or Gf.Vec3f(1.0)
    tint = np.array(color, float)
    if _number(prim, "enableColorTemperature", 0.0, time):
        kelvin = min(max(_number(prim, "colorTemperature", 6500.0, time), 1000.0), 10000.0)
        tint = tint * np.array(UsdLux.BlackbodyTemperatureAsRgb(kelvin))
    power = np.clip(np.nan_to_num(tint * strength), 0.0, 1e12)
    return (float(power[0]), float(power[1]), float(power[2])) if power.any() else None


def _cone(prim: Usd.Prim, time: Usd.TimeCode) -> tuple[float, float]:
    angle = prim.GetAttribute("inputs:shaping:cone:angle")
    degrees = angle.Get(time) if angle and angle.HasAuthoredValue() else None
    if degrees is None or not 0.0 <= degrees < 180.0:
        return (-1.0, -1.0)
    softness = min(max(_number(prim, "shaping:cone:softness", 0.0, time), 0.0), 1.0)
    full, dark = np.cos(np.radians(degrees * (1.0 - softness))), np.cos(np.radians(degrees))
    return (max(float(full), float(dark) + 1e-3), float(dark))


def _number(prim: Usd.Prim, name: str, default: float, time: Usd.TimeCode) -> float:
    attribute = prim.GetAttribute(f"inputs:{name}") or prim.GetAttribute(name)
    value = attribute.Get(time) if attribute else None
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else default


def _brightness(place: Doubles, lights: Iterable[Light], environment: Environment | None) -> float:
    """What a white surface at a place throws back that faces each light in turn."""
    total = 0.0 if environment is None else float(environment.harmonics[0].mean() * 0.282095)
    for light in lights:
        apart = np.array(light.position) - place
        near = 1.0 if light.kind is LightKind.DISTANT else max(float(apart @ apart), light.radius**2, 1e-12)
        total += float(np.mean(light.power)) / near / np.pi
    return total


def _places(bounds: Bounds) -> list[Doubles]:
    middle = np.array(bounds.center)
    return [middle + (np.array(corner) - middle) * 0.5 for corner in bounds.corners()]


def _moved(position: Vector, origin: Doubles) -> Vector:
    x, y, z = (np.array(position) - origin).tolist()
    return (x, y, z)


def _scaled(color: Vector, factor: float) -> Vector:
    return (color[0] * factor, color[1] * factor, color[2] * factor)
