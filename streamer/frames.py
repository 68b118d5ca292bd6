"""Frames on their way from the application's thread to the encoders: only the latest one counts."""

from __future__ import annotations

import fractions
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import av
import numpy as np
import numpy.typing as npt
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.host_frame import Pixels
from streamer.source import VideoFormat

_PIXELS_PER_THREAD = 2_000_000
TIME_BASE = fractions.Fraction(1, VIDEO_CLOCK_RATE)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a picture came about: when it was begun (seconds since the epoch), and how long its parts took."""

    began_at: float = 0.0
    render_ms: float = 0.0
    convert_ms: float = 0.0
    inputs: Mapping[str, int] = field(default_factory=dict)
    """For each controller, the `seq` of the last input that the application had handled before."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered frame as encoders take it: planar YUV 4:2:0, shape (height * 3 / 2, width).

    `at_s` is its time in the session, `taken_at` the same on the monotonic clock, `asked` what was to be rendered.
    """

    planes: npt.NDArray[np.uint8]
    at_s: float
    taken_at: float = 0.0
    number: int = 0
    asked: VideoFormat | None = None
    repeated: bool = False
    drawing: Drawing = field(default_factory=Drawing)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.planes.shape[1], self.planes.shape[0] * 2 // 3


def to_planes(frame: Pixels | av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Convert to planar YUV 4:2:0 (BT.601, limited range): the one copy that is made of a frame."""
    if isinstance(frame, av.VideoFrame):
        return _as_yuv420p(frame)
    channels = frame.shape[2]
    row_stride, *pixel_strides = frame.strides
    if pixel_strides != [channels, 1] or row_stride < channels * frame.shape[1]:
        frame = np.ascontiguousarray(frame)
    return _as_yuv420p(av.VideoFrame.from_numpy_buffer(frame, format="rgb24" if channels == 3 else "rgba"))


def _as_yuv420p(picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
    if picture.format.name != "yuv420p":
        threads = max(1, min(picture.width * picture.height // _PIXELS_PER_THREAD, os.cpu_count() or 1))
        picture = picture.reformat(format="yuv420p", threads=threads)
    return np.asarray(picture.to_ndarray(), dtype=np.uint8)


def wrap(planes: npt.NDArray[np.uint8]) -> av.VideoFrame:
    """A frame for one encoder, since encoders write the picture type into it; the pixels are shared where that works.

    PyAV takes a buffer's height for a multiple of 4.
    """
    share = planes.shape[0] % 6 == 0
    return (av.VideoFrame.from_numpy_buffer if share else av.VideoFrame.from_ndarray)(planes, format="yuv420p")


class LatestPicture:
    """A place for one picture; who is late gets the newest and never sees those in between. Loop-bound."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self.picture: Picture | None = None

    def put(self, picture: Picture) -> None:
        """Replace the picture, and tell who listens."""
        self.picture = picture
        for listener in tuple(self._listeners):
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this after each picture, until `ignore`."""
        self._listeners.append(listener)

    def ignore(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.remove(listener)
