import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.prefer import preferred_wait_s


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([], None),
        (["wait=10"], 10),
        (["Wait = 10"], 10),
        (['wait="10"'], 10),
        (["respond-async, wait=7"], 7),
        (["respond-async", "wait=7"], 7),
        (["wait=7; foo=bar"], 7),
        (["wait=3, wait=9"], 3),
        (["wait=999999999"], 60),
        (["wait=0"], 0),
        (["wait"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (['wait="1'], None),
        (["wait=9999999999"], None),
        (["await=5"], None),
    ],
)
def test_the_wait_is_read_as_rfc_7240_has_it(headers: list[str], wait_s: int | None) -> None:
    assert preferred_wait_s(headers, 60.0) == wait_s


@given(st.lists(st.text(max_size=40), max_size=3))
def test_a_wait_is_never_longer_than_allowed(headers: list[str]) -> None:
    wait_s = preferred_wait_s(headers, 5.0)
    assert wait_s is None or 0 <= wait_s <= 5
