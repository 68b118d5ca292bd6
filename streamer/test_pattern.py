"""The test pattern: moving colour bars whose frame number and clock can be read from pixels; input is echoed.

Along the top edge lies a strip of 48 equal cells, black for 0 and white for 1, of a 45th of the picture's height
(`draw_strip`, `read_strip`): 1, 0; the frame number, 24 bits, high bit first; the clock in milliseconds since the
epoch, its low 20 bits; their even parity; 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from streamer.glyphs import text_mask
from streamer.input import Blur, InputEvent, Key, PointerButton, PointerMove, Wheel
from streamer.source import Frame, JsonObject, Outbox, VideoFormat

CELLS = 48
FRAME_BITS = 24
CLOCK_BITS = 20
_LINE = 30
"""Characters in a line of the caption."""

_BARS = ((236, 240, 241), (241, 196, 15), (26, 188, 156), (46, 204, 113), (155, 89, 182), (231, 76, 60), (52, 152, 219))
_INK = np.array((236, 240, 246), dtype=np.uint8)
_PANEL = np.array((13, 27, 42), dtype=np.uint8)
_POINTER = {0: (255, 255, 255), 1: (255, 64, 64), 2: (64, 128, 255), 4: (64, 255, 96)}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a picture says of itself: its frame number (mod 2**24) and clock (milliseconds, mod 2**20)."""

    frame: int
    clock_ms: int


