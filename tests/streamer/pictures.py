"""Pictures as the application's thread gives them."""

import time

import numpy as np

from streamer.frames import Drawing, Picture
from streamer.source import VideoFormat


def picture(number: int, *, width: int = 320, height: int = 180, asked: VideoFormat | None = None) -> Picture:
    """The picture of this number at 30 frames a second, with a little noise in it."""
    noise = np.random.default_rng(number % 10).integers(100, 140, (height * 3 // 2, width), dtype=np.uint8)
    return Picture(
        noise,
        at_s=number / 30,
        taken_at=time.monotonic(),
        number=number,
        asked=asked or VideoFormat(width, height, 30),
        drawing=Drawing(1000.0, 1.0, 2.0, {"viewer-1": number}),
    )
