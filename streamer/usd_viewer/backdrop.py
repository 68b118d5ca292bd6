"""The background, and the picture there is before any renderer: a gradient with a bar that moves. Pure NumPy."""

import numpy as np

from streamer.usd_viewer.scene import Bytes

TOP = (0.35, 0.46, 0.58)
BOTTOM = (0.83, 0.87, 0.90)
_BAR_WIDTH, _BAR_HEIGHT = 0.22, 0.006
_BAR_CYCLE_S = 1.6


def waiting_picture(width: int, height: int, at_s: float) -> Bytes:
    """(height, width, 3) RGB: a bar that glides to and fro in the middle says that something is being loaded."""
    fade = np.linspace(0.0, 1.0, height)[:, None]
    rows = np.array(TOP) * (1.0 - fade) + np.array(BOTTOM) * fade
    picture: Bytes = np.repeat((rows * 255).round().astype(np.uint8)[:, None], width, axis=1)
    length, thickness = max(int(width * _BAR_WIDTH), 1), max(int(height * _BAR_HEIGHT), 1)
    left, top = (width - length) // 2, (height - thickness) // 2
    groove = picture[top : top + thickness, left : left + length]
    groove[:] = (groove * 0.8).astype(np.uint8)
    glider = max(length // 4, 1)
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * at_s / _BAR_CYCLE_S)
    offset = round((length - glider) * float(swing))
    groove[:, offset : offset + glider] = 255
    return picture
