"""A composed stage walked prim by prim into placements: transforms, instances, materials, animation."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from pxr import Gf, Usd, UsdGeom, UsdLux, UsdShade, UsdSkel

from streamer.usd_viewer.animation import Frames, MovingPrims, deformation
from streamer.usd_viewer.batching import Placement, bounds_of, gather, outline_of
from streamer.usd_viewer.camera import Bounds
from streamer.usd_viewer.draw_modes import draw_mode_shape
from streamer.usd_viewer.gprims import BadGeometry, numbers, read_gprim
from streamer.usd_viewer.materials import UNBOUND, Material, bound_material, read_material
from streamer.usd_viewer.scene import Doubles, Integers, Scene, StageCamera
from streamer.usd_viewer.shapes import Shape, as_up_axis
from streamer.usd_viewer.stage_policy import StagePolicy, shorten
from streamer.usd_viewer.surfaces import Surfaces

MAX_PRIMS = 1_000_000
MAX_INSTANCES = 1_000_000
MAX_NESTING = 8
"""Point instancers inside prototypes of point instancers."""
MAX_CAMERAS = 32
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
    _omissions: Counter[str] = field(default_factory=Counter)
    _placements: list[Placement] = field(default_factory=list)
    _shapes: dict[str, Shape | None] = field(default_factory=dict)
    _materials: dict[str, Material] = field(default_factory=dict)
    _cameras: list[StageCamera] = field(default_factory=list)
    _paths: dict[str, int] = field(default_factory=dict)
    _instancer: str = ""
    _time: Usd.TimeCode = field(default_factory=Usd.TimeCode.EarliestTime)
    _transforms: UsdGeom.XformCache = field(default_factory=UsdGeom.XformCache)
    _moving: MovingPrims = field(init=False)
    _surfaces: Surfaces = field(init=False)
    _prims: int = 0

    def read(self) -> Scene:
        """The whole stage. StageTooLarge where it has more than MAX_PRIMS prims."""
        frames = Frames.of(self.stage)
        self._time = frames.start
        self._transforms = UsdGeom.XformCache(self._time)
        self._moving = MovingPrims(frames)
        self._surfaces = Surfaces(self.policy, self._omissions)
        self._omissions.update(f"missing file {shorten(path)}: it is not drawn" for path in self.missing)
        self._walk(self.stage.GetPseudoRoot(), np.eye(4)[None], Gf.Matrix4d(1.0), 0)
        bounds = bounds_of(self._placements) or Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
        origin = np.array(bounds.center)
        batches, left_out = gather(self._placements, self._moving.tracks(), origin)
        if left_out:
            self._omissions["triangles and lines beyond what the picture has room for"] += left_out
        half = ((np.array(bounds.high) - np.array(bounds.low)) / 2).tolist()
        return Scene(
            up_axis=as_up_axis(UsdGeom.GetStageUpAxis(self.stage)),
            meters_per_unit=max(UsdGeom.GetStageMetersPerUnit(self.stage), 1e-9),
            origin=bounds.center,
            bounds=Bounds((-half[0], -half[1], -half[2]), (half[0], half[1], half[2])),
            outline=outline_of(batches),
            timeline=self._moving.timeline(),
            batches=batches,
            paths=tuple(self._paths),
            textures=self._surfaces.textures,
            cameras=tuple(self._cameras),
            prims=self._prims,
            omissions=tuple(_told(self._omissions)),
        )

    def _walk(self, root: Usd.Prim, instances: Doubles, outside: Gf.Matrix4d, nesting: int) -> None:
        """Place what lies under `root`, its world transform without `outside` coming before `instances`."""
        prims = iter(Usd.PrimRange(root, Usd.TraverseInstanceProxies()))
        for prim in prims:
            self._count()
            if prim.IsA(UsdGeom.Imageable) and self._invisible(prim):
                prims.PruneChildren()
                continue
            world = np.array(self._transforms.GetLocalToWorldTransform(prim) * outside)
            if prim.IsA(UsdGeom.PointInstancer):
                prims.PruneChildren()
                outermost, self._instancer = self._instancer, self._instancer or str(prim.GetPath())
                self._attempt(prim, self._instance, instances=world @ instances, nesting=nesting)
                self._instancer = outermost
            elif (box := draw_mode_shape(prim, self._time)) is not None:
                prims.PruneChildren()
                self._place(prim, box, world @ instances)
            else:
                self._attempt(prim, self._visit, instances=world @ instances, nesting=nesting)

    def _count(self) -> None:
        self._prims += 1
        if self._prims > MAX_PRIMS:
            raise StageTooLarge(f"it has more than {MAX_PRIMS} prims")
        if self._prims % 500 == 0:
            self.progress(self._prims)

    def _attempt(
        self, prim: Usd.Prim, visit: Callable[[Usd.Prim, Doubles, int], None], *, instances: Doubles, nesting: int
    ) -> None:
        try:
            visit(prim, instances, nesting)
        except BadGeometry as error:
            self._omissions[f"{prim.GetTypeName()} {shorten(str(prim.GetPath()))}: {error}"] += 1

    def _invisible(self, prim: Usd.Prim) -> bool:
        attribute = UsdGeom.Imageable(prim).GetVisibilityAttr()
        if attribute and attribute.ValueMightBeTimeVarying():
            self._omissions["prims whose visibility changes, shown as at the start"] += 1
        return bool(attribute and attribute.Get(self._time) == UsdGeom.Tokens.invisible)

    def _visit(self, prim: Usd.Prim, instances: Doubles, nesting: int) -> None:
        if prim.IsA(UsdGeom.Camera):
            self._keep_camera(prim)
        elif prim.IsA(UsdSkel.Root):
            self._omissions["skinned characters, shown in their rest pose"] += 1
        elif prim.HasAPI(UsdLux.LightAPI):
            self._omissions["lights; the viewer brings its own"] += 1
        elif prim.IsA(UsdGeom.Gprim) and UsdGeom.Imageable(prim).ComputePurpose() in _DRAWN_PURPOSES:
            shape = self._shape(prim)
            if shape is None:
                self._omissions[f"prims of type {prim.GetTypeName()}"] += 1
            elif len(shape.elements):
                self._place(prim, shape, instances)

    def _shape(self, prim: Usd.Prim) -> Shape | None:
        key = _shared_path(prim)
        if key not in self._shapes:
            self._shapes[key] = None
            self._shapes[key] = read_gprim(prim, self._time)
        return self._shapes[key]

    def _place(self, prim: Usd.Prim, shape: Shape, instances: Doubles) -> None:
        if not np.isfinite(instances).all():
            raise BadGeometry("its transform is not finite")
        points = deformation(prim, self._moving) if shape.sources is not None and len(instances) == 1 else None
        anchor = self._moving.anchor(prim) if len(instances) == 1 else ""
        owner = self._paths.setdefault(self._instancer or str(prim.GetPath()), len(self._paths))
        for material, elements in self._parts(prim, shape):
            look = self._surfaces.look(prim, shape, material, self._time)
            self._placements.append(
                Placement(shape, elements, look.colors, look.uvs, look.surface, instances, anchor, owner, points)
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
            material = read_material(bound, self._time)
            if material is None:
                self._omissions["materials whose surface is not understood, drawn in the prim's own colour"] += 1
            self._materials[key] = material or UNBOUND
        return self._materials[key]

    def _instance(self, prim: Usd.Prim, instances: Doubles, nesting: int) -> None:
        """Place the prototypes of a point instancer."""
        if UsdGeom.Imageable(prim).ComputePurpose() not in _DRAWN_PURPOSES:
            return
        if nesting >= MAX_NESTING:
            raise BadGeometry(f"more than {MAX_NESTING} point instancers within one another")
        instancer = UsdGeom.PointInstancer(prim)
        chosen, matrices = self._instance_matrices(instancer)
        for number, target in enumerate(instancer.GetPrototypesRel().GetForwardedTargets()):
            prototype = self.stage.GetPrimAtPath(target)
            own = matrices[chosen == number]
            if not prototype or not len(own):
                continue
            if len(own) * len(instances) > MAX_INSTANCES:
                raise BadGeometry(f"more than {MAX_INSTANCES} instances")
            outside = self._transforms.GetLocalToWorldTransform(prototype).GetInverse()
            self._walk(prototype, (own[:, None] @ instances[None]).reshape(-1, 4, 4), outside, nesting + 1)

    def _instance_matrices(self, instancer: UsdGeom.PointInstancer) -> tuple[Integers, Doubles]:
        """The prototype and the transform of each visible instance."""
        chosen = np.asarray(instancer.GetProtoIndicesAttr().Get(self._time) or [], np.int32)
        if len(chosen) > MAX_INSTANCES or len(numbers(instancer.GetPositionsAttr(), self._time, 3)) != len(chosen):
            raise BadGeometry(f"positions and protoIndices do not fit together, or are more than {MAX_INSTANCES}")
        mask = instancer.ComputeMaskAtTime(self._time)
        transforms = instancer.ComputeInstanceTransformsAtTime(
            self._time, self._time, UsdGeom.PointInstancer.IncludeProtoXform, UsdGeom.PointInstancer.IgnoreMask
        )
        matrices = np.array(transforms, dtype=np.float64).reshape(-1, 4, 4)
        if len(matrices) != len(chosen):
            raise BadGeometry("its instances have no transforms")
        if instancer.GetPositionsAttr().ValueMightBeTimeVarying():
            self._omissions["point instancers that move, shown as at the start"] += 1
        kept = np.asarray(mask, bool) if len(mask) == len(chosen) else np.ones(len(chosen), bool)
        return chosen[kept], matrices[kept]

    def _keep_camera(self, prim: Usd.Prim) -> None:
        camera = UsdGeom.Camera(prim).GetCamera(self._time).frustum
        eye, forward = camera.GetPosition(), camera.ComputeViewDirection()
        if len(self._cameras) < MAX_CAMERAS and camera.GetProjectionType() == Gf.Frustum.Perspective:
            window = camera.GetWindow()
            angle = 2.0 * float(np.arctan(abs(window.GetMax()[1])))
            if 0.01 < angle < 3.0:
                self._cameras.append(
                    StageCamera(prim.GetName(), (eye[0], eye[1], eye[2]), (forward[0], forward[1], forward[2]), angle)
                )


def _shared_path(prim: Usd.Prim) -> str:
    """One path for all instances of a prim."""
    return str(prim.GetPrimInPrototype().GetPath() if prim.IsInstanceProxy() else prim.GetPath())


def _told(omissions: Counter[str], limit: int = 20) -> Iterator[str]:
    for text, count in omissions.most_common(limit):
        yield text if count == 1 and ": " in text else f"{count} {text}"
    if len(omissions) > limit:
        yield f"and {len(omissions) - limit} more kinds"
