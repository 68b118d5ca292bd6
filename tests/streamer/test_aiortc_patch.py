"""Tests that fail when what is patched in aiortc no longer bites, or is no longer needed."""

import fractions
from collections.abc import Iterator
from importlib.metadata import version

import av
import numpy as np
import pytest
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpCodecParameters, rtcrtpsender
from aiortc.codecs import h264, vpx
from aiortc.codecs.base import Encoder
from hypothesis import given
from hypothesis import strategies as st

from streamer.aiortc_patch import RTP_HISTORY_SIZE, Rate, RealTimeH264, RealTimeVp8, ice_agents, install
from streamer.settings import Bitrates

BOUNDS = Bitrates(start=4_000_000, floor=500_000, ceiling=12_000_000)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = rtcrtpsender.get_encoder, rtcrtpsender.RTP_HISTORY_SIZE  # type: ignore[attr-defined]
    yield
    rtcrtpsender.get_encoder, rtcrtpsender.RTP_HISTORY_SIZE = before  # type: ignore[attr-defined]


def encoder(name: str) -> Encoder:
    install(BOUNDS, 30)
    codec = RTCRtpCodecParameters(mimeType=name, clockRate=90000, payloadType=96)
    made: Encoder = rtcrtpsender.get_encoder(codec)  # type: ignore[attr-defined]
    return made


def noise(number: int, size: tuple[int, int] = (640, 360)) -> av.VideoFrame:
    width, height = size
    planes = np.random.default_rng(number).integers(108, 148, (height * 3 // 2, width), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = number * 3000, fractions.Fraction(1, 90000)
    return frame


def bitrate(made: Encoder, frames: range) -> float:
    """Bits per second at 30 frames per second."""
    return sum(len(part) for number in frames for part in made.encode(noise(number))[0]) * 8 * 30 / len(frames)


def test_patched_aiortc_is_the_pinned_one_and_still_needs_it() -> None:
    assert version("aiortc").startswith("1.16.")
    assert (vpx.MAX_BITRATE, h264.MAX_BITRATE) == (1_500_000, 3_000_000)


@pytest.mark.parametrize("name", ["video/H264", "video/VP8"])
def test_senders_take_our_encoders_with_our_bounds(name: str) -> None:
    made = encoder(name)
    assert isinstance(made, RealTimeH264 | RealTimeVp8)
    assert made.target_bitrate == BOUNDS.start
    made.target_bitrate = 10**9
    assert BOUNDS.start < made.target_bitrate <= BOUNDS.ceiling


def test_other_codecs_are_left_to_aiortc() -> None:
    assert not isinstance(encoder("audio/opus"), RealTimeH264 | RealTimeVp8)


def test_history_for_retransmissions_is_longer() -> None:
    assert rtcrtpsender.RTP_HISTORY_SIZE < RTP_HISTORY_SIZE  # type: ignore[attr-defined]
    encoder("video/H264")
    assert rtcrtpsender.RTP_HISTORY_SIZE == RTP_HISTORY_SIZE  # type: ignore[attr-defined]
    assert "RTP_HISTORY_SIZE" in rtcrtpsender.RTCRtpSender._retransmit.__code__.co_names
    assert "RTP_HISTORY_SIZE" in rtcrtpsender.RTCRtpSender._run_rtp.__code__.co_names
    assert "get_encoder" in rtcrtpsender.RTCRtpSender._next_encoded_frame.__code__.co_names


@pytest.mark.parametrize("name", ["video/H264", "video/VP8"])
def test_encoder_delivers_what_is_asked_beyond_aiortcs_ceiling(name: str) -> None:
    made = encoder(name)
    made.target_bitrate = 6_000_000  # type: ignore[attr-defined]
    bitrate(made, range(30))
    assert bitrate(made, range(30, 60)) > 3_500_000
    made.target_bitrate = 600_000  # type: ignore[attr-defined]
    bitrate(made, range(60, 75))
    assert bitrate(made, range(75, 90)) < 3_000_000


def is_key_frame(name: str, payloads: list[bytes]) -> bool:
    if name == "video/VP8":  # RFC 6386 §9.1: the lowest bit of the first byte
        return vpx.vp8_depayload(payloads[0])[0] & 1 == 0
    units = b"".join(h264.h264_depayload(payload) for payload in payloads).split(b"\0\0\0\1")[1:]
    return any(unit[0] & 31 == 5 for unit in units)


@pytest.mark.parametrize("name", ["video/H264", "video/VP8"])
def test_key_frames_come_on_demand_and_after_a_change_of_size(name: str) -> None:
    made, large, small = encoder(name), (640, 360), (320, 180)
    keys = []
    for number, (forced, size) in enumerate(
        [(False, large), (False, large), (True, large), (False, large), (False, small)]
    ):
        payloads, timestamp = made.encode(_same(number, size), forced)
        assert timestamp == number * 3000
        keys.append(is_key_frame(name, payloads))
    assert keys == [True, False, True, False, True]


def _same(number: int, size: tuple[int, int]) -> av.VideoFrame:
    frame = noise(0, size)
    frame.pts = number * 3000
    return frame


async def test_ice_agent_of_a_bundle_is_one() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    assert ice_agents(peer) == []
    peer.addTransceiver("video")
    peer.createDataChannel("messages")
    assert len(ice_agents(peer)) == 1
    await peer.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_encoder_is_opened_anew_for_falls_at_once_and_for_raises_in_time() -> None:
    clock = Clock()
    clock.now = 10.0
    rate = Rate(BOUNDS, monotonic=clock)
    assert rate.open() == 4_000_000
    rate.follow(4_500_000)
    assert not rate.outgrown
    clock.now = 11.0
    rate.follow(5_000_000)
    assert not rate.outgrown
    clock.now = 13.0
    assert rate.outgrown
    rate.open()
    rate.count(5_000_000 // 8)
    rate.follow(4_000_000)
    assert rate.outgrown


def test_low_estimate_counts_only_while_much_is_sent() -> None:
    clock = Clock()
    rate = Rate(BOUNDS, monotonic=clock)
    for estimate in (900_000, 450_000):
        rate.count(300_000 // 8)
        rate.follow(estimate)
        assert rate.target == BOUNDS.start, "a picture at rest was taken for a slow network"
    rate.count(3_000_000 // 8)
    rate.follow(500_000)
    assert rate.target == BOUNDS.start, "an estimate that lags behind a movement was taken for a slow network"
    rate.follow(450_000)
    assert rate.target == BOUNDS.floor


def test_target_grows_back_to_the_start_by_itself_and_above_it_with_the_estimate() -> None:
    clock = Clock()
    rate = Rate(BOUNDS, monotonic=clock)
    rate.follow(2_000_000)
    rate.count(BOUNDS.start // 8)
    rate.follow(1_000_000)
    assert rate.target == 1_000_000
    for clock.now in range(1, 30):
        rate.follow(1_000_000)
    assert rate.target == BOUNDS.start
    for clock.now in range(30, 60):
        rate.follow(6_000_000)
    assert rate.target == 6_000_000


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**9)), min_size=1))
def test_target_stays_within_its_bounds(heard: list[tuple[int, int]]) -> None:
    rate = Rate(BOUNDS)
    for estimate, sent in heard:
        rate.count(sent)
        rate.follow(estimate)
        assert BOUNDS.floor <= rate.target <= BOUNDS.ceiling
