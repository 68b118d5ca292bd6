"""Rings on water, drawn with NumPy: they spread from where you click. `python examples/numpy_animation.py`."""

from collections.abc import Mapping

import numpy as np

import streamer
from streamer.input import InputEvent, PointerButton


class Water:
    """A picture that is a function of time and of the last click."""

    def start(self, arguments: Mapping[str, str], outbox: streamer.Outbox) -> None:
        self.drop = (0.5, 0.5)

    def render(self, video: streamer.VideoFormat, at_s: float) -> streamer.Frame:
        x = np.arange(video.width, dtype=np.float32) - self.drop[0] * video.width
        y = np.arange(video.height, dtype=np.float32)[:, None] - self.drop[1] * video.height
        far = np.hypot(x, y)
        height = np.sin(far / 24 - 5 * at_s) / (1 + far / 300)
        picture = np.empty((video.height, video.width, 3), np.uint8)
        for channel, (depth, swing) in enumerate([(20, 18), (90, 60), (150, 90)]):
            picture[..., channel] = depth + swing * height
        return picture

    def on_input(self, event: InputEvent) -> None:
        if isinstance(event, PointerButton) and event.down:
            self.drop = (event.x, event.y)

    def on_message(self, event_type: str, payload: Mapping[str, object]) -> None:
        pass

    def stop(self) -> None:
        pass


if __name__ == "__main__":
    streamer.run(Water())
