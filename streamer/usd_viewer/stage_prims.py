"""From a composed stage to the tree of its prims."""

from pxr import Usd, UsdGeom

from streamer.usd_viewer.prim_tree import ROOT, PrimKind, PrimTree
from streamer.usd_viewer.stage_reader import MAX_PRIMS, StageTooLarge


def prims_of(stage: Usd.Stage) -> PrimTree:
    """All prims that are defined, active and loaded, those of instances too. StageTooLarge for more than MAX_PRIMS."""
    prims: list[tuple[int, str, PrimKind]] = []
    kinds: dict[str, PrimKind] = {}
    above = [ROOT]
    for prim in Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies()):
        depth = prim.GetPath().pathElementCount
        if depth == 0:
            continue
        if len(prims) >= MAX_PRIMS:
            raise StageTooLarge(f"it has more than {MAX_PRIMS} prims")
        del above[depth:]
        type_name = prim.GetTypeName()
        if type_name not in kinds:
            kinds[type_name] = _kind(prim)
        prims.append((above[-1], prim.GetName(), kinds[type_name]))
        above.append(len(prims) - 1)
    return PrimTree.of(prims)


def _kind(prim: Usd.Prim) -> PrimKind:
    kind = PrimKind(0)
    for schema, flag in (
        (UsdGeom.Mesh, PrimKind.MESH),
        (UsdGeom.Xform, PrimKind.XFORM),
        (UsdGeom.Scope, PrimKind.SCOPE),
        (UsdGeom.Gprim, PrimKind.GEOMETRY),
        (UsdGeom.PointInstancer, PrimKind.GEOMETRY),
    ):
        if prim.IsA(schema):
            kind |= flag
    return kind
