"""A picture's own frame number and clock, drawn so that they can be read from pixels after any compression.

Along the top edge lies a strip of 48 equal cells, black for 0 and white for 1, of a 45th of the picture's height
(16 of 720 pixels). From left to right: 1, 0; the frame number, 24 bits, high bit first; the clock in milliseconds
since the epoch, its low 20 bits, high bit first; the even parity of these 44 bits; 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.source import Frame

CELLS = 48
FRAME_BITS = 24
CLOCK_BITS = 20
_STRIP_OF_HEIGHT = 45
_THRESHOLD = 127


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a picture says of itself: its frame number (mod 2**24) and clock (milliseconds, mod 2**20)."""

    frame: int
    clock_ms: int


def stamp_of(frame: int, clock_s: float) -> Stamp:
    """The stamp of a picture drawn at `clock_s`, seconds since the epoch."""
    return Stamp(frame % 2**FRAME_BITS, int(clock_s * 1000) % 2**CLOCK_BITS)


def strip_height(height: int) -> int:
    """How much of a picture's height the strip takes, in pixels."""
    return max(1, height // _STRIP_OF_HEIGHT)


def draw_stamp(frame: Frame, stamp: Stamp) -> None:
    """Write the stamp into the frame's top edge."""
    height, width = frame.shape[:2]
    shades = np.array(encode(stamp), dtype=np.uint8) * 255
    cell_of_column = np.arange(width) * CELLS // width
    frame[: strip_height(height)] = shades[cell_of_column][None, :, None]


def read_stamp(frame: Frame) -> Stamp | None:
    """The stamp of a frame that may have been compressed and scaled; None where there is none to read."""
    height, width = frame.shape[:2]
    strip = strip_height(height)
    rows = frame[strip // 3 : strip - strip // 3]
    middles = ((np.arange(CELLS) + 0.5) * width / CELLS).astype(int)
    shades: npt.NDArray[np.float64] = rows[:, middles].mean(axis=(0, 2))
    return decode([int(shade > _THRESHOLD) for shade in shades])


def encode(stamp: Stamp) -> list[int]:
    """The stamp as cells."""
    payload = _bits(stamp.frame, FRAME_BITS) + _bits(stamp.clock_ms, CLOCK_BITS)
    return [1, 0, *payload, sum(payload) % 2, 1]


def decode(cells: list[int]) -> Stamp | None:
    """The stamp that these cells are, if they are one."""
    payload = cells[2:-2]
    if len(cells) != CELLS or cells[:2] != [1, 0] or cells[-1] != 1 or cells[-2] != sum(payload) % 2:
        return None
    return Stamp(_number(payload[:FRAME_BITS]), _number(payload[FRAME_BITS:]))


def _bits(number: int, count: int) -> list[int]:
    return [number >> place & 1 for place in reversed(range(count))]


def _number(bits: list[int]) -> int:
    return sum(bit << place for place, bit in enumerate(reversed(bits)))
