"""Models that stand for themselves by a stand-in: `model:drawMode` bounds, origin and cards."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pxr import Sdf, Usd, UsdGeom

from streamer.usd_viewer.materials import UNBOUND, Material
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Affine, Doubles, Kind, Wrap
from streamer.usd_viewer.shader_inputs import Input, TextureRead
from streamer.usd_viewer.shapes import Shape, box_edges

_DRAWN = (UsdGeom.Tokens.bounds, UsdGeom.Tokens.origin, UsdGeom.Tokens.cards)
_APART = 1e-3
"""Between the two sides of a card, of the model's size."""
_CARD_CUTOFF = 0.1
_SIDE_TO_SIDE: Affine = (-1.0, 0.0, 0.0, 1.0, 1.0, 0.0)
_TOP_DOWN: Affine = (1.0, 0.0, 0.0, -1.0, 0.0, 1.0)
# What is up in a card's picture: z on the sides across x and y, y on that of +z, and -y on that of -z.
_FACES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "XPos": ((1, 0, 0), (0, 0, 1)),
    "XNeg": ((-1, 0, 0), (0, 0, 1)),
    "YPos": ((0, 1, 0), (0, 0, 1)),
    "YNeg": ((0, -1, 0), (0, 0, 1)),
    "ZPos": ((0, 0, 1), (0, 1, 0)),
    "ZNeg": ((0, 0, -1), (0, -1, 0)),
}


@dataclass(frozen=True, slots=True, eq=False)
class StandIn:
    """A part of what is drawn in place of a model, in the model's own space."""

    shape: Shape
    material: Material = UNBOUND


def stand_ins(prim: Usd.Prim, time: Usd.TimeCode, omissions: Omissions) -> list[StandIn]:
    """What is drawn in place of a model; nothing where its geometry is to be drawn."""
    if not prim.IsModel() or prim.IsPseudoRoot():
        return []
    model = UsdGeom.ModelAPI(prim)
    applied = prim.IsA(UsdGeom.Imageable) and (
        model.GetModelApplyDrawModeAttr().Get() or Usd.ModelAPI(prim).IsKind("component")
    )
    mode = model.ComputeModelDrawMode() if applied else UsdGeom.Tokens.default_
    if mode not in _DRAWN:
        return []
    color = np.append(np.asarray(model.GetModelDrawModeColorAttr().Get() or (0.18, 0.18, 0.18), float), 1.0)
    boxes = UsdGeom.BBoxCache(time, [UsdGeom.Tokens.default_, UsdGeom.Tokens.render], useExtentsHint=True)
    extent = boxes.ComputeUntransformedBound(prim).ComputeAlignedRange()
    if extent.IsEmpty() or mode == UsdGeom.Tokens.origin:
        points = np.concatenate([np.zeros((1, 3)), np.eye(3)])
        axes = Shape(Kind.LINES, points, np.array([[0, 1], [0, 2], [0, 3]], np.int32), np.empty((0, 3)))
        return [StandIn(_colored(axes, color))]
    low, high = np.array(extent.GetMin()), np.array(extent.GetMax())
    if mode == UsdGeom.Tokens.bounds:
        return [StandIn(_colored(box_edges(low, high), color))]
    return list(_cards(model, low, high, color, omissions))


def _cards(
    model: UsdGeom.ModelAPI, low: Doubles, high: Doubles, color: Doubles, omissions: Omissions
) -> Iterator[StandIn]:
    geometry = model.GetModelCardGeometryAttr().Get()
    if geometry == UsdGeom.Tokens.fromTexture:
        omissions.add("models drawn as cards placed by their textures, placed across instead", model.GetPrim())
    textures = {name: _texture(model, name) for name in _FACES}
    bare = not any(textures.values())
    for name, (outward, up) in _FACES.items():
        other = name[0] + ("Neg" if name.endswith("Pos") else "Pos")
        read = textures[name]
        if read is None and (mirror := textures[other]) is not None:
            # One side's picture serves the other as well, seen from behind.
            read = replace(mirror, placement=_TOP_DOWN if name.startswith("Z") else _SIDE_TO_SIDE)
        if read is None and not bare:
            continue
        shape = _card(low, high, np.array(outward), np.array(up), box=geometry == UsdGeom.Tokens.box)
        yield StandIn(_colored(shape, color), UNBOUND if read is None else _material(read))


def _card(low: Doubles, high: Doubles, outward: Doubles, up: Doubles, *, box: bool) -> Shape:
    """One side of the model's box, or of its middle, seen from outside."""
    middle, half = (low + high) / 2, (high - low) / 2
    right = np.cross(up, outward)
    at = middle + outward * (half if box else np.full(3, float(half.max()) * _APART))
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    points = np.array([at + (right * x + up * y) * half for x, y in corners])
    uvs = (np.array(corners, float) + 1) / 2
    elements = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Shape(Kind.SURFACE, points, elements, np.tile(outward.astype(float), (4, 1)), uvs={"st": uvs})


def _texture(model: UsdGeom.ModelAPI, face: str) -> TextureRead | None:
    asset = model.GetPrim().GetAttribute(f"model:cardTexture{face}").Get()
    if not isinstance(asset, Sdf.AssetPath) or not asset.path:
        return None
    return TextureRead(asset.resolvedPath, asset.path, uv_name="st", wrap=(Wrap.CLAMP, Wrap.CLAMP))


def _material(read: TextureRead) -> Material:
    return Material(
        base_color=Input((0.18, 0.18, 0.18), texture=read),
        opacity=Input((1.0,), texture=replace(read, channel="a")),
        opacity_threshold=_CARD_CUTOFF,
        roughness=Input((1.0,)),
    )


def _colored(shape: Shape, color: Doubles) -> Shape:
    return replace(shape, colors=np.tile(color, (len(shape.points), 1)))
