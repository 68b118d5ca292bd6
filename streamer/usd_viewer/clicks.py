"""Tells clicks from drags. Pure."""

from dataclasses import dataclass

from streamer.input import Blur, InputEvent, Modifiers, PointerButton, PointerMove

TOLERANCE = 0.006
"""How far a pointer may stray between down and up, as a share of the picture: a hand is never quite still."""
_LEFT = 0


@dataclass(frozen=True, slots=True)
class Click:
    """The left button went down and up in one place, 0 to 1 across the picture from its top left corner."""

    x: float
    y: float
    toggle: bool
    """With shift, control or meta: in addition to what is selected."""


class Clicks:
    """Finds the clicks in one viewer's pointer events."""

    def __init__(self) -> None:
        self._down: tuple[float, float] | None = None

    def take(self, event: InputEvent) -> Click | None:
        """The click that this event completes."""
        match event:
            case PointerButton(down=True):
                # A second button makes a chord, which is no click.
                alone = event.button == _LEFT and self._down is None
                self._down = (event.x, event.y) if alone else None
            case PointerButton():
                down, self._down = self._down, None
                if event.button == _LEFT and down is not None and _near(down, event):
                    return Click(event.x, event.y, bool(event.modifiers & _ADDING))
            case PointerMove() if self._down is not None and not _near(self._down, event):
                self._down = None
            case Blur():
                self._down = None
            case _:
                pass
        return None


_ADDING = Modifiers.SHIFT | Modifiers.CONTROL | Modifiers.META


def _near(down: tuple[float, float], event: PointerButton | PointerMove) -> bool:
    return abs(event.x - down[0]) <= TOLERANCE and abs(event.y - down[1]) <= TOLERANCE
