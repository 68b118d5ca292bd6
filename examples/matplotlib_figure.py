"""A live matplotlib figure; a click marks a value. `python examples/matplotlib_figure.py`."""

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import streamer
from streamer.input import InputEvent, PointerButton

DPI = 100


class Chart:
    """A figure of its own canvas: no window, no pyplot, nothing global."""

    def start(self, arguments: Mapping[str, str], outbox: streamer.Outbox) -> None:
        self.canvas = FigureCanvasAgg(Figure(dpi=DPI, layout="constrained"))
        self.axes = self.canvas.figure.subplots()
        self.axes.set(title="Two waves, and what they add up to", xlabel="time, s", ylim=(-2.2, 2.2))
        self.lines = [self.axes.plot([], [], label=name)[0] for name in ("slow", "fast", "sum")]
        self.axes.legend(loc="upper right")
        self.mark = self.axes.axhline(0, color="grey", linestyle="--")

    def render(self, video: streamer.VideoFormat, at_s: float) -> streamer.Frame:
        self.canvas.figure.set_size_inches(video.width / DPI, video.height / DPI)
        t = np.linspace(at_s - 4, at_s, 400)
        slow, fast = np.sin(2 * t), np.sin(7 * t)
        for line, values in zip(self.lines, (slow, fast, slow + fast), strict=True):
            line.set_data(t, values)
        self.axes.set_xlim(t[0], t[-1])
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3]

    def on_input(self, event: InputEvent) -> None:
        if isinstance(event, PointerButton) and event.down:
            width, height = self.canvas.get_width_height()
            _, value = self.axes.transData.inverted().transform((event.x * width, (1 - event.y) * height))
            self.mark.set_ydata([value, value])

    def on_message(self, event_type: str, payload: Mapping[str, object]) -> None:
        pass

    def stop(self) -> None:
        pass


if __name__ == "__main__":
    streamer.run(Chart())
