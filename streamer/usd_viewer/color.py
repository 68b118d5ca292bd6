"""Linear light and what displays show for it. Pure NumPy."""

import numpy as np

from streamer.usd_viewer.scene import Doubles


def to_srgb(linear: Doubles) -> Doubles:
    """Display-referred colour of linear colour, both 0 to 1."""
    encoded: Doubles = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
    return encoded


def from_srgb(encoded: Doubles) -> Doubles:
    """Linear colour of display-referred colour, both 0 to 1."""
    linear: Doubles = np.where(encoded <= 0.04045, encoded / 12.92, np.power((encoded + 0.055) / 1.055, 2.4))
    return linear
