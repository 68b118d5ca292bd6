"""The application's own thread."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from streamer.frames import Picture
from streamer.input import Blur
from streamer.sound import Block
from streamer.source import Sound, VideoFormat
from streamer.stage_thread import StageThread
from tests.streamer.applications import Recorder
from tests.streamer.waiting import until

VIDEO = VideoFormat(64, 64, 100)
Stage = Callable[[Recorder], StageThread]


class Singer(Recorder):
    """Sounds as well: silence, or what it is told to."""

    def __init__(self, sound: Callable[[], object] = lambda: None, **hooks: Callable[..., object]) -> None:
        super().__init__(**hooks)
        self._sound = sound

    def audio(self, at_s: float, samples: int) -> Sound | None:
        self._note("audio", (at_s, samples))
        return self._sound()  # type: ignore[return-value]


class Heard:
    def __init__(self) -> None:
        self.sounds: list[Block] = []
        self.pictures: list[Picture] = []
        self.failures: list[tuple[str, bool]] = []


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def stage(heard: Heard) -> Iterator[Stage]:
    stages: list[StageThread] = []

    def make(application: Recorder) -> StageThread:
        made = StageThread(
            application,
            VIDEO,
            on_picture=heard.pictures.append,
            on_failure=lambda why, fatal: heard.failures.append((why, fatal)),
            on_sound=heard.sounds.append,
        )
        stages.append(made)
        made.run()
        made.start({}, None)  # type: ignore[arg-type]
        return made

    yield make
    for made in stages:
        made.close(5)
        assert not made._thread.is_alive()


async def test_frames_come_at_their_rate(stage: Stage, heard: Heard) -> None:
    made = stage(Recorder())
    made.watch(True)
    await until(lambda: len(heard.pictures) >= 21)
    times = [picture.at_s for picture in heard.pictures]
    assert 0.009 < (times[20] - times[0]) / 20 < 0.1, "no faster; how much slower is the machine's affair"


async def test_events_do_not_grow_old_behind_slow_frames(stage: Stage, heard: Heard) -> None:
    application = Recorder(render=lambda: time.sleep(0.03))
    made = stage(application)
    made.watch(True)
    await until(lambda: heard.pictures)
    for seq in range(100):
        made.hear(Blur(seq))
    await until(lambda: len(application.of("on_input")) == 100)
    names = [name for name, _ in application.calls]
    first, last = names.index("on_input"), len(names) - 1 - names[::-1].index("on_input")
    assert names[first:last].count("render") <= 3
    assert application.of("on_input") == [Blur(seq) for seq in range(100)]


async def test_events_beyond_the_bound_are_dropped_but_never_orders(stage: Stage) -> None:
    go_on, stopped = threading.Event(), threading.Event()
    application = Recorder(on_message=lambda: go_on.wait(5))
    made = stage(application)
    made.tell("block", {})
    await until(lambda: application.of("on_message"))
    for seq in range(1500):
        made.hear(Blur(seq))
    made.stop(stopped.set)
    go_on.set()
    await until(stopped.is_set)
    assert len(application.of("on_input")) == 1024
    assert made.events_dropped == 1500 - 1024
    assert application.calls[-1][0] == "stop"


async def test_picture_tells_how_it_came_about_and_which_input_it_shows(stage: Stage, heard: Heard) -> None:
    made = stage(Recorder(render=lambda: time.sleep(0.005)))
    made.watch(True)
    await until(lambda: heard.pictures)
    for seq, viewer in ((7, "one"), (5, "one"), (3, "other")):
        made.hear(Blur(seq), viewer)
    await until(lambda: heard.pictures[-1].drawing.inputs == {"one": 7, "other": 3})
    made.forget("one")
    await until(lambda: heard.pictures[-1].drawing.inputs == {"other": 3})
    first = heard.pictures[0]
    assert first.drawing.inputs == {}
    assert (first.number, first.asked, first.repeated) == (1, VIDEO, False)
    assert 5 <= first.drawing.render_ms < 1000
    assert 0 < first.drawing.convert_ms < 1000
    assert first.drawing.began_at == pytest.approx(time.time(), abs=30)
    assert first.taken_at == pytest.approx(time.monotonic(), abs=30)


async def test_picture_that_stays_is_sent_now_and_then_and_says_so(stage: Stage, heard: Heard) -> None:
    shown = iter([np.zeros((64, 64, 3), dtype=np.uint8)])
    made = stage(Recorder(picture=lambda video: next(shown, None)))
    made.watch(True)
    await until(lambda: heard.pictures and heard.pictures[-1].at_s > heard.pictures[0].at_s + 1.2)
    ages = [picture.at_s - heard.pictures[0].at_s for picture in heard.pictures]
    assert len([age for age in ages if age < 0.4]) > 15, "it was not sharpened"
    assert len([age for age in ages if 0.6 < age <= 1.2]) <= 4
    assert [picture.repeated for picture in heard.pictures] == [False] + [True] * (len(ages) - 1)
    assert {picture.number for picture in heard.pictures} == {1}
    assert all(picture.planes is heard.pictures[0].planes for picture in heard.pictures)


async def test_sound_is_asked_for_without_gaps_while_somebody_listens(stage: Stage, heard: Heard) -> None:
    application = Singer(render=lambda: time.sleep(0.045))
    made = stage(application)
    made.watch(True)
    await until(lambda: len(heard.pictures) > 2)
    assert heard.sounds == []
    made.listen(True)
    await until(lambda: len(heard.sounds) >= 20)
    made.listen(False)
    times = [block.at_s for block in heard.sounds[:20]]
    assert np.diff(times) == pytest.approx([0.02] * 19)
    asked = application.of("audio")[:20]
    assert asked == [(at_s, 960) for at_s in times]
    await until(lambda: len(heard.pictures) > 12)
    count = len(application.of("audio"))
    await until(lambda: len(heard.pictures) > 16)
    assert len(application.of("audio")) == count


async def test_sound_after_a_long_pause_begins_where_the_picture_is(stage: Stage, heard: Heard) -> None:
    pauses = iter([0.0] * 5 + [0.5])
    made = stage(Singer(render=lambda: time.sleep(next(pauses, 0.0))))
    made.listen(True)
    made.watch(True)
    await until(lambda: len(heard.sounds) >= 30)
    times = [block.at_s for block in heard.sounds]
    gaps = [gap for gap in np.diff(times) if gap > 0.1]
    assert len(gaps) == 1
    assert 0.3 < gaps[0] < 5


@pytest.mark.parametrize("sound", [lambda: "la", lambda: 1 / 0])
async def test_sound_that_fails_is_silence_and_told(stage: Stage, heard: Heard, sound: Callable[[], object]) -> None:
    made = stage(Singer(sound))
    made.listen(True)
    made.watch(True)
    await until(lambda: len(heard.sounds) > 3 and heard.pictures)
    assert all(block.sound is None for block in heard.sounds)
    assert len(heard.failures) == 1
    assert not heard.failures[0][1]


async def test_resize_reaches_the_next_frame(stage: Stage, heard: Heard) -> None:
    made = stage(Recorder())
    made.watch(True)
    made.resize(VideoFormat(128, 96, 100))
    await until(lambda: heard.pictures and heard.pictures[-1].planes.shape == (144, 128))


async def test_stop_that_fails_is_done_all_the_same(stage: Stage, heard: Heard) -> None:
    def fail() -> None:
        raise KeyError("x")

    stopped = threading.Event()
    made = stage(Recorder(stop=fail))
    made.stop(stopped.set)
    await until(stopped.is_set)
    await until(lambda: heard.failures == [("KeyError: 'x'", False)])


def test_application_that_never_returns_is_left_behind() -> None:
    hang = threading.Event()
    made = StageThread(
        Recorder(start=lambda: hang.wait(10)), VIDEO, on_picture=lambda _: None, on_failure=lambda *_: None
    )
    made.run()
    made.start({}, None)  # type: ignore[arg-type]
    began = time.monotonic()
    made.close(0.1)
    assert time.monotonic() - began < 2
    hang.set()
