"""What became of each frame on its way to one viewer, told to those who ask (docs/protocol.md §2, `frameTimings`)."""

from __future__ import annotations

from collections.abc import Callable

from streamer.encoding import EncodedPicture
from streamer.source import Json, JsonObject

_BATCH = 30
_EVERY_S = 0.25


class FrameTimings:
    """Collects while it is on; `send` gets a message's payload now and then."""

    def __init__(self, viewer: str, send: Callable[[JsonObject], None]) -> None:
        self._viewer = viewer
        self._send = send
        self._frames: list[Json] = []
        self._sent_at = 0.0
        self.on = False

    def switch(self, on: bool) -> None:
        """Collect from now on, or no more."""
        self.on = on
        self._frames.clear()

    def add(self, frame: EncodedPicture, rtp_timestamp: int, sent_at: float) -> None:
        """A frame whose packets are out; `sent_at` in seconds since the epoch."""
        if not self.on:
            return
        drawing = frame.picture.drawing
        self._frames.append(
            {
                "frame": frame.picture.number,
                "rtp": rtp_timestamp,
                "input": drawing.inputs.get(self._viewer),
                "began_at": _ms(1000 * drawing.began_at),
                "render_ms": _ms(drawing.render_ms),
                "convert_ms": _ms(drawing.convert_ms),
                "wait_ms": _ms(frame.waited_ms),
                "encode_ms": _ms(frame.encode_ms),
                "sent_at": _ms(1000 * sent_at),
                "bytes": frame.encoded.size_bytes,
                "key": frame.encoded.key,
                "repeated": frame.repeated,
            }
        )
        if len(self._frames) >= _BATCH or sent_at - self._sent_at >= _EVERY_S:
            self._sent_at = sent_at
            frames, self._frames = self._frames, []
            self._send({"frames": frames})


def _ms(value: float) -> float:
    return round(value, 2)
