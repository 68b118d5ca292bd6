"""What a click selects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.usd_viewer.selection import MAX_PICKABLE, Selection, TooManyPrims

BOX, WHEEL = "/World/Box", "/World/Car/Wheel"


def test_a_click_selects_what_it_hits_alone() -> None:
    selection = Selection()
    assert selection.click(BOX, toggle=False)
    assert selection.click(WHEEL, toggle=False)
    assert selection.paths == (WHEEL,)
    assert not selection.click(WHEEL, toggle=False)


def test_a_click_beside_everything_selects_nothing() -> None:
    selection = Selection()
    assert not selection.click(None, toggle=False)
    selection.choose([BOX])
    assert selection.click(None, toggle=False)
    assert selection.paths == ()


def test_toggling_adds_and_takes_away_and_keeps_the_rest() -> None:
    selection = Selection()
    selection.choose([BOX])
    assert selection.click(WHEEL, toggle=True)
    assert selection.paths == (BOX, WHEEL)
    assert selection.click(BOX, toggle=True)
    assert list(selection.paths) == [WHEEL]
    assert not selection.click(None, toggle=True)


def test_only_pickable_prims_are_selected_once_some_were_named() -> None:
    selection = Selection()
    selection.make_pickable([])
    assert selection.click(BOX, toggle=False)
    selection.make_pickable(["/World/Car"])
    assert selection.click(BOX, toggle=False)
    assert selection.paths == ()


def test_a_click_on_a_part_selects_the_nearest_pickable_prim_above_it() -> None:
    selection = Selection()
    selection.make_pickable(["/World/Car", "/World"])
    selection.click(WHEEL, toggle=False)
    assert selection.paths == ("/World/Car",)
    selection.make_pickable([WHEEL])
    selection.click(WHEEL, toggle=False)
    assert selection.paths == (WHEEL,)
    selection.click("/World/Cargo/Crate", toggle=False)
    assert selection.paths == ("/World",)


def test_pickable_prims_have_a_bound() -> None:
    selection = Selection()
    with pytest.raises(TooManyPrims, match=str(MAX_PICKABLE)):
        selection.make_pickable(f"/P{number}" for number in range(MAX_PICKABLE + 1))
    assert selection.click(BOX, toggle=False)


paths = st.sampled_from(["/A", "/A/B", "/A/B/C", "/D", "/D/E"])


@given(st.sets(paths), st.lists(st.tuples(st.none() | paths, st.booleans())))
def test_clicks_never_select_twice_nor_what_is_not_pickable(
    pickable: set[str], clicks: list[tuple[str | None, bool]]
) -> None:
    selection = Selection()
    selection.make_pickable(pickable)
    for hit, toggle in clicks:
        before = selection.paths
        assert selection.click(hit, toggle=toggle) == (selection.paths != before)
        assert len(set(selection.paths)) == len(selection.paths)
        assert not pickable or pickable.issuperset(selection.paths)
