"""A click is no drag."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.input import Blur, InputEvent, Key, Modifiers, PointerButton, PointerMove, Wheel
from streamer.usd_viewer.clicks import TOLERANCE, Click, Clicks

NONE = Modifiers(0)


def down(x: float = 0.5, button: int = 0) -> PointerButton:
    return PointerButton(True, x, 0.5, button, 1 << button, NONE, 1)


def up(x: float = 0.5, button: int = 0, modifiers: Modifiers = NONE) -> PointerButton:
    return PointerButton(False, x, 0.5, button, 0, modifiers, 3)


def move(x: float) -> PointerMove:
    return PointerMove(x, 0.5, 1, NONE, 2)


def clicks_in(*events: InputEvent) -> list[Click]:
    clicks = Clicks()
    return [click for event in events if (click := clicks.take(event))]


def test_down_and_up_in_one_place_is_a_click() -> None:
    assert clicks_in(down(), up()) == [Click(0.5, 0.5, False)]


def test_a_hand_is_never_quite_still() -> None:
    assert len(clicks_in(down(), move(0.5 + TOLERANCE / 2), up(0.5 + TOLERANCE / 2))) == 1


def test_a_drag_is_no_click_even_if_it_comes_back() -> None:
    assert clicks_in(down(), move(0.6), move(0.5), up()) == []


def test_a_drag_whose_moves_were_lost_is_no_click() -> None:
    assert clicks_in(down(), up(0.6)) == []


def test_other_buttons_and_chords_do_not_click() -> None:
    assert clicks_in(down(button=2), up(button=2)) == []
    assert clicks_in(down(), down(button=2), up(button=2), up()) == []


def test_what_was_pressed_before_the_viewer_looked_away_does_not_click() -> None:
    assert clicks_in(down(), Blur(2), up()) == []


def test_modifiers_toggle() -> None:
    for modifier in (Modifiers.SHIFT, Modifiers.CONTROL, Modifiers.META):
        assert clicks_in(down(), up(modifiers=modifier)) == [Click(0.5, 0.5, True)]
    assert clicks_in(down(), up(modifiers=Modifiers.ALT)) == [Click(0.5, 0.5, False)]


places = st.floats(0, 1)
events: st.SearchStrategy[InputEvent] = st.one_of(
    st.builds(down, places, st.integers(0, 2)),
    st.builds(up, places, st.integers(0, 2)),
    st.builds(move, places),
    st.just(Blur(1)),
    st.just(Wheel(0.5, 0.5, 0, 1, NONE, 1)),
    st.just(Key(True, "", "a", False, NONE, 1)),
)


@given(st.lists(events))
def test_each_click_has_a_press_of_its_own(sequence: list[InputEvent]) -> None:
    presses = sum(isinstance(event, PointerButton) and event.down and event.button == 0 for event in sequence)
    assert len(clicks_in(*sequence)) <= presses
