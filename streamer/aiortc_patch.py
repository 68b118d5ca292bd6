"""Everything that is changed in aiortc 1.16, whose version is pinned for it.

- `install`: its video encoders stop at 1.5 Mbit/s (VP8) and 3 Mbit/s (H.264), too little from 720p up, and spend more
  time on a frame than an interactive picture has: ours take bounds of their own and real-time settings. Its history
  for retransmissions holds 128 packets, a fifth of a second at 6 Mbit/s: ours holds 1024.
- `ice_agents`: the ICE agents of a peer connection, which it shows to nobody, so that they can share one media port.
"""

from __future__ import annotations

import fractions
import time
from collections import deque
from collections.abc import Callable, Iterator

import av
import av.video.frame
from aioice import Connection
from aiortc import RTCPeerConnection, RTCRtpCodecParameters, rtcrtpsender
from aiortc.codecs import get_encoder as get_aiortc_encoder
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.settings import Bitrates

RTP_HISTORY_SIZE = 1024
"""A power of two: sequence numbers wrap at 2**16."""

_STEP = 0.15
_RAISE_INTERVAL_S = 3.0
_WINDOW_S = 1.0
_WINDOW_FRAMES = 240
_GROWTH = 1.25
_SMPTE170M = 6
_LIMITED_RANGE = 1


def install(bitrates: Bitrates, fps: int) -> None:
    """Make every sender of this process encode H.264 and VP8 within these bounds, and remember what it sent."""

    def get_encoder(codec: RTCRtpCodecParameters) -> Encoder:
        if codec.mimeType.lower() == "video/h264":
            return RealTimeH264(bitrates, fps)
        if codec.mimeType.lower() == "video/vp8":
            return RealTimeVp8(bitrates, fps)
        return get_aiortc_encoder(codec)

    rtcrtpsender.get_encoder = get_encoder  # type: ignore[attr-defined]
    rtcrtpsender.RTP_HISTORY_SIZE = RTP_HISTORY_SIZE  # type: ignore[attr-defined]


