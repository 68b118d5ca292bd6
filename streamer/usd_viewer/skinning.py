"""Skinned meshes, posed in every frame before the stage is read."""

from collections.abc import Sequence

from pxr import Gf, Tf, Usd, UsdGeom, UsdSkel

from streamer.usd_viewer.omissions import Omissions

MAX_SKINNED_NUMBERS = 20_000_000
IN_REST = "skinned characters, shown in their rest pose"


def pose_skinned(stage: Usd.Stage, times: Sequence[float], omissions: Omissions) -> None:
    """Bake the poses of skinned meshes into a layer of this process's own; what cannot be baked stays in its rest pose.

    Args:
        times: those at which the stage will be read; none for its start alone.
        omissions: counts what stays in its rest pose.
    """
    roots = [prim for prim in Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies()) if _is_root(prim)]
    room = MAX_SKINNED_NUMBERS
    stage.SetEditTarget(stage.GetSessionLayer())
    for prim in roots:
        needed = 0 if prim.IsInstanceProxy() else _points_below(prim) * 3 * max(len(times), 1)
        interval = Gf.Interval(times[0], times[-1]) if times else Gf.Interval.GetFullInterval()
        if prim.IsInstanceProxy() or needed > room or not _bake(prim, interval):
            omissions.add(IN_REST, prim)
        room -= min(needed, room)


def _is_root(prim: Usd.Prim) -> bool:
    return bool(prim.IsA(UsdSkel.Root))


def _bake(prim: Usd.Prim, interval: Gf.Interval) -> bool:
    try:
        return bool(UsdSkel.BakeSkinning(UsdSkel.Root(prim), interval))
    except Tf.ErrorException:
        return False


def _points_below(prim: Usd.Prim) -> int:
    total = 0
    for below in Usd.PrimRange(prim):
        points = UsdGeom.PointBased(below).GetPointsAttr().Get() if below.IsA(UsdGeom.PointBased) else None
        total += 0 if points is None else len(points)
    return total
