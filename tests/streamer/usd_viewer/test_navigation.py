"""What mouse, wheel and keys do."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.input import Blur, InputEvent, Key, Modifiers, PointerButton, PointerMove, Wheel
from streamer.usd_viewer.camera import Bounds, Camera, UpAxis, clipping, dot, length, subtract
from streamer.usd_viewer.navigation import LEFT, MIDDLE, RIGHT, Navigator
from streamer.usd_viewer.scene import StageCamera

BOX = Bounds((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))
NONE = Modifiers(0)


def navigator(*cameras: StageCamera) -> Navigator:
    made = Navigator(BOX, UpAxis.Y, cameras=cameras)
    made.set_aspect(16 / 9)
    return made


def drag(made: Navigator, dx: float, dy: float, buttons: int, modifiers: Modifiers = NONE) -> None:
    made.handle(PointerButton(True, 0.5, 0.5, 0, buttons, modifiers, 1))
    made.handle(PointerMove(0.5 + dx, 0.5 + dy, buttons, modifiers, 2))
    made.handle(PointerButton(False, 0.5 + dx, 0.5 + dy, 0, 0, modifiers, 3))


def press(made: Navigator, key: str, modifiers: Modifiers = NONE) -> None:
    made.handle(Key(True, "", key, False, modifiers, 1))


def test_left_drag_orbits() -> None:
    made = navigator()
    before = made.camera
    drag(made, 0.1, 0.05, LEFT)
    assert made.camera.azimuth != before.azimuth
    assert made.camera.elevation > before.elevation
    assert made.camera.target == before.target


@pytest.mark.parametrize(("buttons", "modifiers"), [(MIDDLE, NONE), (LEFT, Modifiers.SHIFT)])
def test_middle_and_shift_drag_pan(buttons: int, modifiers: Modifiers) -> None:
    made = navigator()
    before = made.camera
    drag(made, 0.1, 0.0, buttons, modifiers)
    assert dot(subtract(made.camera.target, before.target), before.right) < 0.0
    assert made.camera.backward == before.backward


@pytest.mark.parametrize(("buttons", "modifiers"), [(RIGHT, NONE), (LEFT, Modifiers.CONTROL)])
def test_right_and_control_drag_zoom(buttons: int, modifiers: Modifiers) -> None:
    made = navigator()
    before = made.camera
    drag(made, 0.0, -0.2, buttons, modifiers)
    assert made.camera.distance < before.distance


def test_moving_without_a_button_does_nothing() -> None:
    made = navigator()
    before = made.camera
    drag(made, 0.3, 0.3, 0)
    assert made.camera == before


def test_wheel_zooms_towards_the_pointer_and_back() -> None:
    made = navigator()
    before = made.camera
    made.handle(Wheel(0.9, 0.2, 0.0, -100.0, NONE, 1))
    assert made.camera.distance < before.distance
    assert dot(subtract(made.camera.target, before.target), before.right) > 0.0
    assert dot(subtract(made.camera.target, before.target), before.up) > 0.0
    made.handle(Wheel(0.9, 0.2, 0.0, 100.0, NONE, 2))
    assert made.camera.target == pytest.approx(before.target, abs=1e-9)


@pytest.mark.parametrize("key", ["a", "A", "Home"])
def test_frame_keys_show_all_from_where_one_looks(key: str) -> None:
    made = navigator()
    framed = made.camera
    made.handle(Wheel(0.9, 0.2, 0.0, -300.0, NONE, 1))
    drag(made, 0.2, 0.0, LEFT)
    turned = made.camera.azimuth
    press(made, key)
    assert made.camera.azimuth == turned
    assert made.camera.distance > framed.distance * 0.5


def test_r_goes_back_to_the_first_view() -> None:
    made = navigator()
    first = made.camera
    drag(made, 0.2, 0.1, LEFT)
    press(made, "r")
    assert made.camera == first


@pytest.mark.parametrize("key", ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "-"])
def test_keys_alone_suffice_to_move(key: str) -> None:
    made = navigator()
    before = made.camera
    press(made, key)
    assert made.camera != before
    made.reset()
    press(made, key, Modifiers.SHIFT)
    assert made.camera != before


def test_the_browsers_own_shortcuts_are_left_alone() -> None:
    made = navigator()
    drag(made, 0.2, 0.1, LEFT)
    before = made.camera
    press(made, "r", Modifiers.CONTROL)
    made.handle(Key(False, "", "r", False, NONE, 1))
    assert made.camera == before


def test_a_drag_ends_when_the_viewer_looks_elsewhere() -> None:
    made = navigator()
    made.handle(PointerButton(True, 0.1, 0.1, 0, LEFT, NONE, 1))
    made.handle(Blur(2))
    before = made.camera
    made.handle(PointerMove(0.9, 0.9, LEFT, NONE, 3))
    assert made.camera == before


def test_the_first_view_follows_the_pictures_shape_until_it_is_touched() -> None:
    made = navigator()
    wide = made.camera.distance
    made.set_aspect(0.5)
    assert made.camera.distance > wide
    drag(made, 0.1, 0.1, LEFT)
    touched = made.camera
    made.set_aspect(2.0)
    assert made.camera == touched


@pytest.mark.parametrize("up", list(UpAxis))
def test_c_looks_through_the_stages_cameras_in_turn(up: UpAxis) -> None:
    first = StageCamera("first", (3.0, 4.0, 5.0), (-0.6, 0.0, -0.8), 0.7)
    second = StageCamera("second", (0.0, -9.0, 1.0), (0.0, 1.0, 0.0), 0.9)
    made = Navigator(BOX, up, cameras=(first, second))
    for expected in (first, second, first):
        press(made, "c")
        assert made.camera.eye == pytest.approx(expected.eye, abs=1e-6)
        forward = tuple(-part for part in made.camera.backward)
        assert forward == pytest.approx(expected.forward, abs=1e-6)
        assert made.camera.field_of_view == pytest.approx(expected.field_of_view)


def test_the_first_view_is_the_first_cameras() -> None:
    first = StageCamera("first", (3.0, 4.0, 5.0), (-0.6, 0.0, -0.8), 0.7)
    second = StageCamera("second", (0.0, -9.0, 1.0), (0.0, 1.0, 0.0), 0.9, up=(0.0, 0.0, 1.0))
    made = navigator(first, second)
    made.set_aspect(1.0)
    assert made.camera.eye == pytest.approx(first.eye)
    press(made, "c")
    assert made.camera.eye == pytest.approx(second.eye)
    drag(made, 0.1, 0.1, LEFT)
    press(made, "r")
    assert made.camera.eye == pytest.approx(first.eye)


def test_a_narrow_picture_still_shows_all_that_a_camera_sees() -> None:
    wide = StageCamera("wide", (0.0, 0.0, 9.0), (0.0, 0.0, -1.0), 0.5, aspect=2.0)
    made = navigator(wide)
    across = 2.0 * math.tan(0.25)
    for aspect in (4.0, 2.0, 1.0, 0.5, 1.0):
        made.set_aspect(aspect)
        slope = math.tan(made.camera.field_of_view / 2.0)
        assert slope == pytest.approx(max(math.tan(0.25), across / aspect))
    press(made, "c")
    made.set_aspect(2.0)
    assert made.camera.field_of_view == pytest.approx(0.5)


def test_a_leaning_camera_leans_until_one_turns_away() -> None:
    leaning = StageCamera("leaning", (0.0, 0.0, 9.0), (0.0, 0.0, -1.0), 0.5, up=(0.6, 0.8, 0.0), clip=(1.0, 50.0))
    made = navigator(leaning)
    made.set_aspect(1.5)
    assert made.camera.up == pytest.approx(leaning.up)
    assert clipping(made.camera, BOX) == (1.0, 50.0)
    drag(made, 0.1, 0.0, LEFT)
    assert made.camera.up[1] > 0.99
    assert made.camera.clip is None


def test_a_camera_that_looks_straight_down_keeps_its_up() -> None:
    above = StageCamera("above", (0.0, 9.0, 0.0), (0.0, -1.0, 0.0), 0.5, up=(1.0, 0.0, 0.0))
    made = navigator(above)
    made.set_aspect(1.5)
    assert made.camera.up == pytest.approx(above.up, abs=1e-6)
    assert made.camera.eye == pytest.approx(above.eye, abs=1e-6)


def test_c_without_cameras_does_nothing() -> None:
    made = navigator()
    before = made.camera
    press(made, "c")
    assert made.camera == before


places = st.floats(0.0, 1.0)
modifiers = st.integers(0, 15).map(Modifiers)
events: st.SearchStrategy[InputEvent] = st.one_of(
    st.builds(PointerMove, places, places, st.integers(0, 31), modifiers, st.just(1)),
    st.builds(
        PointerButton, st.booleans(), places, places, st.integers(0, 4), st.integers(0, 31), modifiers, st.just(1)
    ),
    st.builds(Wheel, places, places, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), modifiers, st.just(1)),
    st.builds(
        Key,
        st.booleans(),
        st.just(""),
        st.sampled_from("farc+-x") | st.just("ArrowUp"),
        st.booleans(),
        modifiers,
        st.just(1),
    ),
    st.builds(Blur, st.just(1)),
)


@settings(deadline=None)
@given(st.lists(events, max_size=60))
def test_no_sequence_of_events_loses_the_camera(sequence: list[InputEvent]) -> None:
    made = navigator()
    for event in sequence:
        made.handle(event)
    camera: Camera = made.camera
    assert math.isfinite(length(camera.eye))
    assert camera.distance > 0.0
    assert dot(camera.up, camera.world_up) > 0.0
