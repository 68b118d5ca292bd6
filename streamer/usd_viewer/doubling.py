"""Pictures at twice their size, four bytes at a time: cheaper than drawing the pixels in software. Pure NumPy."""

import numpy as np
from numpy.typing import NDArray

from streamer.usd_viewer.scene import Bytes

_LOW_BITS = np.uint32(0x7F7F7F7F)


def doubled(picture: Bytes, width: int, height: int) -> Bytes:
    """A (height, width, 4) picture from one of half the size, rounded up; a new pixel is its neighbours' mean."""
    words = np.ascontiguousarray(picture).view(np.uint32)[..., 0]
    rows, columns = words.shape
    wide = np.empty((rows, columns * 2), np.uint32)
    wide[:, ::2] = words
    wide[:, 1:-1:2] = _mean(words[:, :-1], words[:, 1:])
    wide[:, -1] = words[:, -1]
    tall = np.empty((rows * 2, columns * 2), np.uint32)
    tall[::2] = wide
    tall[1:-1:2] = _mean(wide[:-1], wide[1:])
    tall[-1] = wide[-1]
    cut = np.ascontiguousarray(tall[:height, :width])
    return cut.view(np.uint8).reshape(height, width, 4)


def _mean(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The mean of each of the four bytes, rounded down."""
    mean: NDArray[np.uint32] = (one & other) + (((one ^ other) >> np.uint32(1)) & _LOW_BITS)
    return mean
