"""The target bitrate of a stream, and its bounds for each size of picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.rate import Bitrates, Rate, bitrates_for, rate_class

BOUNDS = Bitrates(start=4_000_000, floor=500_000, ceiling=12_000_000)


@pytest.mark.parametrize(
    ("width", "height", "fps", "ceiling"),
    [
        (320, 180, 30, 1_500_000),
        (1280, 720, 30, 12_000_000),
        (1280, 720, 60, 17_000_000),
        (1920, 1080, 30, 22_000_000),
        (1920, 1080, 60, 31_000_000),
        (2560, 1440, 30, 34_000_000),
        (3840, 2160, 30, 60_000_000),
        (3840, 2160, 60, 60_000_000),
    ],
)
def test_ceilings_suit_the_size_of_the_picture(width: int, height: int, fps: int, ceiling: int) -> None:
    assert bitrates_for(width, height, fps).ceiling == pytest.approx(ceiling, rel=0.03)


def test_usual_bounds_are_those_of_720p() -> None:
    assert bitrates_for(1280, 720, 30) == Bitrates()


@given(st.integers(16, 8192), st.integers(16, 8192), st.integers(1, 240), st.integers(0, 10**8))
def test_bounds_are_in_order_and_below_the_configured_ceiling(width: int, height: int, fps: int, most: int) -> None:
    bounds = bitrates_for(width, height, fps, most_bps=most)
    assert 300_000 <= bounds.floor <= bounds.start <= bounds.ceiling <= max(300_000, min(most, 60_000_000))
    larger = bitrates_for(2 * width, height, fps, most_bps=most)
    assert larger.ceiling >= bounds.ceiling


def test_low_estimate_counts_only_while_much_is_sent() -> None:
    rate = Rate(BOUNDS)
    for estimate in (900_000, 450_000):
        rate.count(300_000 // 8, 0)
        rate.follow(estimate, 0)
        assert rate.target == BOUNDS.start, "a picture at rest was taken for a slow network"
    rate.count(3_000_000 // 8, 0)
    rate.follow(500_000, 0)
    assert rate.target == BOUNDS.start, "an estimate that lags behind a movement was taken for a slow network"
    rate.follow(450_000, 0)
    assert rate.target == BOUNDS.floor


def test_target_grows_back_to_the_start_by_itself_and_above_it_with_the_estimate() -> None:
    rate = Rate(BOUNDS)
    rate.follow(2_000_000, 0)
    rate.count(BOUNDS.start // 8, 0)
    rate.follow(1_000_000, 0)
    assert rate.target == 1_000_000
    for now in range(1, 30):
        rate.follow(1_000_000, now)
    assert rate.target == BOUNDS.start
    for now in range(30, 60):
        rate.follow(6_000_000, now)
    assert rate.target == 6_000_000


def test_heavy_loss_lowers_the_target_once_a_second_and_little_loss_lets_it_grow_to_the_start() -> None:
    rate = Rate(BOUNDS)
    rate.lose(0.5, 0)
    assert rate.target == 3_000_000
    rate.lose(0.5, 0.5)
    assert rate.target == 3_000_000
    rate.lose(0.2, 1)
    assert rate.target == 2_700_000
    for now in range(2, 10):
        rate.lose(0.05, now)
    assert rate.target == 2_700_000
    for now in range(10, 20):
        rate.lose(0.0, now)
    assert rate.target == BOUNDS.start
    for now in range(20, 60):
        rate.lose(1.0, now)
    assert rate.target == BOUNDS.floor


def test_other_bounds_take_the_target_along_in_proportion() -> None:
    rate = Rate(BOUNDS)
    rate.bounds = Bitrates(start=8_000_000, floor=1_000_000, ceiling=20_000_000)
    assert rate.target == 8_000_000
    rate.lose(1.0, 0)
    rate.bounds = BOUNDS
    assert rate.target == 2_000_000
    assert rate.bounds == BOUNDS


EVENTS = st.lists(
    st.tuples(st.sampled_from(["follow", "lose", "count"]), st.integers(-(10**12), 10**12), st.floats(0, 10)),
    min_size=1,
)


@given(EVENTS)
def test_target_stays_within_its_bounds(events: list[tuple[str, int, float]]) -> None:
    rate, now = Rate(BOUNDS), 0.0
    for what, value, wait in events:
        now += wait
        match what:
            case "follow":
                rate.follow(value, now)
            case "lose":
                rate.lose(abs(value) % 256 / 256, now)
            case _:
                rate.count(abs(value), now)
        assert BOUNDS.floor <= rate.target <= BOUNDS.ceiling


@given(st.integers(1, 10**8), st.integers(0, 30))
def test_class_of_rates_holds_what_nearly_fits_and_is_kept_once_found(bps: int, current: int) -> None:
    found = rate_class(bps)
    assert bps <= 100_000 or 100_000 * 1.5**found <= bps * 1.0001 < 100_000 * 1.5 ** (found + 1) * 1.0002
    kept = rate_class(bps, current)
    assert rate_class(bps, kept) == kept
    assert kept in (found, current)
    assert abs(kept - found) <= 1


def test_small_changes_of_rate_change_no_class() -> None:
    at = rate_class(4_000_000)
    edge = 100_000 * 1.5 ** (at + 1)
    assert rate_class(round(edge * 1.05), at) == at
    assert rate_class(round(edge * 1.2), at) == at + 1
