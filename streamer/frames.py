"""Frames on their way from the application's thread to the encoders: only the latest one counts."""

from __future__ import annotations

import asyncio
import fractions
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.source import Frame

_TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_RATE)


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered frame as encoders take it: planar YUV 4:2:0, shape (height * 3 / 2, width), and its time."""

    planes: npt.NDArray[np.uint8]
    at_s: float


def to_planes(frame: Frame) -> npt.NDArray[np.uint8]:
    """Convert RGB to planar YUV 4:2:0 (BT.601, limited range)."""
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return np.asarray(picture.reformat(format="yuv420p").to_ndarray(), dtype=np.uint8)


class LatestPicture:
    """A place for one picture; who is late gets the newest and never sees those in between. Loop-bound."""

    def __init__(self) -> None:
        self._picture: Picture | None = None
        self._number = 0
        self._changed = asyncio.Event()

    def put(self, picture: Picture) -> None:
        """Replace the picture."""
        self._picture = picture
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int) -> tuple[Picture, int]:
        """The newest picture once it is not the one of this number, and its own number."""
        while self._picture is None or self._number == number:
            await self._changed.wait()
        return self._picture, self._number


class PictureTrack(MediaStreamTrack):
    """One viewer's video track. The encoder asks for a frame when it is done with the last one."""

    kind = "video"

    def __init__(self, latest: LatestPicture) -> None:
        super().__init__()
        self._latest = latest
        self._number = 0
        self._last_pts = -1
        self.frames_sent = 0

    async def recv(self) -> av.VideoFrame:
        """The next frame to encode, its time on the 90 kHz clock."""
        picture, self._number = await self._latest.after(self._number)
        # A copy per viewer: encoders write the picture type into the frame.
        frame = av.VideoFrame.from_ndarray(picture.planes, format="yuv420p")
        frame.pts = self._last_pts = max(self._last_pts + 1, round(picture.at_s * VIDEO_CLOCK_RATE))
        frame.time_base = _TIME_BASE
        self.frames_sent += 1
        return frame
