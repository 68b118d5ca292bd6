"""Values of shader inputs, through whatever connections they come: numbers, colours, reads of textures and primvars."""

from dataclasses import dataclass

import numpy as np
from pxr import Gf, Sdf, Usd, UsdShade

from streamer.usd_viewer.camera import Vector
from streamer.usd_viewer.scene import UNMOVED, Affine, Wrap

_MAX_HOPS = 16
_LARGEST = 1e6
Four = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TextureRead:
    """One output of a texture, as a surface's input reads it: `texel[channel] * scale + bias`."""

    asset: str
    """Resolved path, possibly inside a package; empty where it could not be resolved."""
    authored: str
    channel: str = "rgb"
    """rgb, r, g, b or a"""
    uv_name: str = ""
    placement: Affine = UNMOVED
    wrap: tuple[Wrap, Wrap] = (Wrap.REPEAT, Wrap.REPEAT)
    color_space: str = "auto"
    """auto, sRGB or raw"""
    scale: Four = (1.0, 1.0, 1.0, 1.0)
    bias: Four = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Input:
    """What an input is fed: a value, and in its place a texture or a primvar where it has one."""

    value: tuple[float, ...]
    texture: TextureRead | None = None
    primvar: str = ""


def find_input(shader: UsdShade.Shader, names: tuple[str, ...]) -> UsdShade.Input | None:
    """The first of the named inputs that is authored."""
    for name in names:
        found = shader.GetInput(name)
        if found and (found.GetAttr().HasAuthoredValue() or found.HasConnectedSource()):
            return found
    return None


def read_input(found: UsdShade.Input | None, default: tuple[float, ...], time: Usd.TimeCode) -> Input:
    """What an input of as many numbers as `default` has is fed; `default` where it is not authored."""
    source, output = _source(found)
    if source is None:
        return Input(_first(_numbers(_value(found, time), default), default))
    identifier = str(source.GetIdAttr().Get() or "")
    if identifier == "UsdUVTexture":
        fallback = _numbers(_value(source.GetInput("fallback"), time), ())
        chosen = fallback["rgba".index(output) :] if output in tuple("rgba") else fallback
        return Input(_first(chosen, default), texture=_texture(source, output, time))
    if identifier.startswith("UsdPrimvarReader"):
        fallback = _first(_numbers(_value(source.GetInput("fallback"), time), default), default)
        return Input(fallback, primvar=_text(source.GetInput("varname"), time))
    return Input(default)


def asset_of(found: UsdShade.Input | None, time: Usd.TimeCode) -> Sdf.AssetPath | None:
    """The file that an input names."""
    value = _value(found, time)
    return value if isinstance(value, Sdf.AssetPath) and value.path else None


def token_of(found: UsdShade.Input | None, default: str, time: Usd.TimeCode) -> str:
    """The word that an input holds."""
    return _text(found, time) or default


def _texture(shader: UsdShade.Shader, output: str, time: Usd.TimeCode) -> TextureRead | None:
    asset = asset_of(shader.GetInput("file"), time)
    if asset is None:
        return None
    placement, uv_name = _uv_source(_source(shader.GetInput("st"))[0], time)
    return TextureRead(
        asset=asset.resolvedPath,
        authored=asset.path,
        channel=output if output in ("r", "g", "b", "a") else "rgb",
        uv_name=uv_name,
        placement=placement,
        wrap=(_wrap(shader, "wrapS", time), _wrap(shader, "wrapT", time)),
        color_space=token_of(shader.GetInput("sourceColorSpace"), "auto", time),
        scale=_four(shader, "scale", (1.0, 1.0, 1.0, 1.0), time),
        bias=_four(shader, "bias", (0.0, 0.0, 0.0, 0.0), time),
    )


def _wrap(shader: UsdShade.Shader, name: str, time: Usd.TimeCode) -> Wrap:
    # Files without a wrap of their own, whose metadata count by default, repeat, as in most renderers.
    word = token_of(shader.GetInput(name), "repeat", time)
    return Wrap(word) if word in set(Wrap) else Wrap.REPEAT


