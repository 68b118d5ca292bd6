"""The application's own thread."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from streamer.frames import Picture
from streamer.input import Blur
from streamer.source import VideoFormat
from streamer.stage_thread import StageThread
from tests.streamer.applications import Recorder
from tests.streamer.waiting import until

VIDEO = VideoFormat(64, 64, 100)
Stage = Callable[[Recorder], StageThread]


class Heard:
    def __init__(self) -> None:
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
    assert (times[20] - times[0]) / 20 == pytest.approx(0.01, abs=0.004)


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
