"""Everything that is changed in aiortc 1.16, whose version is pinned for it, or used of it though it is not public.

- `feed`: its senders pull frames from a track and encode them, each for itself, with ceilings of 1.5 Mbit/s (VP8) and
  3 Mbit/s (H.264). A fed sender sends payloads that were encoded elsewhere, once for several viewers, and tells what
  the receiver reports. RTP, RTCP, retransmission and SRTP stay aiortc's. Its packets leave when their feed says so;
  aiortc sends those of a frame in one go.
- `remember`: its history for retransmissions holds 128 packets, an eighth of a second at 12 Mbit/s.
- `show_at_once`: its video asks receivers for no playout delay, so that a browser does not hold frames back to smooth
  their rhythm, which costs one or two frame times.
- `ice_agents`: the ICE agents of a peer connection, which it shows to nobody, so that they can share one media port.
- `packetize_h264`, `packetize_vp8`: RTP payloads of an encoded frame (RFC 6184, RFC 7741).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aioice import Connection
from aiortc import (
    MediaStreamTrack,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpCodecParameters,
    RTCRtpSender,
    rtcrtpsender,
    rtp,
)
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import (
    RTCP_PSFB_APP,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)
from av.frame import Frame

_PAYLOAD_BYTES = 1200
_HISTORY_S = 1.0
_LEAST_HISTORY = 1024
_MOST_HISTORY = 16384
_LOSS_UNIT = 256
_PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_NO_DELAY = bytes(3)
"""Least and most delay, 12 bits each: both 0, for which receivers show a frame as soon as it is decoded."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """One frame as RTP payloads, its time on the codec's clock, and when each payload leaves: seconds after the first.

    Without `due_s` they leave at once.
    """

    parts: list[bytes]
    timestamp: int
    due_s: tuple[float, ...] = ()


class Feed(Protocol):
    """What a sender is fed from, and what it tells of its receiver. Called on the loop."""

    async def next(self, codec: str) -> Payloads:
        """The next frame in this codec ("H264", "VP8", "opus"). Raises MediaStreamError when there is no more."""

    def sent(self, rtp_timestamp: int, at: float) -> None:
        """The last frame's packets were sent; with which RTP timestamp, and when (seconds since the epoch)."""

    def key_frame_wanted(self) -> None:
        """The receiver lost its picture (PLI, FIR)."""

    def estimated(self, bitrate: int) -> None:
        """The receiver estimates that its network carries so much (REMB)."""

    def lost(self, fraction: float) -> None:
        """The receiver reports that this share of packets did not arrive."""

    def resend_wait_s(self) -> float | None:
        """How long from now until one more packet that the receiver missed (NACK) is sent again; None for never."""


class FedTrack(MediaStreamTrack):
    """Stands for a track in negotiation; nothing is ever pulled from it. It ends when its sender does."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    async def recv(self) -> Frame:
        """Never called: the sender is fed."""
        raise AssertionError("a fed sender pulls no frames")


def feed(sender: RTCRtpSender, source: Feed) -> None:
    """Make this sender send what `source` gives. Call before it is started."""
    hear_rtcp, stop, resends = sender._handle_rtcp_packet, sender.stop, _Resends(sender._retransmit)

    async def next_encoded_frame(codec: RTCRtpCodecParameters) -> RTCEncodedFrame:
        timestamp = sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
        if timestamp:
            source.sent(timestamp, time.time())
        payloads = await source.next(codec.name)
        _paced(sender).begin(payloads.due_s)
        return RTCEncodedFrame(payloads.parts, payloads.timestamp, None)  # type: ignore[arg-type]

    async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
        _tell(source, packet, sender._ssrc)
        await hear_rtcp(packet)

    async def resend(sequence_number: int) -> None:
        wait_s = source.resend_wait_s()
        if wait_s is not None:
            resends.put(sequence_number, wait_s)

    async def stop_all() -> None:
        await resends.close()
        await stop()

    sender.stop = stop_all  # type: ignore[method-assign]
    sender._retransmit = resend  # type: ignore[method-assign]
    sender._next_encoded_frame = next_encoded_frame  # type: ignore[method-assign]
    sender._send_keyframe = source.key_frame_wanted  # type: ignore[method-assign]
    sender._handle_rtcp_packet = handle_rtcp_packet  # type: ignore[method-assign]


class _PacedTransport:
    """A sender's transport that lets each packet of a frame go when it is due; all that others send goes at once."""

    def __init__(self, transport: RTCDtlsTransport, paced: asyncio.Task[object] | None) -> None:
        self._transport = transport
        self._paced = paced
        self._due: deque[float] = deque()
        self._began_at = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def begin(self, due_s: tuple[float, ...]) -> None:
        """A frame follows."""
        self._began_at = asyncio.get_running_loop().time()
        self._due = deque(due_s[1:])

    async def _send_rtp(self, data: bytes) -> None:
        await self._transport._send_rtp(data)
        # The pause comes after a packet, since the next one is stamped with its time of sending when it is made.
        if self._due and asyncio.current_task() is self._paced:
            wait_s = self._began_at + self._due.popleft() - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)


