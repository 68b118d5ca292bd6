from hypothesis import given
from hypothesis import strategies as st

from broker.core.pauses import Pause, put_off

TIMES = st.integers(0, 1000)


def pauses_of(bounds: list[int]) -> list[Pause]:
    bounds = sorted(set(bounds))
    return [Pause(since, until) for since, until in zip(bounds[::2], bounds[1::2], strict=False)]


PAUSES = st.lists(TIMES, max_size=12).map(pauses_of)


def test_without_pauses_a_clock_runs_out_when_it_says() -> None:
    assert put_off(130.0, 100.0, ()) == 130.0


def test_a_pause_within_a_clock_puts_it_off_by_its_length() -> None:
    assert put_off(130.0, 100.0, (Pause(110.0, 150.0),)) == 170.0


def test_a_pause_that_began_before_the_clock_counts_from_the_clocks_begin() -> None:
    assert put_off(130.0, 100.0, (Pause(50.0, 110.0),)) == 140.0


def test_a_pause_before_a_clock_and_one_after_its_end_change_nothing() -> None:
    assert put_off(130.0, 100.0, (Pause(50.0, 99.0), Pause(130.0, 200.0))) == 130.0


def test_a_clock_put_off_by_one_pause_may_run_into_the_next() -> None:
    assert put_off(130.0, 100.0, (Pause(110.0, 120.0), Pause(135.0, 145.0))) == 150.0


@given(begun=TIMES, length=TIMES, pauses=PAUSES)
def test_a_clock_runs_for_its_whole_length_outside_of_pauses(begun: int, length: int, pauses: list[Pause]) -> None:
    end = put_off(begun + length, begun, pauses)
    paused = sum(max(min(pause.until, end) - max(pause.since, begun), 0) for pause in pauses)
    assert end - begun - paused == length
    assert not any(pause.since < end < pause.until for pause in pauses), "nothing runs out within a pause"


@given(begun=TIMES, length=TIMES, pauses=PAUSES)
def test_a_pause_that_is_heard_of_later_only_puts_off_further(begun: int, length: int, pauses: list[Pause]) -> None:
    known = [put_off(begun + length, begun, pauses[:count]) for count in range(len(pauses) + 1)]
    assert known == sorted(known)
