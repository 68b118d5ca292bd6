"""Tests that fail when what is patched in aiortc no longer bites, or is no longer needed."""

import asyncio
import inspect
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, rtcrtpsender, rtp
from aiortc.codecs import CODECS, HEADER_EXTENSIONS, h264, vpx
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RTP_HISTORY_SIZE,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtpPacket,
    pack_remb_fci,
)

from streamer.aiortc_patch import (
    FedTrack,
    Payloads,
    feed,
    history_size,
    ice_agents,
    packetize_h264,
    packetize_vp8,
    remember,
    show_at_once,
)
from tests.streamer.waiting import until

PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = rtcrtpsender.RTP_HISTORY_SIZE  # type: ignore[attr-defined]
    of_video, of_packets = list(HEADER_EXTENSIONS["video"]), rtp.HeaderExtensionsMap
    yield
    rtcrtpsender.RTP_HISTORY_SIZE = before  # type: ignore[attr-defined]
    HEADER_EXTENSIONS["video"][:] = of_video
    rtp.HeaderExtensionsMap = of_packets  # type: ignore[misc]


class Source:
    """Feeds the frames it was given, then waits or ends; remembers what it was told."""

    def __init__(self, frames: list[Payloads], *, resend: float | None = 0.0) -> None:
        self.frames = frames
        self.heard: list[tuple[str, object]] = []
        self.stamps: list[int] = []
        self.resend = resend

    async def next(self, codec: str) -> Payloads:
        self.heard.append(("next", codec))
        if not self.frames:
            raise MediaStreamError
        return self.frames.pop(0)

    def sent(self, rtp_timestamp: int, at: float) -> None:
        self.stamps.append(rtp_timestamp)

    def key_frame_wanted(self) -> None:
        self.heard.append(("key", None))

    def estimated(self, bitrate: int) -> None:
        self.heard.append(("estimated", bitrate))

    def lost(self, fraction: float) -> None:
        self.heard.append(("lost", fraction))

    def resend_wait_s(self) -> float | None:
        return self.resend


class Transport:
    """The part of a DTLS transport that a sender uses."""

    state = "connected"
    _stats_id = "transport"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.at: list[float] = []

    async def _send_rtp(self, data: bytes) -> None:
        self.sent.append(data)
        self.at.append(asyncio.get_running_loop().time())

    def _register_rtp_sender(self, sender: object, parameters: object) -> None: ...
    def _unregister_rtp_sender(self, sender: object) -> None: ...

    @property
    def packets(self) -> list[RtpPacket]:
        return [RtpPacket.parse(data) for data in self.sent if data[1] & 127 < 72 or data[1] & 127 > 79]


async def fed(source: Source) -> tuple[RTCRtpSender, Transport, FedTrack]:
    """A sender that has sent all its source has."""
    transport, track = Transport(), FedTrack("video")
    sender = RTCRtpSender(track, transport)  # type: ignore[arg-type]
    feed(sender, source)
    await sender.send(RTCRtpSendParameters(codecs=[known for known in CODECS["video"] if known.name == "VP8"]))
    await until(lambda: track.readyState == "ended")
    return sender, transport, track


FRAMES = [Payloads([b"one", b"two"], 3000), Payloads([b"three"], 6000)]


async def test_fed_sender_sends_these_payloads_and_says_with_which_timestamps() -> None:
    source = Source(list(FRAMES))
    sender, transport, _ = await fed(source)
    await sender.stop()
    packets = transport.packets
    assert [packet.payload for packet in packets] == [b"one", b"two", b"three"]
    assert [packet.marker for packet in packets] == [0, 1, 1]
    assert (packets[2].timestamp - packets[0].timestamp) % 2**32 == 3000
    assert source.stamps == [packets[0].timestamp, packets[2].timestamp]
    assert source.heard == [("next", "VP8")] * 3


