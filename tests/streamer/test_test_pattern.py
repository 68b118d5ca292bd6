"""The test pattern: what it shows, what it says."""

import numpy as np
import pytest

from streamer.input import Blur, InputEvent, Key, Modifiers, PointerButton, PointerMove, Wheel
from streamer.source import Frame, JsonObject, VideoFormat
from streamer.stamp import read_stamp
from streamer.test_pattern import TestPattern

VIDEO = VideoFormat(640, 360, 30)
NONE = Modifiers(0)


class Sent:
    def __init__(self) -> None:
        self.messages: list[tuple[str, JsonObject]] = []

    def send(self, event_type: str, payload: JsonObject) -> None:
        self.messages.append((event_type, payload))


def pattern() -> tuple[TestPattern, Sent]:
    made, sent = TestPattern(clock=lambda: 1000.0), Sent()
    made.start({}, sent)
    return made, sent


def picture(made: TestPattern, at_s: float = 0.0) -> Frame:
    return made.render(VIDEO, at_s).copy()


def test_frames_are_numbered_from_zero_in_each_session() -> None:
    made, sent = pattern()
    assert [getattr(read_stamp(picture(made)), "frame", None) for _ in range(3)] == [0, 1, 2]
    made.stop()
    made.start({}, sent)
    assert getattr(read_stamp(picture(made)), "frame", None) == 0


def test_bars_move_with_time_and_come_round() -> None:
    made, _ = pattern()
    first, later, round_again = (picture(made, at_s)[30:100] for at_s in (0, 1, 12))
    assert not np.array_equal(first, later)
    assert np.array_equal(first, round_again)


@pytest.mark.parametrize("buttons", [0, 1, 2, 4, 3])
def test_pointer_is_shown_where_it_is_in_the_colour_of_its_buttons(buttons: int) -> None:
    made, _ = pattern()
    before = picture(made)
    made.on_input(PointerMove(0.9, 0.25, buttons, NONE, 1))
    after = picture(made)
    x, y = int(0.9 * VIDEO.width), int(0.25 * VIDEO.height)
    colours = {0: (255, 255, 255), 1: (255, 64, 64), 2: (64, 128, 255), 4: (64, 255, 96), 3: (255, 0, 255)}
    assert tuple(after[y, x]) == colours[buttons]
    assert tuple(before[y, x]) != colours[buttons]
    made.on_input(PointerMove(0.5, 0.5, 0, NONE, 2))
    assert np.array_equal(picture(made)[y - 5 : y + 5, x - 5 : x + 5], before[y - 5 : y + 5, x - 5 : x + 5])


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (PointerButton(True, 0.1, 0.9, 0, 1, NONE, 5), "pointerdown"),
        (Wheel(0.5, 0.5, 0, 120, NONE, 5), "wheel"),
        (Key(True, "ArrowLeft", "ArrowLeft", False, NONE, 5), "keydown"),
    ],
)
def test_input_changes_the_picture_and_names_the_frame_that_shows_it(event: InputEvent, name: str) -> None:
    made, sent = pattern()
    before = picture(made)
    made.on_input(event)
    after = picture(made)
    assert sent.messages == [("inputEcho", {"event": name, "seq": 5, "frame": 1})]
    assert getattr(read_stamp(after), "frame", None) == 1
    assert not np.array_equal(before[60:], after[60:])


def test_blur_releases_buttons() -> None:
    made, _ = pattern()
    made.on_input(PointerButton(True, 0.9, 0.25, 0, 1, NONE, 1))
    made.on_input(Blur(2))
    assert tuple(picture(made)[90, 576]) == (255, 255, 255)


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("size", [(64, 64), (320, 180), (1920, 1080), (360, 640)])
def test_any_size_can_be_drawn_with_the_pointer_in_a_corner(size: tuple[int, int], corner: tuple[float, float]) -> None:
    made, _ = pattern()
    made.on_input(PointerMove(*corner, 1, NONE, 1))
    made.on_input(Key(True, "X" * 64, "\u00e4", False, NONE, 2))
    assert made.render(VideoFormat(*size, 30), 5.5).shape == (size[1], size[0], 3)


def test_messages_come_back() -> None:
    made, sent = pattern()
    made.on_message("hello", {"a": 1})
    assert sent.messages == [("messageEcho", {"event_type": "hello", "payload": {"a": 1}})]
    made.stop()
    made.on_message("hello", {})
    made.on_input(Blur(1))
    assert len(sent.messages) == 1


def test_lamp_is_lit_while_it_beeps() -> None:
    made, _ = pattern()
    for tick in range(150):
        at_s = tick * 0.02
        sound = made.audio(at_s, 960)
        loud = sound is not None and int(np.abs(sound).max()) > 400
        lit = tuple(picture(made, at_s)[VIDEO.height - 30, VIDEO.width - 30]) == (241, 196, 15)
        assert lit == loud == (tick % 50 < 5), tick


def test_beep_is_soft_begins_and_ends_without_a_click_and_is_whole_across_blocks() -> None:
    made, _ = pattern()
    blocks = [made.audio(at_s, 960) for at_s in np.arange(0.97, 1.2, 0.02)]
    sound = np.concatenate([np.zeros((960, 2), np.int16) if block is None else block for block in blocks])
    assert sound.dtype == np.int16
    assert 1000 < np.abs(sound.astype(int)).max() <= 1600
    assert np.abs(np.diff(sound.astype(int), axis=0)).max() < 300
    beginning = np.flatnonzero(sound[:, 0])[[0, -1]] / 48000 + 0.97
    assert beginning == pytest.approx([1.0, 1.1], abs=0.002)
