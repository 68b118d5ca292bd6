"""The cameras of a stage, and which of them it names for its first view."""

from dataclasses import dataclass, field, replace

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdRender, UsdUtils

from streamer.usd_viewer.camera import Vector
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Doubles, StageCamera

MAX_CAMERAS = 32


@dataclass(slots=True)
class CameraReader:
    """Collects cameras.

    Args:
        omissions: counts what cannot be looked through.
    """

    omissions: Omissions
    _cameras: list[StageCamera] = field(default_factory=list)

    def add(self, prim: Usd.Prim, time: Usd.TimeCode) -> None:
        """Take a camera as it is at a time."""
        camera = UsdGeom.Camera(prim).GetCamera(time)
        if camera.projection != Gf.Camera.Perspective:
            self.omissions.add("orthographic cameras", prim)
            return
        frustum = camera.frustum
        eye, forward, up = frustum.GetPosition(), frustum.ComputeViewDirection(), frustum.ComputeUpVector()
        angle = (
            2.0 * float(np.arctan(camera.verticalAperture / (2.0 * camera.focalLength))) if camera.focalLength else 0
        )
        values = [*eye, *forward, *up, angle, camera.aspectRatio]
        if len(self._cameras) >= MAX_CAMERAS or not np.isfinite(values).all() or not 0.01 < angle < 3.0:
            self.omissions.add(f"cameras that cannot be looked through, or beyond the first {MAX_CAMERAS}", prim)
            return
        if camera.horizontalApertureOffset or camera.verticalApertureOffset:
            self.omissions.add("cameras with a shifted aperture, looked through unshifted", prim)
        if self._moves(prim):
            self.omissions.add("cameras that move, standing as at the start", prim)
        self._cameras.append(
            StageCamera(
                name=prim.GetName(),
                eye=_vector(eye),
                forward=_vector(forward),
                field_of_view=angle,
                up=_vector(up),
                aspect=min(max(camera.aspectRatio, 0.1), 10.0),
                clip=_clip(prim, camera),
                path=str(prim.GetPath()),
            )
        )

    def cameras(self, stage: Usd.Stage, origin: Doubles) -> tuple[StageCamera, ...]:
        """All of them, moved by `-origin`, first the one that the stage names."""
        named = _named(stage)
        primary = UsdUtils.GetPrimaryCameraName()
        moved = [replace(one, eye=_vector(np.array(one.eye) - origin)) for one in self._cameras]
        return tuple(sorted(moved, key=lambda one: (one.path != named, one.name != primary)))

    def _moves(self, prim: Usd.Prim) -> bool:
        while prim and not prim.IsPseudoRoot():
            xformable = UsdGeom.Xformable(prim)
            if xformable and xformable.TransformMightBeTimeVarying():
                return True
            prim = prim.GetParent()
        return False


def _named(stage: Usd.Stage) -> str:
    """The camera of the stage's render settings, else the one that Kit left it with; empty for none."""
    settings = UsdRender.Settings.GetStageRenderSettings(stage)
    targets = settings.GetCameraRel().GetForwardedTargets() if settings else []
    if targets:
        return str(targets[0])
    data = stage.GetRootLayer().customLayerData
    kit = data.get("cameraSettings")
    bound = kit.get("boundCamera") if isinstance(kit, dict) else None
    return bound if isinstance(bound, str) and Sdf.Path.IsValidPathString(bound) else ""


def _clip(prim: Usd.Prim, camera: Gf.Camera) -> tuple[float, float] | None:
    """The clipping range, where one is authored that can be used."""
    if not UsdGeom.Camera(prim).GetClippingRangeAttr().HasAuthoredValue():
        return None
    near, far = float(camera.clippingRange.min), float(camera.clippingRange.max)
    return (near, far) if 0.0 < near < far < float("inf") else None


def _vector(values: Gf.Vec3d | Doubles) -> Vector:
    return (float(values[0]), float(values[1]), float(values[2]))