def _paced(sender: RTCRtpSender) -> _PacedTransport:
    """The sender's transport, paced for the task that calls this: the one that sends frames."""
    transport: RTCDtlsTransport | _PacedTransport = sender.transport
    if isinstance(transport, _PacedTransport):
        return transport
    paced = _PacedTransport(transport, asyncio.current_task())
    sender._RTCRtpSender__transport = paced  # type: ignore[attr-defined]
    return paced


class _Resends:
    """Sends packets again, each at its time, in a task that ends when none waits. `close` ends it early."""

    def __init__(self, retransmit: Callable[[int], Awaitable[None]]) -> None:
        self._retransmit = retransmit
        self._waiting: deque[tuple[float, int]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, sequence_number: int, wait_s: float) -> None:
        """Send this packet in so many seconds, no earlier than those before it. Its feed bounds how many wait."""
        self._waiting.append((asyncio.get_running_loop().time() + wait_s, sequence_number))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="resends")

    async def close(self) -> None:
        """Send no more. Idempotent."""
        self._waiting.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                at, sequence_number = self._waiting.popleft()
                wait_s = at - asyncio.get_running_loop().time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                await self._retransmit(sequence_number)
        except ConnectionError:  # the transport is closed
            self._waiting.clear()


def _tell(source: Feed, packet: AnyRtcpPacket, ssrc: int) -> None:
    if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
        for report in packet.reports:
            if report.ssrc == ssrc:
                source.lost(report.fraction_lost / _LOSS_UNIT)
    elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
        try:
            bitrate, ssrcs = unpack_remb_fci(packet.fci)
        except ValueError:
            return
        if ssrc in ssrcs:
            source.estimated(bitrate)


def history_size(ceiling_bps: int) -> int:
    """How many packets are sent within a second at this rate; a power of two, since sequence numbers wrap at 2**16."""
    packets = int(ceiling_bps * _HISTORY_S / 8 / _PAYLOAD_BYTES)
    return min(_MOST_HISTORY, max(_LEAST_HISTORY, 1 << packets.bit_length()))


def remember(ceiling_bps: int) -> None:
    """Make the senders of this process remember what they sent within a second at most."""
    rtcrtpsender.RTP_HISTORY_SIZE = history_size(ceiling_bps)  # type: ignore[attr-defined]


def show_at_once() -> None:
    """Make the video senders of this process ask for no playout delay, where the offer knows the extension."""
    if rtp.HeaderExtensionsMap is _AtOnce:
        return
    rtp.HeaderExtensionsMap = _AtOnce  # type: ignore[misc]
    own_id = 1 + max(extension.id for kind in HEADER_EXTENSIONS.values() for extension in kind)
    HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=own_id, uri=_PLAYOUT_DELAY))


class _AtOnce(rtp.HeaderExtensionsMap):
    def __init__(self) -> None:
        super().__init__()
        self._playout_delay: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        ids = {extension.uri: extension.id for extension in parameters.headerExtensions}
        self._playout_delay = ids.get(_PLAYOUT_DELAY, self._playout_delay)

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        if self._playout_delay is None:
            return profile, packed
        others = rtp.unpack_header_extensions(profile, packed)
        return rtp.pack_header_extensions([*others, (self._playout_delay, _NO_DELAY)])


def ice_agents(peer: RTCPeerConnection) -> list[Connection]:
    """The ICE agents of a peer connection: one per transport, so one for a bundle."""
    transports = [transceiver.sender.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        transports.append(peer.sctp.transport)
    agents = {id(agent): agent for agent in (transport.transport.iceGatherer._connection for transport in transports)}
    return list(agents.values())


def packetize_h264(data: bytes) -> list[bytes]:
    """The RTP payloads of an access unit in Annex B form."""
    return H264Encoder._packetize(H264Encoder._split_bitstream(data))


def packetize_vp8(data: bytes, picture_id: int) -> list[bytes]:
    """The RTP payloads of a VP8 frame; `picture_id` counts frames, modulo 2**15."""
    return Vp8Encoder._packetize(data, picture_id)
