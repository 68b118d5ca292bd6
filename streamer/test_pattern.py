"""The test pattern: moving colour bars whose frame number and clock can be read from pixels; input is echoed.

A soft beep of 100 ms begins with each second of the session, and a lamp in the lower right corner is lit with it.

`streamer/stamp.py` documents the strip of cells along the top edge that machines read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from streamer.glyphs import COLUMNS, ROWS, Lettering
from streamer.input import Blur, InputEvent, Key, PointerButton, PointerMove, Wheel, event_name
from streamer.sound import SAMPLE_RATE
from streamer.source import Frame, JsonObject, Outbox, Sound, VideoFormat
from streamer.stamp import draw_stamp, stamp_of

_BARS = ((236, 240, 241), (241, 196, 15), (26, 188, 156), (46, 204, 113), (155, 89, 182), (231, 76, 60), (52, 152, 219))
_NIGHT = (13, 27, 42)
_CHALK = (224, 232, 240)
_GOLD = (241, 196, 15)
_POINTER = {0: (255, 255, 255), 1: (255, 64, 64), 2: (64, 128, 255), 4: (64, 255, 96)}
_SEVERAL_BUTTONS = (255, 0, 255)
_LINE_LENGTH = 26
_GREYS = 16
_BEEP_S = 0.1
_BEEP_HZ = 880
_BEEP_LOUDNESS = 1600
_BEEP_EDGE_S = 0.005


class TestPattern:
    """The application. `clock` gives seconds since the epoch."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._outbox: Outbox | None = None
        self._scenery: _Scenery | None = None
        self._pointer: tuple[float, float] | None = None
        self._forget()

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin at frame 0."""
        self._outbox = outbox
        self._forget()

    def render(self, video: VideoFormat, at_s: float) -> Frame:
        """The next picture; it is drawn over the last one."""
        scenery = self._scenery
        if scenery is None or scenery.video != video:
            scenery = self._scenery = _Scenery(video)
        now = self._clock()
        scenery.draw(at_s, self._lines(now))
        _draw_lamp(scenery.canvas, lit=at_s % 1 < _BEEP_S)
        if self._pointer is not None:
            _draw_pointer(scenery.canvas, self._pointer, self._buttons)
        draw_stamp(scenery.canvas, stamp_of(self._frame, now))
        self._frame += 1
        return scenery.canvas

    def audio(self, at_s: float, samples: int) -> Sound | None:
        """A beep with each second, silence between."""
        at = (at_s + np.arange(samples) / SAMPLE_RATE) % 1
        if at[0] > _BEEP_S and at[-1] > at[0]:
            return None
        swell = np.clip(np.minimum(at, _BEEP_S - at) / _BEEP_EDGE_S, 0, 1)  # no clicks at its ends
        wave = _BEEP_LOUDNESS * swell * np.sin(2 * np.pi * _BEEP_HZ * at)
        return wave.astype(np.int16)[:, None].repeat(2, axis=1)

    def on_input(self, event: InputEvent) -> None:
        """Show the event in the next picture, and say which that is."""
        match event:
            case PointerMove() | PointerButton():
                self._pointer, self._buttons = (event.x, event.y), event.buttons
            case Wheel():
                self._turns += (event.dy > 0) - (event.dy < 0)
            case Key():
                self._key = f"{event.code} {'down' if event.down else 'up'}"
            case Blur():
                self._buttons = 0
        if self._outbox is not None:
            self._outbox.send("inputEcho", {"event": event_name(event), "seq": event.seq, "frame": self._frame})

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Send the message back."""
        if self._outbox is not None:
            self._outbox.send("messageEcho", {"event_type": event_type, "payload": payload})

    def stop(self) -> None:
        """Forget the session."""
        self._outbox = self._scenery = None
        self._forget()

    def _forget(self) -> None:
        self._frame = 0
        self._pointer = None
        self._buttons = 0
        self._turns = 0
        self._key = ""

    def _lines(self, now: float) -> list[str]:
        clock = datetime.fromtimestamp(now, UTC).strftime("%H:%M:%S.%f")[:-3]
        return [
            f"frame  {self._frame:08d}",
            f"UTC    {clock}",
            f"wheel  {self._turns:+d}",
            f"key    {self._key or '-'}",
        ]


