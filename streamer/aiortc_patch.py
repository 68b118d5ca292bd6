"""Everything that is changed in aiortc 1.16, whose version is pinned for it.

- `install_encoders`: its video encoders stop at 1.5 Mbit/s (VP8) and 3 Mbit/s (H.264), too little from 720p up, and
  spend more time on a frame than an interactive picture has. Ours take bounds of their own and real-time settings.
- `ice_agents`: the ICE agents of a peer connection, which it shows to nobody, so that they can share one media port.
"""

from __future__ import annotations

import fractions
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

_STEP = 0.15
"""The encoder is told of a new rate when it differs by this share: each change costs a key frame."""


def install_encoders(bitrates: Bitrates, fps: int) -> None:
    """Make every sender of this process encode H.264 and VP8 within these bounds."""

    def get_encoder(codec: RTCRtpCodecParameters) -> Encoder:
        if codec.mimeType.lower() == "video/h264":
            return RealTimeH264(bitrates, fps)
        if codec.mimeType.lower() == "video/vp8":
            return RealTimeVp8(bitrates, fps)
        return get_aiortc_encoder(codec)

    rtcrtpsender.get_encoder = get_encoder  # type: ignore[attr-defined]


def ice_agents(peer: RTCPeerConnection) -> Iterator[Connection]:
    """The ICE agents of a peer connection that has its remote description, each once."""
    transports = [transceiver.sender.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        transports.append(peer.sctp.transport)
    seen: set[int] = set()
    for transport in transports:
        agent = transport.transport.iceGatherer._connection
        if id(agent) not in seen:
            seen.add(id(agent))
            yield agent


class _Rate:
    """A target bitrate kept within bounds."""

    def __init__(self, bitrates: Bitrates) -> None:
        self._bitrates = bitrates
        self.target = bitrates.start

    def ask(self, bitrate: int) -> None:
        self.target = max(self._bitrates.floor, min(bitrate, self._bitrates.ceiling))

    def outgrew(self, current: int) -> bool:
        return abs(self.target - current) > _STEP * current


def _open_codec(name: str, frame: av.VideoFrame, bitrate: int, fps: int) -> av.video.codeccontext.VideoCodecContext:
    codec = av.CodecContext.create(name, "w")
    assert isinstance(codec, av.video.codeccontext.VideoCodecContext)
    codec.width, codec.height = frame.width, frame.height
    codec.pix_fmt = "yuv420p"
    codec.bit_rate = bitrate
    codec.framerate = fractions.Fraction(fps, 1)
    codec.time_base = fractions.Fraction(1, VIDEO_CLOCK_RATE)
    codec.gop_size = 10 * fps
    return codec


class _RealTime:
    """What both encoders share: a bounded rate and a codec that is opened anew when size or rate change."""

    _open: Callable[[av.VideoFrame, int], av.video.codeccontext.VideoCodecContext]

    def _init_rate(self, bitrates: Bitrates, fps: int) -> None:
        self._rate = _Rate(bitrates)
        self._fps = fps
        self._codec: av.video.codeccontext.VideoCodecContext | None = None

    def _compress(self, frame: av.VideoFrame, force_keyframe: bool) -> bytes:
        codec = self._codec
        if codec is not None:
            resized = (codec.width, codec.height) != (frame.width, frame.height)
            if resized or self._rate.outgrew(codec.bit_rate or 1):
                codec = None
        if codec is None:
            codec = self._codec = self._open(frame, self._rate.target)
        kind = av.video.frame.PictureType
        frame.pict_type = kind.I if force_keyframe else kind.NONE
        return b"".join(bytes(packet) for packet in codec.encode(frame))


class RealTimeH264(_RealTime, H264Encoder):
    """H.264 constrained baseline by libx264, tuned to be done with a frame at once."""

    def __init__(self, bitrates: Bitrates, fps: int) -> None:
        super().__init__()
        self._init_rate(bitrates, fps)

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        data = self._compress(frame, force_keyframe)
        if data:
            yield from self._split_bitstream(data)

    def _open(self, frame: av.VideoFrame, bitrate: int) -> av.video.codeccontext.VideoCodecContext:
        codec = _open_codec("libx264", frame, bitrate, self._fps)
        buffer_kbit = max(1, bitrate // 4000)  # a quarter of a second: key frames must not swell the queue
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"vbv-maxrate={bitrate // 1000}:vbv-bufsize={buffer_kbit}:sliced-threads=0:threads=1",
        }
        codec.profile = "Baseline"
        return codec

    @property
    def target_bitrate(self) -> int:
        """Bits per second; what is set is kept within the bounds."""
        return self._rate.target

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._rate.ask(bitrate)


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
        codec = _open_codec("libvpx", frame, bitrate, self._fps)
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
        codec.thread_count = 2
        return codec

    @property
    def target_bitrate(self) -> int:
        """Bits per second; what is set is kept within the bounds."""
        return self._rate.target

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._rate.ask(bitrate)