class TestPattern:
    """The application. `clock` gives seconds since the epoch."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._outbox: Outbox | None = None
        self._backdrop: npt.NDArray[np.uint8] | None = None
        self._pointer: tuple[float, float] | None = None
        self._forget()

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin at frame 0."""
        self._outbox = outbox
        self._forget()

    def render(self, video: VideoFormat, at_s: float) -> Frame:
        """The next picture."""
        backdrop = self._backdrop_for(video)
        offset = int(at_s * video.width / 12) % video.width
        frame = backdrop[:, video.width - offset : 2 * video.width - offset].copy()
        now = self._clock()
        self._draw_panel(frame, now)
        self._draw_pointer(frame)
        draw_strip(frame, Stamp(self._frame % 2**FRAME_BITS, int(now * 1000) % 2**CLOCK_BITS))
        self._frame += 1
        return frame

    def on_input(self, event: InputEvent) -> None:
        """Show the event in the next picture, and say which that is."""
        match event:
            case PointerMove() | PointerButton():
                self._pointer, self._buttons = (event.x, event.y), event.buttons
            case Wheel():
                self._turns += (event.dy > 0) - (event.dy < 0)
            case Key():
                self._key = f"{event.code} {'DOWN' if event.down else 'UP'}"
            case Blur():
                self._buttons = 0
        if self._outbox is not None:
            self._outbox.send("inputEcho", {"event": _event_name(event), "seq": event.seq, "frame": self._frame})

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Send the message back."""
        if self._outbox is not None:
            self._outbox.send("messageEcho", {"event_type": event_type, "payload": payload})

    def stop(self) -> None:
        """Forget the session."""
        self._outbox = None
        self._forget()

    def _forget(self) -> None:
        self._frame = 0
        self._pointer = None
        self._buttons = 0
        self._turns = 0
        self._key = ""

    def _backdrop_for(self, video: VideoFormat) -> npt.NDArray[np.uint8]:
        """Two pictures' width of bars, of which each frame shows a window."""
        backdrop = self._backdrop
        if backdrop is None or backdrop.shape[:2] != (video.height, 2 * video.width):
            backdrop = self._backdrop = _draw_bars(video)
        return backdrop

    def _draw_panel(self, frame: Frame, now: float) -> None:
        height, width = frame.shape[:2]
        scale = max(1, height // 120)
        clock = datetime.fromtimestamp(now, UTC).strftime("%H:%M:%S.%f")[:-3]
        lines = ["PIXELFERRY TEST PATTERN", f"FRAME {self._frame:07d}", f"UTC {clock}"]
        lines.append(f"WHEEL {self._turns:+d}  KEY {self._key[:16] or '-'}")
        top, left = height * 3 // 10, width // 16
        bottom = min(height, top + (len(lines) * 11 + 5) * scale)
        right = min(width, left + (_LINE * 6 + 10) * scale)
        frame[top:bottom, left:right] = _PANEL
        for number, line in enumerate(lines):
            y, x = top + (4 + 11 * number) * scale, left + 5 * scale
            mask = text_mask(line[:_LINE], scale)[: bottom - y, : right - x]
            frame[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = _INK

    def _draw_pointer(self, frame: Frame) -> None:
        if self._pointer is None:
            return
        height, width = frame.shape[:2]
        x = min(width - 1, int(self._pointer[0] * width))
        y = min(height - 1, int(self._pointer[1] * height))
        colour = _POINTER.get(self._buttons, (255, 0, 255))
        arm, half = height // 18, max(2, height // 240)
        for reach, paint in ((half + 2, (0, 0, 0)), (half, colour)):
            frame[max(0, y - reach) : y + reach, max(0, x - arm) : x + arm] = paint
            frame[max(0, y - arm) : y + arm, max(0, x - reach) : x + reach] = paint
        if self._buttons:
            side = height // 36
            frame[max(0, y - side) : y + side, max(0, x - side) : x + side] = colour


def draw_strip(frame: Frame, stamp: Stamp) -> None:
    """Write the stamp into the frame's top edge."""
    height, width = frame.shape[:2]
    shades = np.array(_to_cells(stamp), dtype=np.uint8) * 255
    cell_of_column = np.arange(width) * CELLS // width
    frame[: height // 45] = shades[cell_of_column][None, :, None]


def read_strip(frame: Frame) -> Stamp | None:
    """The stamp of a frame that may have been compressed and scaled; None where there is none to read."""
    height, width = frame.shape[:2]
    row = frame[height // 90].mean(axis=1)
    middles = ((np.arange(CELLS) + 0.5) * width / CELLS).astype(int)
    return _from_cells([int(value > 127) for value in row[middles]])


def _to_cells(stamp: Stamp) -> list[int]:
    payload = _bits(stamp.frame, FRAME_BITS) + _bits(stamp.clock_ms, CLOCK_BITS)
    return [1, 0, *payload, sum(payload) % 2, 1]


def _from_cells(cells: list[int]) -> Stamp | None:
    payload = cells[2:-2]
    if cells[:2] != [1, 0] or cells[-1] != 1 or cells[-2] != sum(payload) % 2:
        return None
    return Stamp(_number(payload[:FRAME_BITS]), _number(payload[FRAME_BITS:]))


def _bits(number: int, count: int) -> list[int]:
    return [number >> place & 1 for place in reversed(range(count))]


def _number(bits: list[int]) -> int:
    return sum(bit << place for place, bit in enumerate(reversed(bits)))


def _draw_bars(video: VideoFormat) -> npt.NDArray[np.uint8]:
    """Colour bars above a grey ramp, drawn twice side by side."""
    backdrop = np.empty((video.height, video.width, 3), dtype=np.uint8)
    bar_of_column = np.arange(video.width) * len(_BARS) // video.width
    backdrop[:] = np.array(_BARS, dtype=np.uint8)[bar_of_column]
    ramp_top = video.height * 5 // 6
    backdrop[ramp_top:] = (np.arange(video.width) * 256 // video.width).astype(np.uint8)[None, :, None]
    return np.hstack([backdrop, backdrop])


def _event_name(event: InputEvent) -> str:
    match event:
        case PointerButton():
            return "pointerdown" if event.down else "pointerup"
        case Key():
            return "keydown" if event.down else "keyup"
        case PointerMove():
            return "pointermove"
        case Wheel():
            return "wheel"
        case Blur():
            return "blur"