async def test_receiver_is_heard_by_the_source() -> None:
    source = Source(list(FRAMES))
    sender, _, _ = await fed(source)
    source.heard.clear()
    report = RtcpReceiverInfo(
        ssrc=sender._ssrc, fraction_lost=64, packets_lost=1, highest_sequence=0, jitter=0, lsr=0, dlsr=0
    )
    for packet in (
        RtcpRrPacket(ssrc=1, reports=[report]),
        RtcpRrPacket(ssrc=1, reports=[]),
        RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=sender._ssrc),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(2_000_000, [sender._ssrc])),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(9_000_000, [sender._ssrc ^ 1])),
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=b"\0" * 12),
    ):
        await sender._handle_rtcp_packet(packet)
    await sender.stop()
    assert [what for what, _ in source.heard] == ["lost", "key", "estimated"]
    assert source.heard[0] == ("lost", 0.25)
    assert source.heard[2][1] == pytest.approx(2_000_000, rel=0.01)


@pytest.mark.looptime
async def test_packets_leave_when_they_are_due_and_what_others_send_leaves_at_once() -> None:
    source = Source([Payloads([b"one", b"two", b"three"], 3000, due_s=(0.0, 0.0, 0.2)), Payloads([b"four"], 6000)])
    transport, track = Transport(), FedTrack("video")
    sender = RTCRtpSender(track, transport)  # type: ignore[arg-type]
    feed(sender, source)
    await sender.send(RTCRtpSendParameters(codecs=[known for known in CODECS["video"] if known.name == "VP8"]))
    await until(lambda: len(transport.sent) == 2)
    began = asyncio.get_running_loop().time()
    await sender.transport._send_rtp(b"another's")
    assert asyncio.get_running_loop().time() - began < 0.1
    await until(lambda: track.readyState == "ended")
    await sender.stop()
    assert [data[-3:] for data in transport.sent if data[1] & 127 not in range(72, 80)] == [
        b"one",
        b"two",
        b"r's",
        b"ree",
        b"our",
    ]
    ends = {data[-3:]: at for data, at in zip(transport.sent, transport.at, strict=True)}
    assert ends[b"two"] - ends[b"one"] < 0.1
    assert ends[b"ree"] - ends[b"one"] >= 0.199
    assert ends[b"our"] - ends[b"ree"] < 0.1


async def test_sender_that_stops_sends_no_lost_packet_any_more() -> None:
    sender, transport, _ = await fed(Source(list(FRAMES), resend=3600))
    first = transport.packets[0]
    await sender._retransmit(first.sequence_number)
    async with asyncio.timeout(5):
        await sender.stop()
    assert len([packet for packet in transport.packets if packet.payload == b"one"]) == 1
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "resends"]


@pytest.mark.parametrize("allowed", [True, False])
async def test_lost_packets_are_sent_again_as_far_as_the_source_allows(allowed: bool) -> None:
    source = Source(list(FRAMES), resend=0.0 if allowed else None)
    sender, transport, _ = await fed(source)
    first = transport.packets[0]
    nack = RtcpRtpfbPacket(
        fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=sender._ssrc, lost=[first.sequence_number, (first.sequence_number + 9)]
    )
    await sender._handle_rtcp_packet(nack)
    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "resends"])
    again = [packet for packet in transport.packets if packet.payload == b"one"]
    await sender.stop()
    assert len(again) == (2 if allowed else 1)


def test_patched_aiortc_is_the_pinned_one_and_still_needs_it() -> None:
    assert version("aiortc").startswith("1.16.")
    assert (vpx.MAX_BITRATE, h264.MAX_BITRATE) == (1_500_000, 3_000_000)
    assert RTP_HISTORY_SIZE == 128


def test_sender_still_asks_what_is_replaced() -> None:
    """Names that are looked up on the sender itself, which is where they are replaced."""
    run = inspect.getsource(RTCRtpSender._run_rtp)
    assert "await self._next_encoded_frame(codec)" in run
    assert "self.__rtp_timestamp = packet.timestamp" in run
    assert "await self.transport._send_rtp(packet_bytes)" in run, "paced there"
    handle = inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert "self._send_keyframe()" in handle
    assert "await self._retransmit(seq)" in handle


