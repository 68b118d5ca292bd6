"""The outline around selected prims: a mask drawn beside the picture, its rim painted over it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkRenderingCore import vtkCamera, vtkRenderer, vtkRenderWindow

from streamer.usd_viewer.actors import BatchActor
from streamer.usd_viewer.parts import parts_under
from streamer.usd_viewer.scene import Bytes, Scene

COLOR = (255, 158, 31)
_HALF = 127


class Marker:
    """Draws the marked prims alone, hidden by nothing, into the window that it shares with the picture."""

    def __init__(self, window: vtkRenderWindow, camera: vtkCamera) -> None:
        self._window = window
        self._renderer = vtkRenderer()
        self._renderer.GetCullers().RemoveAllItems()
        self._renderer.AutomaticLightCreationOff()
        self._renderer.SetActiveCamera(camera)
        self._renderer.DrawOff()
        window.AddRenderer(self._renderer)
        self._actors: list[BatchActor] = []

    def __bool__(self) -> bool:
        return bool(self._actors)

    def mark(self, scene: Scene | None, paths: Iterable[str]) -> None:
        """Mark these prims, and those below them, instead of what was marked."""
        for actor in self._actors:
            self._renderer.RemoveActor(actor.actor)
            actor.actor.ReleaseGraphicsResources(self._window)
        parts = parts_under(scene, paths) if scene is not None else []
        self._actors = [BatchActor(part) for part in parts]
        for actor in self._actors:
            self._renderer.AddActor(actor.actor)

    def draw(self, picture: vtkRenderer, frame: int) -> None:
        """Draw the mask, white on black, into the window in place of the picture."""
        for actor in self._actors:
            actor.set_frame(frame)
        picture.DrawOff()
        self._renderer.DrawOn()
        self._window.Render()
        self._renderer.DrawOff()
        picture.DrawOn()


def paint_rim(picture: Bytes, mask: Bytes) -> None:
    """Paint, into a (height, width, 4) picture, a rim of two pixels around what is white in a mask of its size."""
    inside = mask[..., 0] > _HALF
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return
    top, left = max(rows[0] - 2, 0), max(columns[0] - 2, 0)
    window = np.s_[top : rows[-1] + 3, left : columns[-1] + 3]
    shape = inside[window]
    picture[window][_grown(_grown(shape)) & ~shape, :3] = COLOR


def _grown(shape: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A shape with the pixels around it."""
    tall = shape.copy()
    tall[1:] |= shape[:-1]
    tall[:-1] |= shape[1:]
    grown = tall.copy()
    grown[:, 1:] |= tall[:, :-1]
    grown[:, :-1] |= tall[:, 1:]
    return grown