def _four(shader: UsdShade.Shader, name: str, default: Four, time: Usd.TimeCode) -> Four:
    value = _numbers(_value(shader.GetInput(name), time), default)
    return (value[0], value[1], value[2], value[3])


def _uv_source(shader: UsdShade.Shader | None, time: Usd.TimeCode) -> tuple[Affine, str]:
    """The affine map before a texture, and the primvar that it reads; an empty name where none is said."""
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    name = ""
    for _ in range(_MAX_HOPS):
        if shader is None:
            break
        if shader.GetIdAttr().Get() != "UsdTransform2d":
            name = _text(shader.GetInput("varname"), time)
            break
        step = _transform_2d(shader, time)
        matrix = np.vstack([step[:2] @ matrix[:2], step[2] @ matrix[:2] + matrix[2]])
        shader = _source(shader.GetInput("in"))[0]
    a, b, c, d, e, f = (round(float(part), 9) for part in matrix.reshape(-1))
    return (a, b, c, d, e, f), name


def _transform_2d(shader: UsdShade.Shader, time: Usd.TimeCode) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    def numbers(name: str, default: tuple[float, ...]) -> tuple[float, ...]:
        return _first(_numbers(_value(shader.GetInput(name), time), default), default)

    angle = np.radians(numbers("rotation", (0.0,))[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.vstack([np.diag(numbers("scale", (1.0, 1.0))) @ turn, numbers("translation", (0.0, 0.0))])


def _producer(connectable: UsdShade.Input | None) -> Usd.Attribute | None:
    """The attribute that in the end gives an input its value."""
    if not connectable:
        return None
    attributes = UsdShade.Utils.GetValueProducingAttributes(connectable)
    return attributes[0] if attributes else None


def _source(connectable: UsdShade.Input | None) -> tuple[UsdShade.Shader | None, str]:
    """The shader whose output feeds an input, if one does, and the output's name."""
    attribute = _producer(connectable)
    if attribute is None:
        return None, ""
    name, kind = UsdShade.Utils.GetBaseNameAndType(attribute.GetName())
    if kind != UsdShade.AttributeType.Output:
        return None, ""
    shader = UsdShade.Shader(attribute.GetPrim())
    return (shader if shader else None), str(name)


def _value(connectable: UsdShade.Input | None, time: Usd.TimeCode) -> object:
    attribute = _producer(connectable)
    return None if attribute is None else attribute.Get(time)


def _text(connectable: UsdShade.Input | None, time: Usd.TimeCode) -> str:
    value = _value(connectable, time)
    return value if isinstance(value, str) else ""


_VECTORS = (Gf.Vec2f, Gf.Vec2d, Gf.Vec2h, Gf.Vec3f, Gf.Vec3d, Gf.Vec3h, Gf.Vec4f, Gf.Vec4d, Gf.Vec4h)


def _numbers(value: object, default: tuple[float, ...]) -> tuple[float, ...]:
    """The finite, bounded numbers of a value; `default` for what holds none or fewer."""
    if isinstance(value, bool | int | float):
        given = [float(value)]
    elif isinstance(value, _VECTORS):
        given = [float(part) for part in value]
    else:
        return default
    if len(given) < len(default) or not np.isfinite(given).all():
        return default
    return tuple(min(max(part, -_LARGEST), _LARGEST) for part in given)


def _first(given: tuple[float, ...], default: tuple[float, ...]) -> tuple[float, ...]:
    """As many of the given numbers as `default` has, or that."""
    return given[: len(default)] if len(given) >= len(default) else default


def vector(numbers: tuple[float, ...]) -> Vector:
    """Three of the numbers, none below 0."""
    return (max(numbers[0], 0.0), max(numbers[1], 0.0), max(numbers[2], 0.0))