@pytest.mark.parametrize(
    ("ceiling", "packets"), [(500_000, 1024), (12_000_000, 2048), (22_000_000, 4096), (60_000_000, 8192)]
)
def test_history_for_retransmissions_holds_a_second_at_the_ceiling(ceiling: int, packets: int) -> None:
    assert history_size(ceiling) == packets
    assert packets * 8 * 1200 >= ceiling
    remember(ceiling)
    assert rtcrtpsender.RTP_HISTORY_SIZE == packets  # type: ignore[attr-defined]
    assert "RTP_HISTORY_SIZE" in RTCRtpSender._retransmit.__code__.co_names
    assert "RTP_HISTORY_SIZE" in RTCRtpSender._run_rtp.__code__.co_names


def test_frames_are_cut_into_payloads_that_fit_a_datagram_and_can_be_put_together() -> None:
    unit = bytes([0x65]) + bytes(range(256)) * 20
    parts = packetize_h264(b"\0\0\0\1" + unit)
    assert b"".join(h264.h264_depayload(part) for part in parts) == b"\0\0\0\1" + unit
    data = bytes(range(256)) * 20
    pictures = packetize_vp8(data, 7)
    assert b"".join(vpx.vp8_depayload(part) for part in pictures) == data
    assert max(map(len, parts + pictures)) <= 1300


async def test_bundle_has_one_ice_agent_whatever_its_m_lines() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    peer.addTransceiver("video", direction="recvonly")
    peer.createDataChannel("messages")
    assert len(ice_agents(peer)) == 1
    await peer.close()


async def sent_with(extensions: list[RTCRtpHeaderExtensionParameters]) -> list[bytes]:
    """One frame, as a sender sends it that negotiated these header extensions."""
    transport, track = Transport(), FedTrack("video")
    sender = RTCRtpSender(track, transport)  # type: ignore[arg-type]
    feed(sender, Source([Payloads([b"one"], 3000)]))
    codecs = [known for known in CODECS["video"] if known.name == "VP8"]
    await sender.send(RTCRtpSendParameters(codecs=codecs, headerExtensions=extensions))
    await until(lambda: track.readyState == "ended")
    await sender.stop()
    return [data for data in transport.sent if data[1] & 127 < 72 or data[1] & 127 > 79]


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc as it comes, whatever other tests of this process did to it, and left as they did."""
    as_it_comes = next(kind for kind in rtp.HeaderExtensionsMap.__mro__ if kind.__module__ == rtp.__name__)
    extensions = [extension for extension in HEADER_EXTENSIONS["video"] if extension.uri != PLAYOUT_DELAY]
    monkeypatch.setattr(rtp, "HeaderExtensionsMap", as_it_comes)
    monkeypatch.setitem(HEADER_EXTENSIONS, "video", extensions)


@pytest.mark.usefixtures("unpatched")
async def test_video_asks_for_no_playout_delay_where_that_was_negotiated() -> None:
    agreed = [RTCRtpHeaderExtensionParameters(id=9, uri=PLAYOUT_DELAY)]
    (bare,) = await sent_with(agreed)
    assert bare[0] & 0x10 == 0, "aiortc sends the extension by itself: the patch can go"
    show_at_once()
    show_at_once()
    (packet,) = await sent_with(agreed)
    assert packet[0] & 0x10 and packet[12:20] == b"\xbe\xde\0\1" + bytes([9 << 4 | 2, 0, 0, 0])
    (silent,) = await sent_with([])
    assert silent[0] & 0x10 == 0


@pytest.mark.usefixtures("unpatched")
async def test_the_playout_delay_is_agreed_on_for_video_with_an_offer_that_has_it() -> None:
    show_at_once()
    offering, answering = RTCPeerConnection(), RTCPeerConnection()
    for kind in ("audio", "video"):
        offering.addTransceiver(kind, direction="recvonly")
        answering.addTrack(FedTrack(kind))
    await offering.setLocalDescription(await offering.createOffer())
    await answering.setRemoteDescription(offering.localDescription)
    answer = (await answering.createAnswer()).sdp
    assert answer.count(PLAYOUT_DELAY) == 1 and PLAYOUT_DELAY in answer.partition("m=video")[2]
    await offering.close()
    await answering.close()
