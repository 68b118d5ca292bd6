"""Bound materials as the few numbers and the one texture that the picture uses."""

from dataclasses import dataclass

import numpy as np
from pxr import Gf, Sdf, Usd, UsdShade

from streamer.usd_viewer.camera import Vector

_BASE_COLOR = ("diffuseColor", "diffuse_color_constant", "base_color", "baseColor", "diffuse_reflection_color")
_BASE_TEXTURE = ("diffuse_texture", "base_color_texture", "baseColorTexture")
_ROUGHNESS = ("roughness", "reflection_roughness_constant", "specular_roughness")
_METALLIC = ("metallic", "metallic_constant", "metalness", "base_metalness")
_EMISSIVE = ("emissiveColor", "emission_color")
_OPACITY = ("opacity", "opacity_constant")
_MAX_HOPS = 16


@dataclass(frozen=True, slots=True)
class TextureUse:
    """A texture as a material reads it."""

    asset: str
    """Resolved path, possibly inside a package; empty where it could not be resolved."""
    authored: str
    uv_name: str
    repeat: bool = True
    uses_alpha: bool = False
    uv_matrix: tuple[float, ...] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    """u' = a u + c v + e, v' = b u + d v + f"""


@dataclass(frozen=True, slots=True)
class Material:
    """Base colour and texture are linear and multiply; `from_display_color` takes the prim's colour instead."""

    base_color: Vector = (0.5, 0.5, 0.5)
    opacity: float = 1.0
    roughness: float = 0.5
    metallic: float = 0.0
    emissive: Vector = (0.0, 0.0, 0.0)
    texture: TextureUse | None = None
    from_display_color: bool = False


UNBOUND = Material(from_display_color=True)


def bound_material(prim: Usd.Prim) -> UsdShade.Material:
    """The material bound to a prim or subset, the preview's before any other; may be invalid."""
    api = UsdShade.MaterialBindingAPI(prim)
    for purpose in (UsdShade.Tokens.preview, UsdShade.Tokens.full):
        material, _ = api.ComputeBoundMaterial(purpose)
        if material:
            return material
    return UsdShade.Material()


def read_material(material: UsdShade.Material, time: Usd.TimeCode) -> Material | None:
    """What is drawn of a material, or None for one whose surface shader says nothing that is understood."""
    shader = _surface(material)
    if shader is None:
        return None
    base = _input(shader, _BASE_COLOR)
    texture_input = _input(shader, _BASE_TEXTURE)
    if base is None and texture_input is None and shader.GetIdAttr().Get() != "UsdPreviewSurface":
        return None
    color, texture, from_display_color = _base_color(shader, base, texture_input, time)
    opacity = _input(shader, _OPACITY)
    alpha, alpha_texture = _number(opacity, 1.0, time), _source_shader(opacity)
    if texture and alpha_texture is not None and _file(alpha_texture, time) == texture.authored:
        texture = TextureUse(
            texture.asset, texture.authored, texture.uv_name, texture.repeat, True, uv_matrix=texture.uv_matrix
        )
    return Material(
        base_color=color,
        opacity=1.0 if alpha_texture is not None else _unit(alpha),
        roughness=_unit(_number(_input(shader, _ROUGHNESS), 0.5, time)),
        metallic=_unit(_number(_input(shader, _METALLIC), 0.0, time)),
        emissive=_vector(_input(shader, _EMISSIVE), (0.0, 0.0, 0.0), time),
        texture=texture,
        from_display_color=from_display_color,
    )


def _surface(material: UsdShade.Material) -> UsdShade.Shader | None:
    for context in (UsdShade.Tokens.universalRenderContext, "mdl", "mtlx"):
        shader = material.ComputeSurfaceSource(context)[0]
        if shader:
            return shader
    return None


def _base_color(
    shader: UsdShade.Shader, base: UsdShade.Input | None, texture_input: UsdShade.Input | None, time: Usd.TimeCode
) -> tuple[Vector, TextureUse | None, bool]:
    if texture_input is not None:
        asset = texture_input.Get(time)
        if isinstance(asset, Sdf.AssetPath) and asset.path:
            return (1.0, 1.0, 1.0), TextureUse(asset.resolvedPath, asset.path, "st"), False
    source = _source_shader(base)
    if source is None:
        return _vector(base, (0.18, 0.18, 0.18), time), None, False
    identifier = str(source.GetIdAttr().Get() or "")
    if identifier == "UsdUVTexture":
        scale = _vector(source.GetInput("scale"), (1.0, 1.0, 1.0), time)
        return scale, _texture(source, time), False
    if identifier.startswith("UsdPrimvarReader"):
        name = source.GetInput("varname").Get(time) if source.GetInput("varname") else ""
        fallback = _vector(source.GetInput("fallback"), (0.5, 0.5, 0.5), time)
        return fallback, None, str(name) == "displayColor"
    return (0.5, 0.5, 0.5), None, True


