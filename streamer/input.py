"""Input events of viewers, parsed and bounds-checked from the data channels' JSON (docs/protocol.md §2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntFlag

MAX_WHEEL_PX = 10_000.0
MAX_KEY_LENGTH = 64
MAX_SEQ = 2**53


class BadInput(ValueError):
    """What came is no input event of the protocol; the text names the field."""


class Modifiers(IntFlag):
    """Keys held while something happened."""

    SHIFT = 1
    CONTROL = 2
    ALT = 4
    META = 8


@dataclass(frozen=True, slots=True)
class PointerMove:
    """`x`, `y`: 0 to 1 across the picture from its top left corner; `buttons`: 1 left, 2 right, 4 middle."""

    x: float
    y: float
    buttons: int
    modifiers: Modifiers
    seq: int


@dataclass(frozen=True, slots=True)
class PointerButton:
    """A button went down or up: 0 left, 1 middle, 2 right. The rest as for `PointerMove`."""

    down: bool
    x: float
    y: float
    button: int
    buttons: int
    modifiers: Modifiers
    seq: int


@dataclass(frozen=True, slots=True)
class Wheel:
    """The wheel turned by `dx`, `dy` CSS pixels; positive is right and down."""

    x: float
    y: float
    dx: float
    dy: float
    modifiers: Modifiers
    seq: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key went down or up; `code` and `key` as in UI Events ("KeyA", "a")."""

    down: bool
    code: str
    key: str
    repeat: bool
    modifiers: Modifiers
    seq: int


@dataclass(frozen=True, slots=True)
class Blur:
    """The viewer looks elsewhere: everything held down is released."""

    seq: int


InputEvent = PointerMove | PointerButton | Wheel | Key | Blur


def parse_input(message: Mapping[str, object]) -> InputEvent:
    """The event that this message is. Raises BadInput."""
    event = message.get("event")
    parse = _PARSERS.get(event) if isinstance(event, str) else None
    if parse is None:
        raise BadInput("event is none of the protocol's")
    return parse(_Fields(message))


class _Fields:
    def __init__(self, message: Mapping[str, object]) -> None:
        self._message = message

    def number(self, name: str, lo: float, hi: float) -> float:
        value = self._message.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"{name} must be a number")
        if not (lo <= value <= hi) or not math.isfinite(value):
            raise BadInput(f"{name} must be from {lo:g} to {hi:g}")
        return float(value)

    def integer(self, name: str, hi: int) -> int:
        value = self._message.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadInput(f"{name} must be a whole number")
        if not 0 <= value <= hi:
            raise BadInput(f"{name} must be from 0 to {hi}")
        return value

    def text(self, name: str) -> str:
        value = self._message.get(name)
        if not isinstance(value, str) or len(value) > MAX_KEY_LENGTH:
            raise BadInput(f"{name} must be a text of at most {MAX_KEY_LENGTH} characters")
        return value

    def flag(self, name: str) -> bool:
        value = self._message.get(name, False)
        if not isinstance(value, bool):
            raise BadInput(f"{name} must be true or false")
        return value

    @property
    def seq(self) -> int:
        return self.integer("seq", MAX_SEQ)

    @property
    def modifiers(self) -> Modifiers:
        return Modifiers(self.integer("modifiers", 15))

    @property
    def place(self) -> tuple[float, float]:
        return self.number("x", 0, 1), self.number("y", 0, 1)


def _move(fields: _Fields) -> PointerMove:
    x, y = fields.place
    return PointerMove(x, y, fields.integer("buttons", 31), fields.modifiers, fields.seq)


def _button(fields: _Fields, *, down: bool) -> PointerButton:
    x, y = fields.place
    button, buttons = fields.integer("button", 4), fields.integer("buttons", 31)
    return PointerButton(down, x, y, button, buttons, fields.modifiers, fields.seq)


def _wheel(fields: _Fields) -> Wheel:
    x, y = fields.place
    dx, dy = (fields.number(name, -MAX_WHEEL_PX, MAX_WHEEL_PX) for name in ("dx", "dy"))
    return Wheel(x, y, dx, dy, fields.modifiers, fields.seq)


def _key(fields: _Fields, *, down: bool) -> Key:
    return Key(down, fields.text("code"), fields.text("key"), fields.flag("repeat"), fields.modifiers, fields.seq)


_PARSERS: Mapping[str, Callable[[_Fields], InputEvent]] = {
    "pointermove": _move,
    "pointerdown": lambda fields: _button(fields, down=True),
    "pointerup": lambda fields: _button(fields, down=False),
    "wheel": _wheel,
    "keydown": lambda fields: _key(fields, down=True),
    "keyup": lambda fields: _key(fields, down=False),
    "blur": lambda fields: Blur(fields.seq),
}


def event_name(event: InputEvent) -> str:
    """The event's name on the wire."""
    match event:
        case PointerMove():
            return "pointermove"
        case PointerButton():
            return "pointerdown" if event.down else "pointerup"
        case Wheel():
            return "wheel"
        case Key():
            return "keydown" if event.down else "keyup"
        case Blur():
            return "blur"
