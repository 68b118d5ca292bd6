"""What is due when, and how much may pass."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamer.core.timing import Bucket, KeyFrameGate, StillClock

WAITS = st.lists(st.floats(0, 2), max_size=100)


def test_key_frame_is_made_when_asked_for_and_only_then() -> None:
    gate = KeyFrameGate(0.5)
    assert gate.wait_s(0) is None
    gate.ask()
    gate.ask()
    assert gate.wait_s(0) == 0
    gate.made(0)
    assert gate.wait_s(100) is None


def test_key_frames_keep_their_distance_and_none_is_forgotten() -> None:
    gate = KeyFrameGate(0.5)
    gate.made(10)
    gate.ask()
    assert gate.wait_s(10.125) == 0.375
    assert gate.wait_s(10.5) == 0


@given(WAITS)
def test_however_many_ask_key_frames_come_at_most_at_their_interval(waits: list[float]) -> None:
    gate, now, made = KeyFrameGate(0.5), 0.0, []
    for wait in waits:
        now += wait
        gate.ask()
        if gate.wait_s(now) == 0:
            gate.made(now)
            made.append(now)
    assert all(later - earlier >= 0.49 for earlier, later in itertools.pairwise(made))


def test_picture_that_stays_is_sharpened_and_then_kept_alive() -> None:
    clock = StillClock()
    clock.changed(10)
    sent = [tick for tick in range(1, 100) if clock.due(10 + tick / 30)]
    assert sent[:14] == list(range(1, 15))
    assert len([tick for tick in sent if tick > 15]) in (12, 13, 14), "about five times a second"


@given(WAITS)
def test_still_picture_is_never_sent_twice_in_a_short_time_once_sharp(waits: list[float]) -> None:
    clock, now, sent = StillClock(), 1.0, []
    clock.changed(0)
    for wait in waits:
        now += wait
        if clock.due(now):
            sent.append(now)
    assert all(later - earlier >= 0.19 for earlier, later in itertools.pairwise(sent))


@given(st.floats(1, 1000), st.floats(1, 500), WAITS)
def test_bucket_lets_no_more_pass_than_its_rate_and_burst(per_s: float, burst: float, waits: list[float]) -> None:
    bucket, now, passed = Bucket(per_s, burst, 0), 0.0, 0
    for wait in waits:
        now += wait / 100
        passed += bucket.take(now)
        assert passed <= burst + per_s * now + 1e-6


def test_bucket_fills_again_and_a_clock_that_jumps_back_empties_nothing() -> None:
    bucket = Bucket(10, 2, 0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(-5)
    assert bucket.take(-4.5)
