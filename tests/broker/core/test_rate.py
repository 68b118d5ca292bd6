from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.rate import TokenBuckets


def test_a_burst_is_let_through_and_then_a_steady_rate() -> None:
    buckets = TokenBuckets(2.0, 3)
    assert [buckets.take("ann", 10.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("ann", 10.0) == 0.5
    assert buckets.take("ann", 10.25) == 0.25, "who is refused loses nothing"
    assert buckets.take("ann", 10.5) == 0
    assert buckets.take("ann", 10.5) == 0.5


def test_callers_do_not_take_from_each_other() -> None:
    buckets = TokenBuckets(1.0, 1)
    assert (buckets.take("ann", 0.0), buckets.take("ben", 0.0)) == (0, 0)
    assert buckets.take("ann", 0.0) > 0


def test_a_long_silence_saves_up_no_more_than_a_burst() -> None:
    buckets = TokenBuckets(1.0, 2)
    buckets.take("ann", 0.0)
    assert [buckets.take("ann", 1e6) for _ in range(3)] == [0, 0, 1]


def test_a_clock_that_steps_back_takes_nothing() -> None:
    buckets = TokenBuckets(1.0, 2)
    buckets.take("ann", 100.0)
    assert buckets.take("ann", 50.0) == 0


def test_only_so_many_callers_are_remembered_and_the_most_silent_is_forgotten() -> None:
    buckets = TokenBuckets(1.0, 1, callers_most=2)
    for caller in ("ann", "ben", "ann", "cleo"):
        buckets.take(caller, 0.0)
    assert len(buckets) == 2
    assert buckets.take("ann", 0.0) > 0, "she spoke after Ben"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=100), st.floats(0.1, 100), st.integers(1, 20))
def test_nobody_asks_more_often_than_burst_and_rate_allow(gaps: list[float], rate_per_s: float, burst: int) -> None:
    buckets, now, granted = TokenBuckets(rate_per_s, burst), 0.0, 0
    for gap in gaps:
        now += gap
        wait_s = buckets.take("ann", now)
        granted += wait_s == 0
        if wait_s > 1e-9:
            assert buckets.take("ann", now + wait_s * 0.99) > 0
    assert granted <= burst + rate_per_s * now * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("rate_per_s", [0.001, 1, 1000])
def test_who_waits_as_long_as_told_is_let_in(rate_per_s: float) -> None:
    buckets = TokenBuckets(rate_per_s, 1)
    buckets.take("ann", 0.0)
    wait_s = buckets.take("ann", 0.0)
    assert buckets.take("ann", wait_s * (1 + 1e-9)) == 0
