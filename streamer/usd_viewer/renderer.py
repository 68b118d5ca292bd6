"""Scenes as pictures: VTK off screen, through EGL on the GPU or in software, whichever the machine has."""

import logging

import numpy as np
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkRenderingCore import vtkLight, vtkRenderer
from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow

from streamer.usd_viewer.actors import SceneActors, gradient
from streamer.usd_viewer.backdrop import BOTTOM, TOP
from streamer.usd_viewer.camera import Camera, clipping, dot
from streamer.usd_viewer.caption import Caption
from streamer.usd_viewer.egl import require_egl
from streamer.usd_viewer.scene import Bytes, Scene
from streamer.usd_viewer.vtk_arrays import bytes_of

logger = logging.getLogger(__name__)

FINE_SAMPLES = 8
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software")


class Renderer:
    """One off-screen window. Everything happens in the thread that made it. NoGraphics without OpenGL."""

    def __init__(self) -> None:
        require_egl()
        self._window = vtkEGLRenderWindow()
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
        self._background = gradient(TOP, BOTTOM)
        self._renderer.AddActor(self._background)
        self._caption = Caption(self._renderer)
        self.software = self._is_software()
        # Order-independent translucency costs two more full-screen passes.
        self._renderer.SetUseOIT(not self.software)

    def show(self, scene: Scene | None) -> None:
        """Draw this scene from now on, or none."""
        if self._actors is not None:
            self._actors.remove()
        self._actors = SceneActors(scene, self._renderer) if scene is not None else None
        # Drawn last, the background costs only the pixels that nothing else covers.
        self._renderer.RemoveActor(self._background)
        self._renderer.AddActor(self._background)

    def say(self, title: str, text: str = "") -> None:
        """Write a message over the picture; empty strings take it away."""
        self._caption.say(title, text)

    def draw(self, camera: Camera, frame: int, width: int, height: int, *, fine: bool) -> Bytes:
        """(height, width, 3) RGB of the scene's `frame` from `camera`; `fine` smooths the edges, at a price."""
        self._window.SetSize(width, height)
        self._window.SetMultiSamples(FINE_SAMPLES if fine else 0)
        self._caption.fit(width, height)
        if self._actors is not None:
            self._aim(camera, self._actors)
            self._actors.set_frame(frame)
            up = camera.world_up
            self._actors.set_up((dot(up, camera.right), dot(up, camera.up), dot(up, camera.backward)))
        self._window.Render()
        self._window.GetPixelData(0, 0, width - 1, height - 1, 0, self._pixels, 0)
        rows = bytes_of(self._pixels).reshape(height, width, 3)
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
