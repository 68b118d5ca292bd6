"""Input events from JSON: what fits is taken as it is, nothing else is taken."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.input import (
    BadInput,
    Blur,
    InputEvent,
    Key,
    Modifiers,
    PointerButton,
    PointerMove,
    Wheel,
    event_name,
    parse_input,
)

NUMBERS = {"x": 0.25, "y": 1, "dx": -3.5, "dy": 120, "button": 2, "buttons": 3, "modifiers": 5, "seq": 9}
FULL = NUMBERS | {"type": "input", "code": "KeyA", "key": "a", "repeat": True}
BOTH = Modifiers.SHIFT | Modifiers.ALT
EVENTS: dict[str, InputEvent] = {
    "pointermove": PointerMove(0.25, 1, 3, BOTH, 9),
    "pointerdown": PointerButton(True, 0.25, 1, 2, 3, BOTH, 9),
    "pointerup": PointerButton(False, 0.25, 1, 2, 3, BOTH, 9),
    "wheel": Wheel(0.25, 1, -3.5, 120, BOTH, 9),
    "keydown": Key(True, "KeyA", "a", True, BOTH, 9),
    "keyup": Key(False, "KeyA", "a", True, BOTH, 9),
    "blur": Blur(9),
}
WRONG: dict[str, list[object]] = {
    "x": [-0.001, 1.001, float("nan"), float("inf"), True, "0", None, 10**400],
    "dx": [10001, -10001, float("-inf"), [], False],
    "button": [-1, 5, 1.5, True, None],
    "buttons": [-1, 32, 0.0, "1"],
    "modifiers": [16, -1, 1.0],
    "seq": [-1, 2**53 + 1, 1.0, None, 10**400],
    "code": ["x" * 65, 1, None],
    "key": ["x" * 65, ["a"]],
    "repeat": [1, "true", None],
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_of_the_protocol_is_taken(name: str) -> None:
    assert parse_input(FULL | {"event": name}) == EVENTS[name]
    assert event_name(EVENTS[name]) == name


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_field_out_of_bounds_is_refused_by_name(field: str, value: object) -> None:
    name = {"dx": "wheel", "code": "keydown", "key": "keydown", "repeat": "keydown"}.get(field, "pointerdown")
    with pytest.raises(BadInput, match=field):
        parse_input(FULL | {"event": name, field: value})


@pytest.mark.parametrize("event", ["pointerleave", "", None, 1, [], {}])
def test_unknown_event_is_refused(event: object) -> None:
    with pytest.raises(BadInput):
        parse_input(FULL | {"event": event})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FULL, "event"]), JSON), st.sampled_from([*EVENTS]))
def test_anything_is_an_event_within_bounds_or_refused(changes: dict[str, Any], name: str) -> None:
    message = json.loads(json.dumps(FULL | {"event": name} | changes))
    try:
        event = parse_input(message)
    except BadInput:
        return
    assert event.seq == message["seq"]
    if not isinstance(event, Blur | Key):
        assert 0 <= event.x <= 1
        assert 0 <= event.y <= 1
