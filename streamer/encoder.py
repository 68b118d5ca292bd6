"""Encoders: one picture in, one frame of H.264 or VP8 out, at a bitrate that may change with each frame."""

from __future__ import annotations

import fractions
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import av
import av.video.codeccontext
import av.video.frame
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.aiortc_patch import packetize_h264, packetize_vp8

H264, VP8 = "H264", "VP8"

_SMPTE170M = 6
_LIMITED_RANGE = 1
_KEY_FRAME_EVERY_S = 60
"""Receivers ask for one when they need it."""

_PIXELS_PER_THREAD = 1_000_000
_BUFFER_RATIO = 2.5
_STEP = 0.2
_RAISE_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class EncoderKind:
    """An encoder of FFmpeg's.

    `follows` says that its rate can be changed while it runs; otherwise it is opened anew, which costs a key frame.
    """

    name: str
    codec: str
    pixels: str
    follows: bool
    options: Callable[[int, int, int], Mapping[str, str]]
    """From bits per second, bits of buffer and threads."""

    profile: str | None = None


def _x264(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    """The fastest preset with two things of slower ones: for a fourth more time they spare a third of the error."""
    return {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "maxrate": str(bitrate),
        "bufsize": str(buffer),
        "x264-params": f"threads={threads}:sliced-threads={int(threads > 1)}:deblock=0,0:subme=1",
    }


def _vpx(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    return {
        "deadline": "realtime",
        "cpu-used": "-12",
        "lag-in-frames": "0",
        "minrate": str(bitrate),
        "maxrate": str(bitrate),
        "bufsize": str(buffer),
        "static-thresh": "1",
        "undershoot-pct": "100",
        "overshoot-pct": "15",
    }


LIBX264 = EncoderKind("libx264", H264, "yuv420p", True, _x264, "Baseline")
LIBVPX = EncoderKind("libvpx", VP8, "yuv420p", False, _vpx)
SOFTWARE: Mapping[str, EncoderKind] = {H264: LIBX264, VP8: LIBVPX}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded frame."""

    parts: list[bytes]
    size_bytes: int
    key: bool


class Encoder:
    """One running encoder; it is opened with the first frame, and again when the size changes.

    libx264 follows changes of rate as long as it was started with a constant one (ratecontrol.c of x264): so it is
    opened with the ceiling, and then told the rate that is wanted. Its buffer stays as it is, so a rate far from the
    one that the buffer suits opens it anew.
    """

    def __init__(self, kind: EncoderKind, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.kind = kind
        self._monotonic = monotonic
        self._context: av.video.codeccontext.VideoCodecContext | None = None
        self._fps = 0
        self._opened_with = 0
        self._opened_at = -math.inf
        self._ceiling = 0
        self._picture_id = 0

    def encode(self, frame: av.VideoFrame, *, bitrate: int, ceiling: int, fps: int, key: bool = False) -> Encoded:
        """Encode a frame, whose time is on the 90 kHz clock; it must be the caller's own."""
        context = self._context_for(frame, bitrate, ceiling, fps)
        if self.kind.follows:
            context.bit_rate = min(bitrate, self._ceiling)
        types = av.video.frame.PictureType
        frame.pict_type = types.I if key else types.NONE
        packets = context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        return Encoded(self._packetize(data), len(data), any(packet.is_keyframe for packet in packets))

    def _context_for(
        self, frame: av.VideoFrame, bitrate: int, ceiling: int, fps: int
    ) -> av.video.codeccontext.VideoCodecContext:
        context = self._context
        if (
            context is None
            or (context.width, context.height) != (frame.width, frame.height)
            or self._fps != fps
            or self._outgrown(bitrate, ceiling)
        ):
            self._ceiling, self._opened_with, self._opened_at = max(bitrate, ceiling), bitrate, self._monotonic()
            self._fps = fps
            context = self._context = self._open(frame)
        return context

    def _outgrown(self, bitrate: int, ceiling: int) -> bool:
        """Whether the encoder must be opened anew for this rate."""
        ratio = bitrate / self._opened_with
        if self.kind.follows:
            return max(ratio, 1 / ratio) > _BUFFER_RATIO or bitrate > self._ceiling
        if ratio < 1 - _STEP:
            return True
        return ratio > 1 + _STEP and self._monotonic() - self._opened_at >= _RAISE_INTERVAL_S

    def _open(self, frame: av.VideoFrame) -> av.video.codeccontext.VideoCodecContext:
        context = av.CodecContext.create(self.kind.name, "w")
        assert isinstance(context, av.video.codeccontext.VideoCodecContext)
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = self.kind.pixels
        context.bit_rate = most = self._ceiling if self.kind.follows else self._opened_with
        context.framerate = fractions.Fraction(self._fps, 1)
        context.time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE)
        context.gop_size = _KEY_FRAME_EVERY_S * self._fps
        context.colorspace, context.color_range = _SMPTE170M, _LIMITED_RANGE
        threads = max(1, min(frame.width * frame.height // _PIXELS_PER_THREAD, os.cpu_count() or 1))
        # A quarter of a second: key frames must not swell the queue.
        context.options = dict(self.kind.options(most, self._opened_with // 4, threads))
        context.thread_count = threads if self.kind.codec == H264 else 1  # libvpx's wait for each other by spinning
        if self.kind.profile is not None:
            context.profile = self.kind.profile
        context.open()
        return context

    def _packetize(self, data: bytes) -> list[bytes]:
        if self.kind.codec == H264:
            return packetize_h264(data)
        self._picture_id = (self._picture_id + 1) % (1 << 15)
        return packetize_vp8(data, self._picture_id)
