from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.load import LoadMeter
from signaling.routes import RelayLoad


def test_nothing_is_known_before_the_second_look() -> None:
    assert LoadMeter().measure(5.0, sessions=2, datagrams=900) == RelayLoad(2, 0.0)


def test_a_steady_rate_is_found_and_a_silence_forgets_it() -> None:
    meter = LoadMeter()
    for second in range(30):
        load = meter.measure(float(second), sessions=1, datagrams=1000 * second)
    assert 999 <= load.datagrams_per_s <= 1000
    for second in range(30, 60):
        load = meter.measure(float(second), sessions=0, datagrams=29_000)
    assert load == RelayLoad(0, 0.0)


def test_one_burst_moves_it_by_its_share() -> None:
    meter = LoadMeter()
    meter.measure(0.0, sessions=0, datagrams=0)
    assert meter.measure(1.0, sessions=0, datagrams=3000).datagrams_per_s == 1000


@given(st.lists(st.tuples(st.just(0.0) | st.floats(0.01, 10), st.integers(0, 10**6)), max_size=20))
def test_a_rate_is_never_negative_nor_above_the_fastest(steps: list[tuple[float, int]]) -> None:
    meter, now, total, fastest = LoadMeter(), 0.0, 0, 0.0
    meter.measure(now, sessions=0, datagrams=0)
    for pause, passed in steps:
        fastest = max(fastest, passed / pause) if pause else fastest
        if pause:
            total += passed
        now += pause
        assert 0 <= meter.measure(now, sessions=0, datagrams=total).datagrams_per_s <= fastest * 1.001 + 0.1
