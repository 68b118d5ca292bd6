"""A 5 x 7 dot font, enough for a test picture's captions, so that it needs no font file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Tile = npt.NDArray[np.uint8]

COLUMNS, ROWS = 6, 7
"""Dots per character, the gap to the next one included."""

_DOTS = {
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2141454b31", "4": "1814127f10",
    "5": "2745454539", "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e",
    "A": "7e1111117e", "B": "7f49494936", "C": "3e41414122", "D": "7f4141221c", "E": "7f49494941",
    "F": "7f09090901", "G": "3e4149497a", "H": "7f0808087f", "I": "00417f4100", "J": "2040413f01",
    "K": "7f08142241", "L": "7f40404040", "M": "7f020c027f", "N": "7f0408107f", "O": "3e4141413e",
    "P": "7f09090906", "Q": "3e4151215e", "R": "7f09192946", "S": "4649494931", "T": "01017f0101",
    "U": "3f4040403f", "V": "1f2040201f", "W": "3f4038403f", "X": "6314081463", "Y": "0708700807",
    "Z": "6151494543", ":": "0036360000", ".": "0060600000", "-": "0808080808", "/": "2010080402",
    "+": "08083e0808", " ": "0000000000",
}  # fmt: skip
"""Five columns of a character, a byte each, whose lowest bit is the top dot."""


class Lettering:
    """Text in one size and colour, as tiles of pixels that are drawn once."""

    def __init__(self, *, scale: int, ink: Colour, paper: Colour) -> None:
        self._tiles = {character: _draw(dots, scale, ink, paper) for character, dots in _DOTS.items()}
        self._blank = self._tiles[" "]

    def line(self, text: str) -> Tile:
        """The pixels of a line of text; a character that the font lacks is a blank."""
        return np.concatenate([self._tiles.get(character, self._blank) for character in text.upper()], axis=1)


def _draw(dots: str, scale: int, ink: Colour, paper: Colour) -> Tile:
    bits = [[byte >> row & 1 for byte in bytes.fromhex(dots)] + [0] for row in range(ROWS)]
    shades = np.array([paper, ink], dtype=np.uint8)[np.array(bits)]
    return np.asarray(shades.repeat(scale, axis=0).repeat(scale, axis=1), dtype=np.uint8)
