"""Scenes as pictures: VTK off screen, through EGL on the GPU or in software, whichever the machine has."""

import logging
from collections.abc import Iterable

import numpy as np
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkSelection, vtkSelectionNode
from vtkmodules.vtkRenderingCore import vtkLight, vtkRenderer
from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow, vtkOpenGLHardwareSelector

from streamer.usd_viewer.actors import SceneActors, View
from streamer.usd_viewer.background import Background, environment_texture
from streamer.usd_viewer.camera import Bounds, Camera, clipping
from streamer.usd_viewer.caption import Caption
from streamer.usd_viewer.doubling import doubled
from streamer.usd_viewer.egl import require_egl
from streamer.usd_viewer.marking import Marker, paint_rim
from streamer.usd_viewer.parts import bounds_of
from streamer.usd_viewer.scene import Bytes, Scene
from streamer.usd_viewer.vtk_arrays import bytes_of

logger = logging.getLogger(__name__)

FINE_SAMPLES = 8
PICK_REACH_PX = 3
"""How far from a line or an edge one may point and still mean it."""
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")


class Renderer:
    """One off-screen window. Everything happens in the thread that made it. NoGraphics without OpenGL."""

    def __init__(self) -> None:
        device = require_egl()
        self._window = vtkEGLRenderWindow()
        self._window.SetDeviceIndex(device)
        self._window.SetOffScreenRendering(True)
        self._window.SwapBuffersOff()
        self._window.SetMultiSamples(0)
        self._renderer = vtkRenderer()
        self._renderer.GetCullers().RemoveAllItems()
        self._renderer.AutomaticLightCreationOff()
        # VTK hands normals to the shader only where there is a light; the light itself is ours, in `lighting`.
        self._renderer.AddLight(vtkLight())
        self._window.AddRenderer(self._renderer)
        self._pixels = vtkUnsignedCharArray()
        self._actors: SceneActors | None = None
        self._scene: Scene | None = None
        self._frame = 0
        self._edges_only = False
        self._outlined: tuple[str, ...] = ()
        self._marker = Marker(self._window, self._renderer.GetActiveCamera())
        self._background = Background()
        self._renderer.AddActor(self._background.actor)
        self._caption = Caption(self._renderer)
        self.software = self._is_software()
        # Order-independent translucency costs two more full-screen passes.
        self._renderer.SetUseOIT(not self.software)

    def show(self, scene: Scene | None) -> None:
        """Draw this scene from now on, or none."""
        if self._actors is not None:
            self._actors.remove()
        environment = scene.lighting.environment if scene is not None else None
        texture = environment_texture(environment) if environment is not None else None
        self._actors = SceneActors(scene, self._renderer, texture) if scene is not None else None
        self._scene, self._frame = scene, 0
        self.wireframe(self._edges_only)
        self.outline(())
        # Drawn last, the background costs only the pixels that nothing else covers.
        self._renderer.RemoveActor(self._background.actor)
        self._background.actor.ReleaseGraphicsResources(self._window)
        self._background = Background(environment if environment and environment.visible else None, texture)
        self._renderer.AddActor(self._background.actor)

    def say(self, title: str, text: str = "") -> None:
        """Write a message over the picture; empty strings take it away."""
        self._caption.say(title, text)

    def outline(self, paths: Iterable[str]) -> None:
        """Outline these prims and all below them from now on; what they are hidden by does not hide the outline.

        A new scene begins without.
        """
        wanted = tuple(paths)
        if wanted != self._outlined or self._scene is None:
            self._outlined = wanted
            self._marker.mark(self._scene, wanted)

    def wireframe(self, on: bool) -> None:
        """Draw surfaces by their edges alone from now on, or whole again; new scenes too."""
        self._edges_only = on
        if self._actors is not None:
            self._actors.wireframe(on)

    def pick(self, x: float, y: float) -> str | None:
        """The path of the prim at a place in the picture drawn last, or None for the background.

        `x` and `y` are parts of its width and height, from the upper left, as in input events. What an instance shows
        has the instance's path; what a point instancer places, the instancer's.
        """
        actors = self._actors
        width, height = self._window.GetSize()
        if actors is None or not (0.0 <= x < 1.0 and 0.0 <= y < 1.0):
            return None
        column, row = int(x * width), height - 1 - int(y * height)
        self._window.SetMultiSamples(0)
        selector = vtkOpenGLHardwareSelector()
        selector.SetRenderer(self._renderer)
        selector.SetFieldAssociation(vtkDataObject.FIELD_ASSOCIATION_CELLS)
        areas = [_around(column, row, reach, width, height) for reach in range(PICK_REACH_PX + 1)]
        selector.SetArea(*areas[-1])
        if not selector.CaptureBuffers():
            return None
        found = (_nearest(selector.GenerateSelection(*area), actors) for area in areas)
        return next((path for path in found if path is not None), None)

    def bounds_of(self, paths: Iterable[str]) -> Bounds | None:
        """The box around these prims and all below them as drawn last, in the camera's coordinates, or None."""
        return None if self._scene is None else bounds_of(self._scene, paths, self._frame)

    def draw(self, camera: Camera, frame: int, width: int, height: int, *, fine: bool, coarse: bool = False) -> Bytes:
        """(height, width, 4) RGBX of the scene's `frame` from `camera`.

        `fine` smooths the edges, at a price; `coarse` draws a quarter of the pixels and doubles them.
        """
        if coarse:
            half = self.draw(camera, frame, (width + 1) // 2, (height + 1) // 2, fine=fine)
            return doubled(half, width, height)
        self._window.SetSize(width, height)
        self._window.SetMultiSamples(FINE_SAMPLES if fine else 0)
        self._caption.fit(width, height)
        self._frame = frame
        if self._actors is not None:
            self._aim(camera, self._actors)
            self._actors.set_frame(frame)
            view = View.of(camera)
            self._actors.set_view(view)
            self._background.set_view(view, camera.field_of_view, width, height)
        self._window.Render()
        picture = self._read(width, height)
        if self._marker:
            self._marker.draw(self._renderer, frame)
            paint_rim(picture, self._read(width, height))
        return picture

    def _read(self, width: int, height: int) -> Bytes:
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, self._pixels, 0)
        rows = bytes_of(self._pixels).reshape(height, width, 4)
        return np.ascontiguousarray(rows[::-1])

    def close(self) -> None:
        """Give back the window and its memory. Idempotent."""
        self.show(None)
        self._window.Finalize()

    def _aim(self, camera: Camera, actors: SceneActors) -> None:
        view = self._renderer.GetActiveCamera()
        view.SetFocalPoint(*camera.target)
        view.SetPosition(*camera.eye)
        view.SetViewUp(*camera.up)
        view.SetViewAngle(np.degrees(camera.field_of_view))
        view.SetClippingRange(*clipping(camera, actors.bounds))

    def _is_software(self) -> bool:
        self._window.SetSize(16, 16)
        self._window.Render()
        described = next(
            (line for line in self._window.ReportCapabilities().splitlines() if "renderer string" in line), ""
        )
        logger.info("rendering with %s", described.partition(":")[2].strip() or "an unnamed renderer")
        return any(name in described for name in _SOFTWARE)


def _around(column: int, row: int, reach: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The first and last column and row, as VTK takes an area."""
    return (
        max(column - reach, 0),
        max(row - reach, 0),
        min(column + reach, width - 1),
        min(row + reach, height - 1),
    )


def _nearest(selection: vtkSelection, actors: SceneActors) -> str | None:
    """The prim of the selected element."""
    found = None
    for number in range(selection.GetNumberOfNodes()):
        node = selection.GetNode(number)
        elements, properties = node.GetSelectionList(), node.GetProperties()
        if found is None and elements.GetNumberOfTuples():
            found = actors.prim_of(properties.Get(vtkSelectionNode.PROP()), int(elements.GetTuple1(0)))
        # VTK never lets go of what a selection's properties hold, and an actor holds its geometry.
        properties.Clear()
    return found
