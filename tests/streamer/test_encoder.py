"""Encoders: rates that are followed, key frames that are spared."""

import av
import numpy as np
import pytest
from aiortc.codecs import h264, vpx

from streamer.encoder import LIBVPX, LIBX264, Encoded, Encoder, EncoderKind
from streamer.frames import TIME_BASE

BOTH = pytest.mark.parametrize("kind", [LIBX264, LIBVPX], ids=lambda kind: kind.name)
SIZE = (640, 360)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def noise(number: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    width, height = size
    planes = np.random.default_rng(number % 10).integers(108, 148, (height * 3 // 2, width), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = number * 3000, TIME_BASE
    return frame


def encode(made: Encoder, frames: range, *, bitrate: int, key: bool = False) -> list[Encoded]:
    return [made.encode(noise(number), bitrate=bitrate, ceiling=12_000_000, fps=30, key=key) for number in frames]


def bits_per_s(frames: list[Encoded]) -> float:
    return sum(frame.size_bytes for frame in frames) * 8 * 30 / len(frames)


def is_key_frame(kind: EncoderKind, encoded: Encoded) -> bool:
    if kind is LIBVPX:  # RFC 6386 §9.1: the lowest bit of the first byte
        return vpx.vp8_depayload(encoded.parts[0])[0] & 1 == 0
    units = b"".join(h264.h264_depayload(part) for part in encoded.parts).split(b"\0\0\0\1")[1:]
    return any(unit[0] & 31 == 5 for unit in units)


def test_x264_follows_its_rate_up_and_down_without_a_key_frame() -> None:
    made = Encoder(LIBX264)
    first = encode(made, range(30), bitrate=3_000_000)
    up = encode(made, range(30, 90), bitrate=6_000_000)
    down = encode(made, range(90, 150), bitrate=1_500_000)
    assert bits_per_s(up[30:]) == pytest.approx(6_000_000, rel=0.2)
    assert bits_per_s(down[30:]) == pytest.approx(1_500_000, rel=0.2)
    assert [frame.key for frame in first + up + down] == [True] + 149 * [False]


def test_x264_is_opened_anew_for_a_rate_that_its_buffer_does_not_suit() -> None:
    made = Encoder(LIBX264)
    encode(made, range(3), bitrate=4_000_000)
    assert [frame.key for frame in encode(made, range(3, 6), bitrate=1_000_000)] == [True, False, False]


def test_vp8_is_opened_anew_for_falls_at_once_and_for_raises_now_and_then() -> None:
    clock = Clock()
    made = Encoder(LIBVPX, monotonic=clock)
    encode(made, range(2), bitrate=2_000_000)
    assert not encode(made, range(2, 3), bitrate=1_700_000)[0].key
    assert encode(made, range(3, 4), bitrate=1_500_000)[0].key
    clock.now = 4.9
    assert not encode(made, range(4, 5), bitrate=3_000_000)[0].key
    clock.now = 5.0
    raised = encode(made, range(5, 65), bitrate=3_000_000)
    assert [frame.key for frame in raised] == [True] + 59 * [False]
    assert bits_per_s(raised[30:]) == pytest.approx(3_000_000, rel=0.2)


@BOTH
def test_key_frames_come_first_on_demand_and_after_a_change_of_size(kind: EncoderKind) -> None:
    made, keys = Encoder(kind), []
    small = (320, 180)
    for number, (forced, size) in enumerate(
        [(False, SIZE), (False, SIZE), (True, SIZE), (False, SIZE), (False, small), (False, small)]
    ):
        encoded = made.encode(noise(number, size), bitrate=2_000_000, ceiling=2_000_000, fps=30, key=forced)
        assert encoded.key == is_key_frame(kind, encoded)
        keys.append(encoded.key)
    assert keys == [True, False, True, False, True, False]


@BOTH
def test_every_frame_comes_out_at_once(kind: EncoderKind) -> None:
    made = Encoder(kind)
    for number, encoded in enumerate(encode(made, range(5), bitrate=1_000_000)):
        assert encoded.parts, number
        assert encoded.size_bytes <= sum(map(len, encoded.parts))


@BOTH
@pytest.mark.parametrize("size", [(16, 16), (1920, 1080), (642, 362)])
def test_any_size_can_be_decoded(kind: EncoderKind, size: tuple[int, int]) -> None:
    encoded = Encoder(kind).encode(noise(1, size), bitrate=4_000_000, ceiling=22_000_000, fps=30)
    depayload = vpx.vp8_depayload if kind is LIBVPX else h264.h264_depayload
    decoder = av.CodecContext.create("libvpx" if kind is LIBVPX else "h264", "r")
    packet = av.Packet(b"".join(depayload(part) for part in encoded.parts))
    frames = decoder.decode(packet) + decoder.decode(None)
    assert [(frame.width, frame.height) for frame in frames] == [size]