def ice_agents(peer: RTCPeerConnection) -> list[Connection]:
    """The ICE agents of a peer connection: one per transport, so one for a bundle."""
    transports = [transceiver.sender.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        transports.append(peer.sctp.transport)
    agents = {id(agent): agent for agent in (transport.transport.iceGatherer._connection for transport in transports)}
    return list(agents.values())


class Rate:
    """A target bitrate within bounds, and when an encoder should be opened anew for it.

    Opening one costs a key frame. So small changes wait, and so do raises, which come one after the other while a
    receiver finds out what its network carries.
    """

    def __init__(self, bitrates: Bitrates, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bitrates = bitrates
        self._monotonic = monotonic
        self._opened_at = 0.0
        self._opened_with = 0
        self._sent: deque[tuple[float, int]] = deque(maxlen=_WINDOW_FRAMES)
        self._estimate = 0
        self._moved_at = 0.0
        self.target = bitrates.start

    def follow(self, estimate: int) -> None:
        """Follow a receiver's estimate of what its network carries, as far as the bounds allow.

        An estimate never goes far above what arrives (draft-alvestrand-rmcat-remb), so after a picture at rest it is
        low for no fault of the network. What tells of congestion is that it falls while about as much is sent as is
        aimed at. Without that the target grows: to where streams start by itself, above as far as the estimate goes.
        """
        fell, self._estimate = estimate < self._estimate, estimate
        now, bounds = self._monotonic(), self._bitrates
        limit = max(bounds.start, min(estimate, bounds.ceiling))
        if fell and estimate < self.target and self._sent_bitrate() > self.target / 2:
            self.target, self._moved_at = max(bounds.floor, estimate), now
        elif self.target < limit and now - self._moved_at >= _WINDOW_S:
            self.target, self._moved_at = min(limit, round(self.target * _GROWTH)), now

    def count(self, size_bytes: int) -> None:
        """Remember that so much was sent just now."""
        self._sent.append((self._monotonic(), 8 * size_bytes))

    def _sent_bitrate(self) -> float:
        since = self._monotonic() - _WINDOW_S
        # A copy: the encoder's thread goes on counting.
        return sum(bits for at, bits in tuple(self._sent) if at > since) / _WINDOW_S

    def open(self) -> int:
        """The rate with which an encoder is opened now."""
        self._opened_at, self._opened_with = self._monotonic(), self.target
        return self.target

    @property
    def outgrown(self) -> bool:
        """Whether the encoder should be opened anew."""
        change = self.target - self._opened_with
        if abs(change) <= _STEP * self._opened_with:
            return False
        return change < 0 or self._monotonic() - self._opened_at >= _RAISE_INTERVAL_S


class _RealTime:
    """What both encoders share: a bounded rate, and a codec that is opened anew when size or rate change."""

    def _init_rate(self, bitrates: Bitrates, fps: int) -> None:
        self._rate = Rate(bitrates)
        self._fps = fps
        self._codec: av.video.codeccontext.VideoCodecContext | None = None

    def _compress(self, frame: av.VideoFrame, force_keyframe: bool) -> bytes:
        codec = self._codec
        if codec is None or (codec.width, codec.height) != (frame.width, frame.height) or self._rate.outgrown:
            codec = self._codec = self._open(frame, self._rate.open())
        kind = av.video.frame.PictureType
        frame.pict_type = kind.I if force_keyframe else kind.NONE
        data = b"".join(bytes(packet) for packet in codec.encode(frame))
        self._rate.count(len(data))
        return data

    def _open(self, frame: av.VideoFrame, bitrate: int) -> av.video.codeccontext.VideoCodecContext:
        raise NotImplementedError

    def _create(self, name: str, frame: av.VideoFrame, bitrate: int) -> av.video.codeccontext.VideoCodecContext:
        codec = av.CodecContext.create(name, "w")
        assert isinstance(codec, av.video.codeccontext.VideoCodecContext)
        codec.width, codec.height = frame.width, frame.height
        codec.pix_fmt = "yuv420p"
        codec.bit_rate = bitrate
        codec.framerate = fractions.Fraction(self._fps, 1)
        codec.time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE)
        codec.gop_size = 10 * self._fps
        codec.colorspace, codec.color_range = _SMPTE170M, _LIMITED_RANGE
        return codec

    @property
    def target_bitrate(self) -> int:
        """Bits per second; aiortc sets what the receiver estimates (REMB), and that is kept within the bounds."""
        return self._rate.target

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._rate.follow(bitrate)


class RealTimeH264(_RealTime, H264Encoder):
    """H.264 constrained baseline by libx264, tuned to be done with a frame at once."""

    def __init__(self, bitrates: Bitrates, fps: int) -> None:
        super().__init__()
        self._init_rate(bitrates, fps)

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        yield from self._split_bitstream(self._compress(frame, force_keyframe))

    def _open(self, frame: av.VideoFrame, bitrate: int) -> av.video.codeccontext.VideoCodecContext:
        codec = self._create("libx264", frame, bitrate)
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "maxrate": str(bitrate),
            "bufsize": str(bitrate // 4),  # a quarter of a second: key frames must not swell the queue
            "x264-params": "threads=1:sliced-threads=0",
        }
        codec.profile = "Baseline"
        return codec


class RealTimeVp8(_RealTime, Vp8Encoder):
    """VP8 by libvpx at its fastest."""

    def __init__(self, bitrates: Bitrates, fps: int) -> None:
        super().__init__()
        self._init_rate(bitrates, fps)

    def encode(self, frame: av.frame.Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """The frame's RTP payloads, and its time on the 90 kHz clock."""
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None
        payloads = self._packetize(self._compress(frame, force_keyframe), self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        return payloads, frame.pts

    def _open(self, frame: av.VideoFrame, bitrate: int) -> av.video.codeccontext.VideoCodecContext:
        codec = self._create("libvpx", frame, bitrate)
        codec.qmin, codec.qmax = 4, 56
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-12",
            "lag-in-frames": "0",
            "minrate": str(bitrate),
            "maxrate": str(bitrate),
            "bufsize": str(bitrate // 2),
            "static-thresh": "1",
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        codec.thread_count = 1  # its threads wait for each other by spinning, which a busy machine pays for dearly
        return codec
