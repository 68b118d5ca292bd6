"""How packets are spread, whatever their sizes, rates and times."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamer.core.pacing import BURST_BYTES, BURST_PACKETS, PACE, ResendPace, spread

SIZES = st.lists(st.integers(1, 1300), min_size=1, max_size=600)
BPS = st.integers(100_000, 60_000_000)
FPS = st.integers(5, 60)


def test_frame_of_a_usual_size_leaves_at_once() -> None:
    assert spread([1200] * 13, bps=4_000_000, fps=30) == (0.0,) * 13
    assert spread([1200] * 10, bps=100_000, fps=30) == (0.0,) * 10, "one burst may always go"
    assert spread([], bps=4_000_000, fps=30) == ()


def test_large_frame_is_spread_at_its_pace_and_a_huge_one_over_most_of_a_frame_time() -> None:
    twice = spread([1200] * 28, bps=4_000_000, fps=30)
    excess = 28 * 1200 - 4_000_000 / 8 / 30
    assert abs(twice[-1] - excess * 8 / (PACE * 4_000_000)) < 1e-9
    assert sorted(Counter(twice).values()) == [8, 10, 10]
    assert spread([1200] * 1000, bps=4_000_000, fps=30)[-1] == 0.8 / 30


@given(SIZES, BPS, FPS)
def test_packets_leave_in_order_within_a_frame_time(sizes: list[int], bps: int, fps: int) -> None:
    due = spread(sizes, bps=bps, fps=fps)
    assert len(due) == len(sizes)
    assert due[0] == 0.0
    assert all(earlier <= later for earlier, later in itertools.pairwise(due))
    assert due[-1] < 1 / fps


@given(SIZES, BPS, FPS)
def test_what_is_spread_leaves_in_small_bursts(sizes: list[int], bps: int, fps: int) -> None:
    due = spread(sizes, bps=bps, fps=fps)
    if due[-1] == 0.0:
        assert sum(sizes) <= max(BURST_BYTES, bps / 8 / fps)
        return
    at: dict[float, list[int]] = {}
    for size, moment in zip(sizes, due, strict=True):
        at.setdefault(moment, []).append(size)
    assert all(len(burst) <= BURST_PACKETS and sum(burst) <= BURST_BYTES for burst in at.values())


@given(SIZES, BPS, FPS)
def test_larger_frame_takes_no_less_time_and_never_more_than_its_excess_needs(
    sizes: list[int], bps: int, fps: int
) -> None:
    due, more = spread(sizes, bps=bps, fps=fps), spread([*sizes, 1300], bps=bps, fps=fps)
    assert more[-1] >= due[-1]
    excess = max(0.0, sum(sizes) - max(BURST_BYTES, bps / 8 / fps))
    assert due[-1] <= excess * 8 / (PACE * bps) + 1e-9


def test_first_lost_packets_go_at_once_and_later_ones_one_after_the_other() -> None:
    pace = ResendPace()
    waits = [pace.wait_s(size_bytes=1200, bps=3_840_000, now=50.0) for _ in range(12)]
    assert waits[:BURST_PACKETS] == [0.0] * BURST_PACKETS
    assert [round(wait or 0, 6) for wait in waits[BURST_PACKETS:]] == [0.001, 0.002]


@given(BPS, st.lists(st.floats(0, 0.1), min_size=1, max_size=300))
def test_lost_packets_never_go_faster_than_their_pace_nor_wait_for_long(bps: int, pauses: list[float]) -> None:
    pace, now, leave = ResendPace(), 10.0, []
    for pause in pauses:
        now += pause
        wait = pace.wait_s(size_bytes=1200, bps=bps, now=now)
        if wait is not None:
            assert 0.0 <= wait <= 0.25
            leave.append(now + wait)
    takes = 1200 * 8 / (PACE * bps)
    assert all(earlier <= later + 1e-9 for earlier, later in itertools.pairwise(leave))
    for first, after in zip(leave, leave[BURST_PACKETS:], strict=False):
        assert after - first >= takes * 0.99 - 1e-6


def test_flood_of_lost_packets_is_refused_until_time_has_passed() -> None:
    pace = ResendPace()
    waits = [pace.wait_s(size_bytes=1200, bps=1_000_000, now=0.0) for _ in range(1000)]
    assert 60 < sum(wait is not None for wait in waits) < 90
    assert pace.wait_s(size_bytes=1200, bps=1_000_000, now=1.0) == 0.0
