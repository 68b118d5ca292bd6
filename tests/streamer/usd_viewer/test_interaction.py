"""What viewers click, press and ask for, and what they are told of it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamer.input import Modifiers
from streamer.usd_viewer.conversation import MAX_UNANSWERED
from streamer.usd_viewer.openings import PACE_S
from streamer.usd_viewer.quality import SETTLE_S
from tests.streamer.usd_viewer.stages import world
from tests.streamer.usd_viewer.test_stage_reader import MOVING, with_range
from tests.streamer.usd_viewer.viewing import Session

CUBE = """def Cube "{name}" {{
    color3f[] primvars:displayColor = [({color})]
    double3 xformOp:translate = ({x}, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}}
"""
LEFT, RIGHT, BESIDE = (0.3, 0.5), (0.7, 0.5), (0.02, 0.02)
NOTHING: dict[str, object] = {"result": "success", "error": ""}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    pair = CUBE.format(name="Red", color="1, 0, 0", x=-2) + CUBE.format(name="Blue", color="0, 0, 1", x=2)
    (tmp_path / "pair.usda").write_text(world(f'def Xform "Pair" {{ {pair} }}'))
    (tmp_path / "moving.usda").write_text(with_range(world(MOVING)))
    (tmp_path / "empty.usda").write_text("#usda 1.0\n")
    made = Session(tmp_path)
    yield made
    made.viewer.stop()
    assert psutil.Process().children() == []


@pytest.fixture
def pair(session: Session) -> Session:
    session.start("pair.usda")
    session.results(1)
    session.settled()
    return session


def test_a_click_selects_outlines_and_tells(pair: Session) -> None:
    before = pair.settled()
    pair.click(*LEFT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair/Red"]}
    assert (pair.settled() != before).any()
    pair.click(*RIGHT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair/Blue"]}
    pair.click(*BESIDE)
    assert pair.told("stageSelectionChanged") == {"prims": []}
    assert (pair.settled() == before).all()


def test_a_click_with_shift_adds(pair: Session) -> None:
    pair.click(*LEFT)
    pair.click(*RIGHT, Modifiers.SHIFT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair/Red", "/World/Pair/Blue"]}


def test_a_drag_selects_nothing(pair: Session) -> None:
    pair.drag()
    pair.step()
    assert pair.outbox.of("stageSelectionChanged") == []


def test_a_click_before_anything_is_drawn_is_forgotten(session: Session) -> None:
    session.start("pair.usda")
    session.click(*LEFT)
    session.results(1)
    session.settled()
    assert session.outbox.of("stageSelectionChanged") == []


def test_escape_clears_the_selection(pair: Session) -> None:
    pair.click(*LEFT)
    pair.press("Escape")
    assert pair.told("stageSelectionChanged") == {"prims": []}
    pair.press("Escape")
    assert len(pair.outbox.of("stageSelectionChanged")) == 2


def test_a_pages_own_selection_is_outlined_and_not_told_back(pair: Session) -> None:
    before = pair.settled()
    pair.tell("selectPrimsRequest", paths=["/World/Pair/Red", "/World/Gone"])
    assert (pair.settled() != before).any()
    pair.tell("selectPrimsRequest", paths=[])
    assert (pair.settled() == before).all()
    assert pair.outbox.of("stageSelectionChanged") == []


def test_what_is_pickable_can_be_chosen(pair: Session) -> None:
    pair.tell("makePrimsPickable", paths=["/World/Pair"])
    assert pair.told("makePrimsPickableResponse") == NOTHING
    pair.click(*LEFT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair"]}
    pair.tell("makePrimsPickable", paths=["/World/Pair/Blue"])
    pair.click(*RIGHT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair/Blue"]}


def test_another_stage_begins_without_selection_and_with_all_pickable(pair: Session) -> None:
    before = pair.settled()
    pair.tell("makePrimsPickable", paths=["/World/Pair"])
    pair.click(*LEFT)
    pair.step(PACE_S)
    pair.tell("openStageRequest", url="pair.usda")
    pair.results(2)
    assert (pair.settled() == before).all()
    pair.click(*LEFT)
    assert pair.told("stageSelectionChanged") == {"prims": ["/World/Pair/Red"]}


def test_children_are_answered(pair: Session) -> None:
    pair.tell("getChildrenRequest", prim_path="/World", filters=["USDGeom"])
    assert pair.told("getChildrenResponse") == {
        "prim_path": "/World",
        "children": [{"name": "Pair", "path": "/World/Pair", "children": {}}],
    }
    pair.tell("getChildrenRequest", prim_path="/World/Pair")
    assert pair.told("getChildrenResponse")["children"] == [
        {"name": "Red", "path": "/World/Pair/Red"},
        {"name": "Blue", "path": "/World/Pair/Blue"},
    ]


def test_before_a_stage_there_are_no_children(session: Session) -> None:
    session.start("pair.usda")
    session.tell("getChildrenRequest", prim_path="/World", filters=[])
    assert session.told("getChildrenResponse") == {"prim_path": "/World", "children": []}


def test_questions_beyond_the_bound_are_dropped_and_counted(pair: Session, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(MAX_UNANSWERED + 50):
        pair.viewer.on_message("getChildrenRequest", {"prim_path": "/World"})
    for _ in range(MAX_UNANSWERED):
        pair.step()
    assert len(pair.outbox.of("getChildrenResponse")) == MAX_UNANSWERED
    pair.viewer.on_message("selectPrimsRequest", {"paths": "/World"})
    pair.viewer.on_message("somethingElse", {})
    caplog.set_level("INFO")
    pair.viewer.stop()
    assert "50 flooding, 1 malformed, 1 of other applications" in caplog.text


def test_framing_shows_what_is_selected_and_then_all_again(pair: Session) -> None:
    pair.press("a")
    whole = pair.settled()
    pair.tell("selectPrimsRequest", paths=["/World/Pair/Red"])
    pair.press("f")
    pair.step()
    assert pair.told("framePrimsResponse") == NOTHING
    near = pair.settled()
    red = near[..., 0].astype(int) - near[..., 2]
    assert (red > 100).mean() > 2 * (whole[..., 0].astype(int) - whole[..., 2] > 100).mean()
    pair.tell("selectPrimsRequest", paths=[])
    pair.press("f")
    assert abs(pair.settled().astype(int) - whole).mean() < 1


def test_framing_by_message(pair: Session) -> None:
    before = pair.settled()
    pair.tell("framePrimsRequest", paths=["/World/Pair/Blue"])
    assert pair.told("framePrimsResponse") == NOTHING
    assert (pair.settled() != before).any()
    pair.tell("framePrimsRequest", paths=["/World/Gone"])
    assert pair.told("framePrimsResponse")["result"] == "error"
    pair.tell("framePrimsRequest", paths=[])
    assert pair.told("framePrimsResponse") == NOTHING


def test_the_turntable_turns_until_it_is_stopped(pair: Session) -> None:
    pair.settled()
    pair.press("t")
    assert pair.told("viewOptionsChanged") == {"turntable": True, "wireframe": False}
    assert all(pair.step() is not None for _ in range(5))
    pair.tell("viewOptionsRequest", turntable=False)
    assert pair.told("viewOptionsChanged") == {"turntable": False, "wireframe": False}
    pair.settled()
    assert [pair.step() for _ in range(5)] == [None] * 5


def test_wires_are_shown_and_hidden(pair: Session) -> None:
    before = pair.settled()
    pair.press("w")
    assert pair.told("viewOptionsChanged") == {"turntable": False, "wireframe": True}
    assert (pair.settled() != before).mean() > 0.02
    pair.tell("viewOptionsRequest", wireframe=False)
    assert (pair.settled() == before).all()
    pair.tell("viewOptionsRequest")
    assert pair.told("viewOptionsChanged") == {"turntable": False, "wireframe": False}


def test_reset_goes_back_to_the_beginning_and_is_answered(pair: Session) -> None:
    before = pair.settled()
    pair.drag()
    pair.settled()
    pair.tell("resetStage")
    assert pair.told("resetStageResponse") == NOTHING
    assert (pair.settled() == before).all()


def test_the_time_is_told_as_it_goes_by_and_can_be_set(session: Session) -> None:
    session.start("moving.usda")
    session.results(1)
    first = session.told("timelineChanged")
    assert (first["playing"], first["frame"]) == (True, 0)
    for _ in range(30):
        session.step()
    times = [told["time"] for told in session.outbox.of("timelineChanged")]
    assert 4 <= len(times) <= 7
    session.tell("timelineRequest", playing=False, time=0)
    assert (session.told("timelineChanged")["playing"], session.told("timelineChanged")["time"]) == (False, 0.0)
    start = session.settled()
    session.tell("timelineRequest", time=first["duration"])
    assert session.told("timelineChanged")["frame"] == int(str(first["frames"])) - 1
    assert (session.settled() != start).any()
    session.press(".")
    assert session.told("timelineChanged")["frame"] == 0
    assert (session.settled() == start).all()


def test_a_still_stage_tells_no_time_of_its_own_accord(pair: Session) -> None:
    for _ in range(30):
        pair.step()
    assert pair.outbox.of("timelineChanged") == []
    pair.tell("timelineRequest")
    assert pair.told("timelineChanged")["frames"] == 1


def test_progress_is_told_and_comes_to_its_end_before_the_result(session: Session) -> None:
    session.start("pair.usda")
    session.results(1)
    types = [event_type for event_type, _ in session.outbox.sent]
    assert types.index("updateProgressActivity") < types.index("openedStageResult")
    assert session.told("updateProgressAmount") == {"progress": 1.0}
    assert types.index("openedStageResult") == len(types) - 1


def test_a_flood_of_requests_opens_the_last_and_starts_few_processes(session: Session) -> None:
    session.start("pair.usda")
    started: set[int] = set()
    for number in range(100):
        session.tell("openStageRequest", url=f"gone{number}.usda")
        started.update(child.pid for child in psutil.Process().children())
    session.tell("openStageRequest", url="empty.usda")
    session.step(SETTLE_S)
    assert [result["url"] for result in session.results(1)] == ["empty.usda"]
    assert len(started) <= 100 / 30 / PACE_S + 2
