"""What a client would like to get, and what it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.source import VideoFormat
from streamer.video_wish import fulfil

MOST = VideoFormat(1280, 720, 30)


@pytest.mark.parametrize(
    ("wish", "given_format"),
    [
        ({"width": 640, "height": 360, "fps": 15}, VideoFormat(640, 360, 15)),
        ({"width": 641, "height": 361}, VideoFormat(640, 360, 30)),
        ({"width": 1920, "height": 1080, "fps": 60}, VideoFormat(1280, 720, 30)),
        ({"width": 390, "height": 844}, VideoFormat(332, 720, 30)),
        ({"width": 1, "height": 1}, VideoFormat(64, 64, 30)),
        ({"width": 2**31 - 1, "height": 1}, VideoFormat(1280, 64, 30)),
    ],
)
def test_wish_is_scaled_into_what_the_backend_delivers(wish: object, given_format: VideoFormat) -> None:
    assert fulfil(wish, MOST) == given_format


@pytest.mark.parametrize(
    "wish", [None, [], "720p", {}, {"width": 640}, {"width": 0, "height": 1}, {"width": True, "height": 9}]
)
def test_what_is_no_wish_changes_nothing(wish: object) -> None:
    assert fulfil(wish, MOST) is None


@given(st.fixed_dictionaries({name: st.integers() | st.floats() | st.none() for name in ("width", "height", "fps")}))
def test_what_comes_is_even_and_within_bounds(wish: dict[str, object]) -> None:
    video = fulfil(wish, MOST)
    if video is not None:
        assert video.width % 2 == video.height % 2 == 0
        assert (64, 64, 1) <= (video.width, video.height, video.fps)
        assert video.width <= 1280
        assert video.height <= 720
        assert video.fps <= 30
