"""Size and frame rate go down when they must, and up with patience."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.ladder import LEAST_BITS_PER_PIXEL, Ladder, Limit, Rung, rungs

FORMATS = st.tuples(st.integers(64, 4096), st.integers(64, 4096), st.integers(1, 120))


def walk(ladder: Ladder, seconds: range, *, bitrate: int = 10**9, load: float = 0.1) -> list[Rung]:
    return [ladder.step(bitrate=bitrate, load=load, now=float(now)) for now in seconds]


def test_rungs_spare_a_high_frame_rate_first_then_pixels_then_the_rate() -> None:
    assert rungs(1280, 720, 60) == (
        Rung(1.0, 60),
        Rung(1.0, 30),
        Rung(0.75, 30),
        Rung(0.5, 30),
        Rung(0.25, 30),
        Rung(0.25, 15),
    )
    assert rungs(320, 180, 30) == (Rung(1.0, 30), Rung(1.0, 15))
    assert rungs(64, 64, 10) == (Rung(1.0, 10),)


@given(FORMATS)
def test_each_rung_costs_less_than_the_one_above(video: tuple[int, int, int]) -> None:
    steps = rungs(*video)
    assert steps[0] == Rung(1.0, video[2])
    costs = [step.scale**2 * step.fps for step in steps]
    assert costs == sorted(set(costs), reverse=True)


@pytest.mark.parametrize(("bitrate", "load", "limit"), [(300_000, 0.1, Limit.NETWORK), (10**9, 1.2, Limit.ENCODER)])
def test_what_cannot_keep_up_goes_down_and_says_why(bitrate: int, load: float, limit: Limit) -> None:
    ladder = Ladder(1280, 720, 30)
    assert ladder.limit is Limit.NONE
    steps = walk(ladder, range(3), bitrate=bitrate, load=load)
    assert steps == [Rung(1.0, 30), Rung(1.0, 30), Rung(0.75, 30)]
    assert ladder.limit is limit


def test_a_moment_of_trouble_changes_nothing() -> None:
    ladder = Ladder(1280, 720, 30)
    for now in range(0, 100, 2):
        ladder.step(bitrate=10**9, load=2.0, now=now)
        ladder.step(bitrate=10**9, load=0.1, now=now + 1)
    assert ladder.rung == Rung(1.0, 30)


def test_it_goes_up_again_after_a_while_of_ease() -> None:
    ladder = Ladder(1280, 720, 30)
    walk(ladder, range(3), load=2.0)
    steps = walk(ladder, range(3, 15))
    assert steps[9:] == [Rung(0.75, 30), Rung(1.0, 30), Rung(1.0, 30)]
    assert ladder.limit is Limit.NONE


def test_each_rise_that_was_a_mistake_makes_the_next_one_wait_twice_as_long() -> None:
    ladder, rises = Ladder(1280, 720, 30), []
    for now in range(2000):
        before = ladder.rung
        # Encoding seems easy on the lower rung, and is too much on the upper one.
        after = ladder.step(bitrate=10**9, load=0.1 if before.scale < 1 else 1.5, now=now)
        if after.scale > before.scale:
            rises.append(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(rises)]
    assert waits[:4] == sorted(waits[:4])
    assert waits[-1] > 150
    assert len(rises) < 20


def test_a_rise_that_held_for_a_minute_is_no_mistake() -> None:
    ladder = Ladder(1280, 720, 30)
    walk(ladder, range(3), load=2.0)
    walk(ladder, range(3, 100))
    walk(ladder, range(100, 103), load=2.0)
    assert walk(ladder, range(103, 114))[-1] == Rung(1.0, 30)


@given(FORMATS, st.integers(10_000, 10**8), st.floats(0.0, 1e-7))
def test_with_a_steady_network_and_machine_it_comes_to_rest_where_it_fits(
    video: tuple[int, int, int], bitrate: int, seconds_per_pixel: float
) -> None:
    width, height, fps = video
    ladder, moves, last = Ladder(*video), [], Rung(1.0, fps)
    for now in range(200):
        load = seconds_per_pixel * width * height * last.scale**2 * last.fps
        rung = ladder.step(bitrate=bitrate, load=load, now=now)
        if rung != last:
            assert abs(rungs(*video).index(rung) - rungs(*video).index(last)) == 1
            moves.append(now)
            last = rung
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(moves))
    assert len(moves) < len(rungs(*video)), "it swings"
    pixels = width * height * last.scale**2 * last.fps
    fits = bitrate >= LEAST_BITS_PER_PIXEL * pixels and seconds_per_pixel * pixels <= 0.9
    assert fits or last == rungs(*video)[-1]
    assert (ladder.limit is Limit.NONE) == (last == Rung(1.0, fps))


@given(FORMATS, st.lists(st.tuples(st.integers(0, 10**8), st.floats(0, 5), st.floats(0, 20)), max_size=60))
def test_whatever_happens_it_stands_on_a_rung(
    video: tuple[int, int, int], events: list[tuple[int, float, float]]
) -> None:
    ladder, now = Ladder(*video), 0.0
    for bitrate, load, wait in events:
        now += wait
        assert ladder.step(bitrate=bitrate, load=load, now=now) in rungs(*video)
        assert (ladder.limit is Limit.NONE) == (ladder.rung == Rung(1.0, video[2]))
