"""The strip of cells that machines read."""

import fractions

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.frames import to_planes
from streamer.source import VideoFormat
from streamer.stamp import CELLS, Stamp, decode, draw_stamp, encode, read_stamp, stamp_of
from streamer.test_pattern import TestPattern

STAMPS = st.builds(Stamp, st.integers(0, 2**24 - 1), st.integers(0, 2**20 - 1))


@given(STAMPS)
def test_what_was_drawn_is_read(stamp: Stamp) -> None:
    assert decode(encode(stamp)) == stamp
    frame = np.full((180, 320, 3), 90, dtype=np.uint8)
    draw_stamp(frame, stamp)
    assert read_stamp(frame) == stamp


@given(STAMPS, st.integers(0, CELLS - 1))
def test_one_wrong_cell_is_noticed(stamp: Stamp, which: int) -> None:
    cells = encode(stamp)
    cells[which] ^= 1
    assert decode(cells) is None


def test_picture_without_a_strip_has_no_stamp() -> None:
    assert read_stamp(np.zeros((90, 160, 3), dtype=np.uint8)) is None
    assert read_stamp(np.full((90, 160, 3), 255, dtype=np.uint8)) is None
    assert decode([1, 0, 1]) is None


def test_numbers_wrap() -> None:
    assert stamp_of(2**24 + 3, 2**20 / 1000 + 0.0055) == Stamp(3, 5)


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (320, 180)])
def test_strip_survives_hard_compression(size: tuple[int, int]) -> None:
    width, height = size
    pattern = TestPattern(clock=lambda: 1234.567)
    frame = pattern.render(VideoFormat(width, height, 30), 0)
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = fractions.Fraction(1, 30)
    codec.options = {"crf": "45", "preset": "ultrafast", "tune": "zerolatency"}
    packets = codec.encode(av.VideoFrame.from_ndarray(to_planes(frame), format="yuv420p"))
    decoder = av.CodecContext.create("h264", "r")
    (seen, *_) = [picture for packet in [*packets, None] for picture in decoder.decode(packet)]
    assert read_stamp(np.asarray(seen.to_ndarray(format="rgb24"), dtype=np.uint8)) == stamp_of(0, 1234.567)
