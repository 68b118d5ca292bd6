from hypothesis import given
from hypothesis import strategies as st

from streamer.core.restarts import Restarts


def test_runs_that_are_short_wait_longer_each_time_and_make_it_broken() -> None:
    restarts = Restarts(first_s=1, most_s=5, broken_after=3)
    assert not restarts.broken
    assert [restarts.ended(0.1, served=False) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert restarts.broken


def test_a_run_that_served_or_lasted_is_no_reproach() -> None:
    restarts = Restarts(steady_s=30, broken_after=2)
    restarts.ended(1, served=False)
    restarts.ended(1, served=False)
    assert restarts.broken
    assert restarts.ended(1, served=True) == 0
    assert not restarts.broken
    restarts.ended(1, served=False)
    assert restarts.ended(30, served=False) == 0
    restarts.ended(1, served=False)
    assert not restarts.broken


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50))
def test_it_is_broken_after_so_many_short_runs_and_no_other(runs: list[tuple[float, bool]]) -> None:
    restarts = Restarts()
    short = 0
    for ran_s, served in runs:
        pause_s = restarts.ended(ran_s, served=served)
        short = 0 if served or ran_s >= 30 else short + 1
        assert 0 <= pause_s <= 30
        assert (pause_s == 0) == (short == 0)
        assert restarts.broken == (short >= 3)
