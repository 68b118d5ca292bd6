"""A PyVista scene that you turn by dragging and zoom by the wheel. `python examples/pyvista_scene.py`."""

from collections.abc import Mapping

import numpy as np
import pyvista

import streamer
from streamer.input import InputEvent, PointerMove, Wheel


class Terrain:
    """A plotter without a window; made in `start`, so that its OpenGL context belongs to the application's thread."""

    def start(self, arguments: Mapping[str, str], outbox: streamer.Outbox) -> None:
        x, y = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-8, 8, 161))
        surface = pyvista.StructuredGrid(x, y, 2 * np.sin(np.hypot(x, y)) / (1 + np.hypot(x, y) / 4))
        surface["height"] = surface.points[:, 2]
        self.plotter = pyvista.Plotter(off_screen=True)
        self.plotter.add_mesh(surface, scalars="height", cmap="viridis", smooth_shading=True, show_scalar_bar=False)
        self.plotter.set_background("midnightblue")
        self.plotter.show(auto_close=False, interactive=False)
        self.plotter.camera.zoom(1.6)
        self.pointer = (0.5, 0.5)
        self.changed = True

    def render(self, video: streamer.VideoFormat, at_s: float) -> streamer.Frame | None:
        if not self.changed:
            return None  # the last picture still holds
        self.changed = False
        self.plotter.window_size = [video.width, video.height]
        return np.asarray(self.plotter.screenshot(return_img=True))

    def on_input(self, event: InputEvent) -> None:
        if isinstance(event, PointerMove):
            if event.buttons & 1:
                self.plotter.camera.azimuth -= 300 * (event.x - self.pointer[0])
                self.plotter.camera.elevation += 150 * (event.y - self.pointer[1])
                self.changed = True
            self.pointer = (event.x, event.y)
        elif isinstance(event, Wheel):
            self.plotter.camera.zoom(1.1 if event.dy < 0 else 1 / 1.1)
            self.changed = True

    def on_message(self, event_type: str, payload: Mapping[str, object]) -> None:
        pass

    def stop(self) -> None:
        self.plotter.close()


if __name__ == "__main__":
    streamer.run(Terrain())
