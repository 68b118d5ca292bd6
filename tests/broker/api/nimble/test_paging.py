from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from bisect import insort

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.api.nimble.paging import _check, page
from broker.errors import Invalid

KEYS = st.tuples(st.floats(0, 4e9), st.text("abc", max_size=3))
Entry = tuple[float, str]


def itself(entry: Entry) -> Entry:
    return entry


@settings(deadline=None)
@given(st.sets(KEYS, max_size=12), st.sets(KEYS, max_size=6), st.integers(1, 4))
def test_every_entry_that_stays_comes_exactly_once_whatever_is_added(
    first: set[Entry], added: set[Entry], size: int
) -> None:
    entries, later = sorted(first), sorted(added - first)
    seen: list[Entry] = []
    token: str | None = None
    while True:
        found, token = page(entries, itself, of="x", token=token, size=size)
        seen += found
        if token is None:
            break
        assert len(found) == size
        if later:
            insort(entries, later.pop())
    assert len(seen) == len(set(seen)) and first <= set(seen)
    assert seen == sorted(seen)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(Invalid):
        page([], itself, of="x", token=token)


@settings(deadline=None)
@given(st.text(max_size=5), st.text(max_size=5))
def test_a_token_is_good_for_its_own_list_alone(one: str, other: str) -> None:
    _, token = page([(1.0, "a"), (2.0, "b")], itself, of=one, token=None, size=1)
    assert token is not None
    if one == other:
        assert page([(2.0, "b")], itself, of=other, token=token) == ([(2.0, "b")], None)
        return
    with pytest.raises(Invalid):
        page([], itself, of=other, token=token)


@pytest.mark.parametrize("content", ["{}x", "null", "7", '["a"]', "[[1]]", '[null, "a"]', "[" * 300, "", '"ab"'])
def test_a_token_that_somebody_forged_is_refused(content: str) -> None:
    """The check is no secret: what is behind it is looked at as closely."""
    token = urlsafe_b64encode(_check(content.encode(), "x") + content.encode()).decode()
    with pytest.raises(Invalid):
        page([(1.0, "a")], itself, of="x", token=token)


def test_a_forged_key_of_the_right_kinds_is_but_a_place_in_the_list() -> None:
    content = json.dumps([1.5, ""]).encode()
    token = urlsafe_b64encode(_check(content, "x") + content).decode()
    assert page([(1.0, "a"), (2.0, "b")], itself, of="x", token=token) == ([(2.0, "b")], None)
