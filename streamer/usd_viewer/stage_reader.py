"""A composed stage walked prim by prim into placements: transforms, instances, materials, lights, animation."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from pxr import Usd, UsdGeom, UsdLux, UsdShade

from streamer.usd_viewer.animation import Frames, MovingPrims, both_shown, deformation
from streamer.usd_viewer.batching import Placement, bounds_of, gather, outline_of
from streamer.usd_viewer.camera import Bounds
from streamer.usd_viewer.draw_modes import stand_ins
from streamer.usd_viewer.gprims import BadGeometry, is_thick, read_gprim
from streamer.usd_viewer.instancing import MAX_NESTING, Standing, read_instances, within
from streamer.usd_viewer.lights import LightReader
from streamer.usd_viewer.materials import UNBOUND, Material, bound_material, read_material
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Doubles, Integers, Scene
from streamer.usd_viewer.shapes import Shape, as_up_axis
from streamer.usd_viewer.skinning import pose_skinned
from streamer.usd_viewer.stage_cameras import CameraReader
from streamer.usd_viewer.stage_policy import StagePolicy, shorten
from streamer.usd_viewer.surfaces import Surfaces

MAX_PRIMS = 1_000_000
_DRAWN_PURPOSES = (UsdGeom.Tokens.default_, UsdGeom.Tokens.render)


class StageTooLarge(Exception):
    """A stage with more prims than are visited; its text gives the bound."""


@dataclass(slots=True)
class StageReader:
    """Reads one stage, once.

    Args:
        policy: admits textures.
        progress: called with the number of prims visited, now and then.
        missing: files that the stage refers to in vain.
    """

    stage: Usd.Stage
    policy: StagePolicy
    progress: Callable[[int], None]
    missing: tuple[str, ...] = ()
    _omissions: Omissions = field(default_factory=Omissions)
    _placements: list[Placement] = field(default_factory=list)
    _shapes: dict[str, Shape | None] = field(default_factory=dict)
    _materials: dict[str, Material] = field(default_factory=dict)
    _paths: dict[str, int] = field(default_factory=dict)
    _time: Usd.TimeCode = field(default_factory=Usd.TimeCode.EarliestTime)
    _transforms: UsdGeom.XformCache = field(default_factory=UsdGeom.XformCache)
    _moving: MovingPrims = field(init=False)
    _surfaces: Surfaces = field(init=False)
    _lights: LightReader = field(init=False)
    _cameras: CameraReader = field(init=False)
    _prims: int = 0

    def read(self) -> Scene:
        """The whole stage. StageTooLarge where it has more than MAX_PRIMS prims."""
        frames = Frames.of(self.stage)
        self._time = frames.start
        self._transforms = UsdGeom.XformCache(self._time)
        self._moving = MovingPrims(frames)
        self._surfaces = Surfaces(self.policy, self._omissions)
        self._lights = LightReader(self.policy, self._omissions)
        self._cameras = CameraReader(self._omissions)
        for path in self.missing:
            self._omissions.add(f"missing file {shorten(path)}: it is not drawn")
        pose_skinned(self.stage, frames.times, self._omissions)
        self._walk(self.stage.GetPseudoRoot(), Standing())
        bounds = bounds_of(self._placements) or Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
        origin = np.array(bounds.center)
        batches, left_out = gather(self._placements, self._moving.tracks(), origin)
        if left_out:
            self._omissions.add("triangles and lines beyond what the picture has room for", count=left_out)
        half = ((np.array(bounds.high) - np.array(bounds.low)) / 2).tolist()
        centered = Bounds((-half[0], -half[1], -half[2]), (half[0], half[1], half[2]))
        return Scene(
            up_axis=as_up_axis(UsdGeom.GetStageUpAxis(self.stage)),
            meters_per_unit=max(1e-9, UsdGeom.GetStageMetersPerUnit(self.stage)),
            origin=bounds.center,
            bounds=centered,
            outline=outline_of(batches),
            timeline=self._moving.timeline(),
            batches=batches,
            paths=tuple(self._paths),
            textures=self._surfaces.textures,
            lighting=self._lights.lighting(centered, origin),
            cameras=self._cameras.cameras(self.stage, origin),
            prims=self._prims,
            omissions=self._omissions.told(),
        )

    def _walk(self, root: Usd.Prim, standing: Standing) -> None:
        """Place what lies under `root`."""
        prims = iter(Usd.PrimRange(root, Usd.TraverseInstanceProxies()))
        for prim in prims:
            self._count()
            if prim.IsA(UsdGeom.Imageable) and self._invisible(prim):
                prims.PruneChildren()
                continue
            if prim.IsA(UsdGeom.PointInstancer):
                prims.PruneChildren()
                self._attempt(prim, self._instance, standing)
            elif parts := stand_ins(prim, self._time, self._omissions):
                prims.PruneChildren()
                for part in parts:
                    self._place(prim, part.shape, [(part.material, part.shape.elements)], standing)
            else:
                self._attempt(prim, self._visit, standing)

    def _count(self) -> None:
        self._prims += 1
        if self._prims > MAX_PRIMS:
            raise StageTooLarge(f"it has more than {MAX_PRIMS} prims")
        if self._prims % 500 == 0:
            self.progress(self._prims)

    def _attempt(self, prim: Usd.Prim, visit: Callable[[Usd.Prim, Standing], None], standing: Standing) -> None:
        try:
            visit(prim, standing)
        except BadGeometry as error:
            self._omissions.add(f"{prim.GetTypeName()} {shorten(str(prim.GetPath()))}: {error}")

    def _invisible(self, prim: Usd.Prim) -> bool:
        """Whether a prim, and with it all below, is never to be seen."""
        attribute = UsdGeom.Imageable(prim).GetVisibilityAttr()
        if attribute and self._moving.frames.times and attribute.ValueMightBeTimeVarying():
            return not self._moving.shown(prim).any()
        return bool(attribute and attribute.Get(self._time) == UsdGeom.Tokens.invisible)

    def _world(self, prim: Usd.Prim, standing: Standing) -> Doubles:
        return np.array(self._transforms.GetLocalToWorldTransform(prim) * standing.outside)

    def _visit(self, prim: Usd.Prim, standing: Standing) -> None:
        if prim.IsA(UsdGeom.Camera):
            self._cameras.add(prim, self._time)
        elif prim.HasAPI(UsdLux.LightAPI):
            self._lights.add(prim, self._world(prim, standing), self._time)
        elif prim.IsA(UsdGeom.Gprim) and UsdGeom.Imageable(prim).ComputePurpose() in _DRAWN_PURPOSES:
            shape = self._shape(prim)
            if shape is None:
                self._omissions.add(f"prims of type {prim.GetTypeName()}", prim)
            elif len(shape.elements):
                if is_thick(prim, shape, self._time):
                    self._omissions.add("thick curves and points, drawn as thin lines and dots", prim)
                self._place(prim, shape, self._parts(prim, shape), standing)

    def _shape(self, prim: Usd.Prim) -> Shape | None:
        key = _shared_path(prim)
        if key not in self._shapes:
            self._shapes[key] = None
            self._shapes[key] = read_gprim(prim, self._time)
        return self._shapes[key]

    def _place(
        self, prim: Usd.Prim, shape: Shape, parts: Iterable[tuple[Material, Integers]], standing: Standing
    ) -> None:
        matrices, frames = standing.placed(self._world(prim, standing))
        if not np.isfinite(matrices).all() or (frames is not None and not np.isfinite(frames).all()):
            raise BadGeometry("its transform is not finite")
        anchor, points = standing.anchor, None
        if anchor is None:
            anchor = self._moving.anchor(prim)
            points = deformation(prim, self._moving) if shape.sources is not None else None
        elif _moves_by_itself(prim):
            self._omissions.add("prims that move within what point instancers place, shown as at the start", prim)
        shown = both_shown(self._moving.shown(prim), standing.shown)
        owner = self._paths.setdefault(standing.owner or str(prim.GetPath()), len(self._paths))
        for material, elements in parts:
            look = self._surfaces.look(prim, shape, material, self._time)
            self._placements.append(
                Placement(
                    *(shape, elements, look.colors, look.uvs, look.surface, matrices),
                    anchor=anchor,
                    owner=owner,
                    frames=frames,
                    shown=shown,
                    deformation=points,
                )
            )

    def _parts(self, prim: Usd.Prim, shape: Shape) -> Iterator[tuple[Material, Integers]]:
        """The shape's elements by material: those of each subset, and the rest."""
        rest = np.ones(len(shape.elements), bool)
        faces = shape.faces
        for subset in UsdShade.MaterialBindingAPI(prim).GetMaterialBindSubsets():
            indices = subset.GetIndicesAttr().Get(self._time)
            if faces is None or indices is None or subset.GetElementTypeAttr().Get() != UsdGeom.Tokens.face:
                continue
            chosen = np.isin(faces, np.asarray(indices, np.int32)) & rest
            rest &= ~chosen
            if chosen.any():
                yield self._material(subset.GetPrim()), shape.elements[chosen]
        if rest.any():
            yield self._material(prim), shape.elements[rest]

    def _material(self, prim: Usd.Prim) -> Material:
        bound = bound_material(prim)
        if not bound:
            return UNBOUND
        key = _shared_path(bound.GetPrim())
        if key not in self._materials:
            self._materials[key] = read_material(bound, self._time)
            for told in self._materials[key].not_drawn:
                self._omissions.add(told, bound.GetPrim())
        return self._materials[key]

    def _instance(self, prim: Usd.Prim, standing: Standing) -> None:
        """Place the prototypes of a point instancer."""
        if UsdGeom.Imageable(prim).ComputePurpose() not in _DRAWN_PURPOSES:
            return
        if standing.nesting >= MAX_NESTING:
            raise BadGeometry(f"more than {MAX_NESTING} point instancers within one another")
        times = self._moving.frames.times
        prototypes = read_instances(UsdGeom.PointInstancer(prim), self._time, times, self._omissions)
        world, worlds = self._world(prim, standing), None
        shown = both_shown(self._moving.shown(prim), standing.shown)
        anchor = self._moving.anchor(prim) if standing.anchor is None else standing.anchor
        if any(prototype.frames is not None for prototype in prototypes):
            self._moving.note_change()
            worlds = self._moving.worlds(prim) if standing.anchor is None else None
        own = replace(standing, anchor=anchor, shown=shown, owner=standing.owner or str(prim.GetPath()))
        for prototype in prototypes:
            outside = self._transforms.GetLocalToWorldTransform(prototype.target).GetInverse()
            inner = within(own, prototype, world, worlds)
            self._walk(prototype.target, replace(inner, outside=outside))


def _moves_by_itself(prim: Usd.Prim) -> bool:
    xformable = UsdGeom.Xformable(prim)
    points = UsdGeom.PointBased(prim).GetPointsAttr() if prim.IsA(UsdGeom.PointBased) else None
    return bool(xformable and xformable.TransformMightBeTimeVarying()) or bool(
        points and points.ValueMightBeTimeVarying()
    )


def _shared_path(prim: Usd.Prim) -> str:
    """One path for all instances of a prim."""
    return str(prim.GetPrimInPrototype().GetPath() if prim.IsInstanceProxy() else prim.GetPath())
