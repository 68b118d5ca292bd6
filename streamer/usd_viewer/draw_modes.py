"""Models that stand for themselves by a stand-in: `model:drawMode` bounds and origin."""

import numpy as np
from pxr import Usd, UsdGeom

from streamer.usd_viewer.scene import Kind
from streamer.usd_viewer.shapes import Shape, box_edges


def draw_mode_shape(prim: Usd.Prim, time: Usd.TimeCode) -> Shape | None:
    """The stand-in of a model in its own space, or None where its geometry is to be drawn."""
    if not prim.IsModel() or prim.IsPseudoRoot():
        return None
    model = UsdGeom.ModelAPI(prim)
    applied = prim.IsA(UsdGeom.Imageable) and (
        model.GetModelApplyDrawModeAttr().Get() or Usd.ModelAPI(prim).IsKind("component")
    )
    mode = model.ComputeModelDrawMode() if applied else UsdGeom.Tokens.default_
    if mode not in (UsdGeom.Tokens.bounds, UsdGeom.Tokens.origin):
        return None
    color = np.append(np.asarray(model.GetModelDrawModeColorAttr().Get() or (0.18, 0.18, 0.18), float), 1.0)
    boxes = UsdGeom.BBoxCache(time, [UsdGeom.Tokens.default_, UsdGeom.Tokens.render], useExtentsHint=True)
    extent = boxes.ComputeUntransformedBound(prim).ComputeAlignedRange()
    if mode == UsdGeom.Tokens.bounds and not extent.IsEmpty():
        shape = box_edges(np.array(extent.GetMin()), np.array(extent.GetMax()))
    else:
        points = np.concatenate([np.zeros((1, 3)), np.eye(3)])
        shape = Shape(Kind.LINES, points, np.array([[0, 1], [0, 2], [0, 3]], np.int32), np.empty((0, 3)))
    return Shape(shape.kind, shape.points, shape.elements, shape.normals, colors=np.tile(color, (len(shape.points), 1)))
