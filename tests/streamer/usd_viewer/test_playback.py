"""The time line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.usd_viewer.playback import TOLD_EVERY_S, Playback
from streamer.usd_viewer.scene import Timeline

LINE = Timeline(frames=48, frames_per_second=24.0)


def test_it_plays_over_and_over() -> None:
    playback = Playback(LINE)
    assert (playback.frame, playback.duration_s) == (0, 2.0)
    playback.advance(0.5)
    assert playback.frame == 12
    playback.advance(1.75)
    assert playback.frame == 6


def test_it_stands_still_when_stopped() -> None:
    playback = Playback(LINE)
    playback.set(False, None)
    assert not playback.advance(10.0)
    assert playback.frame == 0
    playback.set(True, None)
    playback.advance(0.5)
    assert playback.frame == 12


@pytest.mark.parametrize("frame", range(48))
def test_the_time_of_a_frame_is_that_frame(frame: int) -> None:
    playback = Playback(LINE)
    playback.go_to(frame / 24.0)
    assert playback.frame == frame


def test_beyond_the_end_is_the_last_frame() -> None:
    playback = Playback(LINE)
    playback.go_to(99.0)
    assert playback.frame == 47


def test_steps_stop_it_and_go_around_the_ends() -> None:
    playback = Playback(LINE)
    playback.step(-1)
    assert (playback.frame, playback.playing) == (47, False)
    playback.step(1)
    assert playback.frame == 0


def test_viewers_are_told_now_and_then_while_it_plays() -> None:
    playback = Playback(LINE)
    told = sum(playback.advance(1 / 30) for _ in range(300))
    assert told == pytest.approx(10.0 / TOLD_EVERY_S, abs=6)


def test_a_still_has_no_time() -> None:
    playback = Playback(Timeline())
    playback.go_to(5.0)
    assert not playback.advance(5.0)
    assert playback.describe() == {
        "playing": False,
        "time": 0.0,
        "duration": 0.0,
        "frame": 0,
        "frames": 1,
        "frames_per_second": 24.0,
    }
    playback.step(1)
    assert playback.frame == 0


@given(
    st.integers(1, 500),
    st.floats(0.5, 120.0),
    st.lists(st.one_of(st.floats(0.0, 1e4), st.integers(-5, 5), st.booleans())),
)
def test_the_frame_is_always_one_of_the_stages(frames: int, rate: float, acts: list[float | int | bool]) -> None:
    playback = Playback(Timeline(frames, rate))
    for act in acts:
        match act:
            case bool():
                playback.set(act, None)
            case int():
                playback.step(act)
            case float():
                playback.advance(act)
                playback.go_to(act)
        assert 0 <= playback.frame < frames
        assert 0 <= playback.time_s <= max(playback.duration_s, 0.0)