def _texture(shader: UsdShade.Shader, time: Usd.TimeCode) -> TextureUse | None:
    asset = _value(shader.GetInput("file"), time)
    if not isinstance(asset, Sdf.AssetPath) or not asset.path:
        return None
    wraps = {_value(shader.GetInput(name), time) for name in ("wrapS", "wrapT")}
    matrix, name = _uv_source(_source_shader(shader.GetInput("st")), time)
    return TextureUse(asset.resolvedPath, asset.path, name, repeat=not wraps <= {"clamp", "black"}, uv_matrix=matrix)


def _uv_source(shader: UsdShade.Shader | None, time: Usd.TimeCode) -> tuple[tuple[float, ...], str]:
    """The affine map before a texture, and the primvar that it reads; an empty name where none is said."""
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    for _ in range(_MAX_HOPS):
        if shader is None:
            break
        if shader.GetIdAttr().Get() == "UsdTransform2d":
            step = _transform_2d(shader, time)
            matrix = np.vstack([step[:2] @ matrix[:2], step[2] @ matrix[:2] + matrix[2]])
            shader = _source_shader(shader.GetInput("in"))
            continue
        name = _value(shader.GetInput("varname"), time)
        return tuple(matrix.reshape(-1).tolist()), str(name or "")
    return tuple(matrix.reshape(-1).tolist()), ""


def _transform_2d(shader: UsdShade.Shader, time: Usd.TimeCode) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    def pair(name: str, default: float) -> list[float]:
        value = _value(shader.GetInput(name), time)
        return [float(value[0]), float(value[1])] if isinstance(value, Gf.Vec2f) else [default, default]

    angle = np.radians(_number(shader.GetInput("rotation"), 0.0, time))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.vstack([np.diag(pair("scale", 1.0)) @ turn, pair("translation", 0.0)])


def _input(shader: UsdShade.Shader, names: tuple[str, ...]) -> UsdShade.Input | None:
    """The first of the named inputs that is authored."""
    for name in names:
        found = shader.GetInput(name)
        if found and (found.GetAttr().HasAuthoredValue() or found.HasConnectedSource()):
            return found
    return None


def _producer(connectable: UsdShade.Input | None) -> Usd.Attribute | None:
    """The attribute that in the end gives an input its value."""
    if not connectable:
        return None
    attributes = UsdShade.Utils.GetValueProducingAttributes(connectable)
    return attributes[0] if attributes else None


def _source_shader(connectable: UsdShade.Input | None) -> UsdShade.Shader | None:
    """The shader whose output feeds an input, if one does."""
    attribute = _producer(connectable)
    if attribute is None or UsdShade.Utils.GetType(attribute.GetName()) != UsdShade.AttributeType.Output:
        return None
    shader = UsdShade.Shader(attribute.GetPrim())
    return shader if shader else None


def _value(connectable: UsdShade.Input | None, time: Usd.TimeCode) -> object:
    attribute = _producer(connectable)
    return None if attribute is None else attribute.Get(time)


def _file(shader: UsdShade.Shader, time: Usd.TimeCode) -> str:
    asset = _value(shader.GetInput("file"), time)
    return asset.path if isinstance(asset, Sdf.AssetPath) else ""


def _number(connectable: UsdShade.Input | None, default: float, time: Usd.TimeCode) -> float:
    value = _value(connectable, time)
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        return default
    return float(value)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _vector(connectable: UsdShade.Input | None, default: Vector, time: Usd.TimeCode) -> Vector:
    value = _value(connectable, time)
    if not isinstance(value, (Gf.Vec3f, Gf.Vec3d, Gf.Vec3h, Gf.Vec4f, Gf.Vec4d)):
        return default
    clamped = [_unit(float(part)) if np.isfinite(part) else 0.0 for part in list(value)[:3]]
    return (clamped[0], clamped[1], clamped[2])
