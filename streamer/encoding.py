"""One running encoding of the session's pictures, shared by all viewers who want the same quality."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import av
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.core.timing import KeyFrameGate
from streamer.encoder import Encoded, Encoder, EncoderKind
from streamer.frames import TIME_BASE, LatestPicture, Picture, wrap
from streamer.host_frame import MIN_SIDE_PX
from streamer.source import VideoFormat

logger = logging.getLogger(__name__)

_LOAD_SMOOTHING = 0.1
_EARLY = 0.25


@dataclass(frozen=True, slots=True)
class Quality:
    """What viewers must have in common to share an encoding; `rate` is a class of rates (`core.rate`)."""

    codec: str
    scale: float
    fps: int
    rate: int


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """An encoded frame, the picture that it shows, and how long it waited and took."""

    encoded: Encoded
    picture: Picture
    timestamp: int
    video: VideoFormat
    encoder: str
    waited_ms: float
    encode_ms: float
    repeated: bool


class Member(Protocol):
    """A viewer of an encoding."""

    @property
    def hungry(self) -> bool:
        """Whether the next frame would be sent at once."""

    @property
    def bitrate(self) -> int:
        """Bits per second that this viewer's network carries."""

    def take(self, frame: EncodedPicture) -> None:
        """A frame; never awaited."""

    def fail(self) -> None:
        """There will be no more."""


class EncoderChoice(Protocol):
    """Which encoder to open for a codec."""

    def kind(self, codec: str) -> EncoderKind:
        """The best that works."""

    def give_up(self, kind: EncoderKind) -> bool:
        """It failed; whether there is another."""


class SharedEncoding:
    """Encodes while it has members. `run` is its task; the rest is called on its loop."""

    def __init__(
        self,
        quality: Quality,
        pictures: LatestPicture,
        *,
        choice: EncoderChoice,
        full_size: Callable[[], VideoFormat],
        ceiling: Callable[[], int],
    ) -> None:
        self.quality = quality
        self.members: list[Member] = []
        self.load = 0.0
        self._pictures = pictures
        self._choice = choice
        self._full_size = full_size
        self._ceiling = ceiling
        self._encoder: Encoder | None = None
        self._wake = asyncio.Event()
        self._gate = KeyFrameGate()
        self._shown: Picture | None = None
        self._due_at_s = 0.0
        self._timestamp = -1

    def join(self, member: Member) -> None:
        """From the next key frame on, which comes soon, this member gets every frame."""
        self.members.append(member)
        self.want_key_frame()

    def leave(self, member: Member) -> None:
        """No more for this one. Idempotent."""
        if member in self.members:
            self.members.remove(member)

    def want_key_frame(self) -> None:
        """Make a key frame, unless one was made just now: then a little later."""
        self._gate.ask()
        self.wake()

    def wake(self) -> None:
        """Something changed: look for work."""
        self._wake.set()

    async def run(self) -> None:
        """Encode until cancelled. A failure ends the members, never the session."""
        self._pictures.listen(self.wake)
        try:
            while True:
                picture = self._next_picture()
                if picture is None:
                    await self._wait()
                else:
                    await self._deliver(picture)
        except Exception:
            logger.exception("a picture could not be encoded")
            for member in tuple(self.members):
                member.fail()
        finally:
            self._pictures.ignore(self.wake)

    async def _wait(self) -> None:
        wait_s = self._gate.wait_s(time.monotonic())
        try:
            async with asyncio.timeout(wait_s if wait_s else None):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _next_picture(self) -> Picture | None:
        """The picture to encode now, if there is one and somebody has time for it.

        A key frame that is asked for while the picture stays is made of the last one.
        """
        picture = self._pictures.picture
        if picture is None or not any(member.hungry for member in self.members):
            return None
        if picture is not self._shown and not self._too_early(picture):
            return picture
        return picture if self._gate.wait_s(time.monotonic()) == 0 else None

    def _too_early(self, picture: Picture) -> bool:
        """Whether this picture is left out, where fewer are sent than drawn."""
        period = 1 / self.quality.fps
        if picture.asked is None or picture.asked.fps <= self.quality.fps:
            return False
        if picture.at_s < self._due_at_s - _EARLY * period:
            return True
        behind = picture.at_s - self._due_at_s
        self._due_at_s = picture.at_s + period if behind > period else self._due_at_s + period
        return False

    async def _deliver(self, picture: Picture) -> None:
        key = self._gate.wait_s(time.monotonic()) == 0
        # What was drawn long ago is sent again with the time that it has by now.
        again = picture is self._shown
        age_s = time.monotonic() - picture.taken_at if again else 0.0
        self._timestamp = max(self._timestamp + 1, round((picture.at_s + age_s) * VIDEO_CLOCK_RATE))
        self._shown = picture
        began = time.monotonic()
        frame, encoded = await asyncio.get_running_loop().run_in_executor(None, self._encode, picture, key)
        took = time.monotonic() - began
        self.load += _LOAD_SMOOTHING * (took * self.quality.fps - self.load)
        if encoded.key:
            self._gate.made(time.monotonic())
        if not encoded.parts:
            return
        made = EncodedPicture(
            encoded,
            picture,
            self._timestamp,
            VideoFormat(frame.width, frame.height, self.quality.fps),
            self._encoder.kind.name if self._encoder is not None else "",
            waited_ms=1000 * max(0.0, began - picture.taken_at - age_s),
            encode_ms=1000 * took,
            repeated=again or picture.repeated,
        )
        for member in tuple(self.members):
            member.take(made)

    # In a thread of the loop's executor, one call at a time.

    def _encode(self, picture: Picture, key: bool) -> tuple[av.VideoFrame, Encoded]:
        while True:
            kind = self._choice.kind(self.quality.codec)
            if self._encoder is None or self._encoder.kind != kind:
                self._encoder = Encoder(kind)
            frame = self._prepare(picture, kind)
            bitrate = min((member.bitrate for member in tuple(self.members)), default=self._ceiling())
            try:
                return frame, self._encoder.encode(
                    frame, bitrate=bitrate, ceiling=self._ceiling(), fps=self.quality.fps, key=key
                )
            except (av.FFmpegError, ValueError):
                self._encoder = None
                if not self._choice.give_up(kind):
                    raise

    def _prepare(self, picture: Picture, kind: EncoderKind) -> av.VideoFrame:
        """The frame in the size that is wanted: of the wish where the application heeds that, else of the picture."""
        width, height = picture.size
        heeds = picture.asked is not None and (picture.asked.width, picture.asked.height) == (width, height)
        full = self._full_size() if heeds else VideoFormat(width, height, 0)
        wanted = _part(full.width, self.quality.scale, width), _part(full.height, self.quality.scale, height)
        frame = wrap(picture.planes)
        if wanted != (width, height) or kind.pixels != "yuv420p":
            frame = frame.reformat(*wanted, format=kind.pixels, interpolation="FAST_BILINEAR", threads=1)
        frame.pts, frame.time_base = self._timestamp, TIME_BASE
        return frame


def _part(full: int, scale: float, most: int) -> int:
    return min(most, max(MIN_SIDE_PX, round(full * scale / 2) * 2))