class _Scenery:
    """What is drawn once for a size, and the canvas that it is put together on."""

    def __init__(self, video: VideoFormat) -> None:
        self.video = video
        self.canvas = np.zeros((video.height, video.width, 3), dtype=np.uint8)
        self._footer_top = video.height * 5 // 6
        self._bars = _draw_bars(video.width, self._footer_top)
        self.canvas[self._footer_top :] = _draw_greys(video.width)
        scale = max(1, min(video.height // 180, video.width // 280))
        self._lettering = Lettering(scale=scale, ink=_CHALK, paper=_NIGHT)
        self._line_height = (ROWS + 4) * scale
        self._margin = 5 * scale
        self._panel = self._draw_panel(scale)

    def draw(self, at_s: float, lines: list[str]) -> None:
        """Put the scene together as it is `at_s` seconds into the session, with these lines of text."""
        width = self.video.width
        offset = -int(at_s * width / 12) % width
        self.canvas[: self._footer_top] = self._bars[:, offset : offset + width]
        top, left = self._footer_top // 3, width // 16
        for number, text in enumerate(lines, start=1):
            tile = self._lettering.line(text[:_LINE_LENGTH].ljust(_LINE_LENGTH))
            y = self._margin + number * self._line_height
            self._panel[y : y + tile.shape[0], self._margin : self._margin + tile.shape[1]] = tile
        window = self.canvas[top : self._footer_top, left:]
        window[: self._panel.shape[0], : self._panel.shape[1]] = self._panel[: window.shape[0], : window.shape[1]]

    def _draw_panel(self, scale: int) -> npt.NDArray[np.uint8]:
        width = _LINE_LENGTH * COLUMNS * scale + 2 * self._margin
        panel = np.full((5 * self._line_height + self._margin + scale, width, 3), _NIGHT, dtype=np.uint8)
        panel[:scale] = _GOLD
        title = Lettering(scale=scale, ink=_GOLD, paper=_NIGHT).line("Pixelferry test pattern")
        panel[self._margin : self._margin + title.shape[0], self._margin : self._margin + title.shape[1]] = title
        return panel


def _draw_bars(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Two pictures' width of colour bars, of which each frame shows a window."""
    bar_of_column = np.arange(2 * width) % width * len(_BARS) // width
    return np.array(_BARS, dtype=np.uint8)[bar_of_column][None].repeat(height, axis=0)


def _draw_greys(width: int) -> npt.NDArray[np.uint8]:
    """A row of grey steps from black to white."""
    steps = np.arange(width) * _GREYS // width * 255 // (_GREYS - 1)
    return steps.astype(np.uint8)[:, None].repeat(3, axis=1)


def _draw_lamp(frame: Frame, *, lit: bool) -> None:
    height, width = frame.shape[:2]
    side = height // 12
    frame[height - side - side // 2 : height - side // 2, width - side - side // 2 : width - side // 2] = (
        _GOLD if lit else _NIGHT
    )


def _draw_pointer(frame: Frame, place: tuple[float, float], buttons: int) -> None:
    """A crosshair in the colour of the buttons that are down; with a button down its middle is filled."""
    height, width = frame.shape[:2]
    x, y = min(width - 1, int(place[0] * width)), min(height - 1, int(place[1] * height))
    colour = _POINTER.get(buttons, _SEVERAL_BUTTONS)
    arm, half = height // 18, max(2, height // 240)
    for reach, paint in ((half + 2, _NIGHT), (half, colour)):
        _fill(frame, x, y, arm + reach - half, reach, paint)
        _fill(frame, x, y, reach, arm + reach - half, paint)
    if buttons:
        _fill(frame, x, y, height // 36, height // 36, colour)


def _fill(frame: Frame, x: int, y: int, reach_x: int, reach_y: int, paint: tuple[int, int, int]) -> None:
    frame[max(0, y - reach_y) : y + reach_y, max(0, x - reach_x) : x + reach_x] = paint
