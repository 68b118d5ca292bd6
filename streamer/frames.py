"""Frames on their way from the application's thread to the encoders: only the latest one counts."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.source import Frame

MIN_SIDE_PX = 16
_TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_RATE)


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered frame as encoders take it: planar YUV 4:2:0, shape (height * 3 / 2, width), and its time."""

    planes: npt.NDArray[np.uint8]
    at_s: float


def check_frame(frame: object) -> None:
    """Raise ValueError, saying what a frame is, for anything else."""
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3:
        height, width = frame.shape[:2]
        if min(height, width) >= MIN_SIDE_PX and height % 2 == 0 and width % 2 == 0:
            return
    what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
    raise ValueError(
        "a frame is a NumPy array of uint8 and shape (height, width, 3), "
        f"height and width even and at least {MIN_SIDE_PX}; this one is {what}"
    )


def to_planes(frame: Frame) -> npt.NDArray[np.uint8]:
    """Convert RGB to planar YUV 4:2:0 (BT.601, limited range): the one copy that is made of a frame."""
    width = frame.shape[1]
    row_stride, *pixel_strides = frame.strides
    if pixel_strides != [3, 1] or row_stride < 3 * width:
        frame = np.ascontiguousarray(frame)
    picture = av.VideoFrame.from_numpy_buffer(frame, format="rgb24")
    return np.asarray(picture.reformat(format="yuv420p", threads=1).to_ndarray(), dtype=np.uint8)


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

    def __init__(self, latest: LatestPicture, *, on_sent: Callable[[], None]) -> None:
        super().__init__()
        self._latest = latest
        self._on_sent = on_sent
        self._number = 0
        self._last_pts = -1

    async def recv(self) -> av.VideoFrame:
        """The next frame to encode, its time on the 90 kHz clock."""
        picture, self._number = await self._latest.after(self._number)
        frame = _wrap(picture.planes)
        frame.pts = self._last_pts = max(self._last_pts + 1, round(picture.at_s * VIDEO_CLOCK_RATE))
        frame.time_base = _TIME_BASE
        self._on_sent()
        return frame


def _wrap(planes: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """A frame per viewer, since encoders write the picture type into it; the pixels are shared where that works.

    PyAV takes a buffer's height for a multiple of 4.
    """
    share = planes.shape[0] % 6 == 0
    return (av.VideoFrame.from_numpy_buffer if share else av.VideoFrame.from_ndarray)(planes, format="yuv420p")
