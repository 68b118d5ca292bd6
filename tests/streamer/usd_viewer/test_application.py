"""The USD viewer as a session sees it: it starts, opens, refuses, moves, answers and stops."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from aiohttp import web

from streamer.input import Key
from streamer.settings import BadSettings
from streamer.source import JsonObject
from streamer.usd_viewer.application import UsdViewer
from streamer.usd_viewer.fetcher import Network
from streamer.usd_viewer.quality import SETTLE_S
from streamer.usd_viewer.session import CAPTION_S
from streamer.usd_viewer.settings import UsdSettings
from streamer.usd_viewer.web_policy import Origin, WebPolicy
from tests.streamer.usd_viewer.stages import HEADER, mesh, world
from tests.streamer.usd_viewer.test_stage_reader import MOVING, with_range
from tests.streamer.usd_viewer.viewing import NONE, VIDEO, Outbox, Session
from tests.streamer.usd_viewer.web_server import Names, Server, admit_loopback


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    (tmp_path / "box.usda").write_text(world('def Cube "C" { color3f[] primvars:displayColor = [(1, 0, 0)] }'))
    (tmp_path / "moving.usda").write_text(with_range(world(MOVING)))
    (tmp_path / "empty.usda").write_text(HEADER)
    (tmp_path / "partly.usda").write_text(world(mesh() + 'def Volume "V" { }'))
    (tmp_path / "broken.usda").write_text("#usda 1.0\nnonsense")
    made = Session(tmp_path)
    yield made
    made.viewer.stop()
    assert psutil.Process().children() == []


def test_a_picture_is_there_before_the_stage_is(session: Session) -> None:
    session.start("box.usda")
    frame = session.step()
    assert frame is not None
    assert frame.shape == (120, 160, 3)
    assert session.results(1) == [{"result": "success", "url": "box.usda", "error": ""}]


def test_a_still_scene_is_drawn_once(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    session.settled()
    assert [session.step() for _ in range(5)] == [None] * 5


def test_dragging_changes_the_picture_and_it_comes_to_rest_again(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    before = session.settled()
    session.drag()
    moving = session.step()
    assert moving is not None
    assert (moving != before).mean() > 0.05
    assert session.step(SETTLE_S * 2) is not None
    assert session.step() is None


def test_reset_goes_back_to_the_first_picture(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    before = session.settled()
    session.drag()
    session.settled()
    session.viewer.on_message("resetStage", {})
    assert (session.settled() == before).all()


def test_without_an_argument_the_sample_is_opened(session: Session) -> None:
    session.start(None)
    assert session.results(1)[0]["result"] == "success"
    assert np.ptp(session.settled(), axis=(0, 1)).min() > 100


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("gone.usda", "no stage"),
        ("../secret.usda", "not a path relative"),
        ("/etc/passwd.usda", "not a path relative"),
        ("http://127.0.0.1/a.usda", "URI"),
        ("broken.usda", "broken"),
        ("", "not a path of"),
    ],
)
def test_a_stage_that_cannot_be_opened_is_told_and_shown(session: Session, uri: str, told: str) -> None:
    session.start(uri)
    (result,) = session.results(1)
    assert (result["result"], result["url"]) == ("error", uri)
    assert told in str(result["error"])
    (notice,) = session.outbox.of("notice")
    assert notice["level"] == "error"
    assert told in str(notice["message"])
    written = session.settled()
    session.viewer.on_message("openStageRequest", {"url": "box.usda"})
    assert session.results(2)[1]["result"] == "success"
    assert (session.settled() != written).any()


def test_a_refusal_leaves_the_present_stage_and_its_message_goes_away(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    before = session.settled()
    session.viewer.on_message("openStageRequest", {"url": "../../etc/passwd"})
    assert session.results(2)[1]["result"] == "error"
    assert (session.settled() != before).any()
    session.step(CAPTION_S)
    assert (session.settled() == before).all()


@pytest.mark.parametrize("payload", [{}, {"url": None}, {"url": 7}, {"url": ["box.usda"]}])
def test_a_request_without_a_url_is_refused(session: Session, payload: JsonObject) -> None:
    session.start("box.usda")
    session.results(1)
    session.viewer.on_message("openStageRequest", payload)
    assert session.results(2)[1]["result"] == "error"


def test_the_last_of_many_requests_is_what_is_opened(session: Session) -> None:
    session.start("box.usda")
    for _ in range(5):
        session.viewer.on_message("openStageRequest", {"url": "box.usda"})
    session.viewer.on_message("openStageRequest", {"url": "partly.usda"})
    assert [result["url"] for result in session.results(1)] == ["partly.usda"]


def test_the_loading_state_is_answered(session: Session) -> None:
    session.start("box.usda")
    session.viewer.on_message("loadingStateQuery", {})
    session.results(1)
    session.viewer.on_message("loadingStateQuery", {})
    assert session.outbox.of("loadingStateResponse") == [
        {"loading_state": "busy", "url": "box.usda"},
        {"loading_state": "idle", "url": "box.usda"},
    ]


def test_what_is_not_drawn_is_told(session: Session) -> None:
    session.start("partly.usda")
    session.results(1)
    (notice,) = session.outbox.of("notice")
    assert notice["level"] == "warning"
    assert "prims of type Volume: /World/V" in str(notice["message"])


def test_an_empty_stage_says_so(session: Session) -> None:
    session.start("empty.usda")
    assert session.results(1)[0]["result"] == "success"
    assert session.settled()[50:70].std() > 5


def test_animation_plays_and_space_stops_it(session: Session) -> None:
    session.start("moving.usda")
    session.results(1)
    session.settled()
    assert sum(session.step(1 / 24) is not None for _ in range(6)) >= 5
    session.viewer.on_input(Key(True, "Space", " ", False, NONE, 9))
    session.settled()
    assert [session.step(1 / 24) for _ in range(5)] == [None] * 5
    session.viewer.on_input(Key(True, "Space", " ", False, NONE, 10))
    assert sum(session.step(1 / 24) is not None for _ in range(6)) >= 5


def test_messages_of_others_are_ignored(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    session.viewer.on_message("somethingElse\n" * 100, {"a": 1})
    assert len(session.outbox.of("openedStageResult")) == 1


def test_a_session_can_end_while_its_stage_is_loading(session: Session) -> None:
    session.start("box.usda")
    session.viewer.stop()
    assert session.viewer.render(VIDEO, 1.0) is None
    session.viewer.stop()


def test_one_session_follows_another_and_starts_afresh(session: Session) -> None:
    session.start("box.usda")
    session.results(1)
    first = session.settled()
    session.drag()
    session.viewer.stop()
    session.outbox.sent.clear()
    session.start("box.usda")
    session.results(1)
    assert (session.settled() == first).all()


@pytest.fixture
def web_stage(tmp_path: Path) -> Iterator[tuple[Server, Session]]:
    """A session that may fetch stages from a server of the test's."""
    server = Server()
    network = Network(resolver=lambda: Names({"assets.example": ["127.0.0.1"]}), admits=admit_loopback)
    web = WebPolicy((Origin("http", "assets.example", server.port),))
    session = Session(tmp_path, web=web, network=network)
    yield server, session
    session.viewer.stop()
    server.close()


def test_a_stage_is_opened_from_the_web_and_nothing_of_it_stays(
    web_stage: tuple[Server, Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, session = web_stage
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    server.answers["/box.usda"] = lambda request: web.Response(text=world(mesh()))
    url = f"http://assets.example:{server.port}/box.usda?signature=secret"
    session.start(url)
    assert session.results(1) == [{"result": "success", "url": url, "error": ""}]
    assert any("MiB fetched" in str(told["text"]) for told in session.outbox.of("updateProgressActivity"))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("/a.usda", "#usda 1.0\n(\n    subLayers = [@./b.usda@]\n)\n", "pack it as .usdz"),
        ("/a.usda", "#usda 1.0\n(\n    subLayers = [@/etc/passwd@]\n)\n", "outside"),
        ("/a.usda", "<html>Please sign in</html>", "broken"),
        ("/a.usdz", "<html>Please sign in</html>", "broke"),
        ("/gone.usda", None, "status 404"),
    ],
)
def test_what_the_web_may_not_bring_is_told(
    web_stage: tuple[Server, Session], path: str, content: str | None, told: str
) -> None:
    server, session = web_stage
    if content is not None:
        server.answers[path] = lambda request: web.Response(text=content)
    session.start(f"http://assets.example:{server.port}{path}?signature=secret")
    (result,) = session.results(1)
    assert told in str(result["error"])
    assert "secret" not in str(result["error"]) + str(session.outbox.of("notice"))


def test_a_session_can_end_while_its_stage_is_fetched(web_stage: tuple[Server, Session]) -> None:
    server, session = web_stage

    async def hang(request: web.Request) -> AsyncIterator[bytes]:
        yield b"#usda 1.0\n"
        await asyncio.sleep(60)

    server.answers["/hang.usda"] = lambda request: hang(request)
    session.start(f"http://assets.example:{server.port}/hang.usda")
    deadline = time.monotonic() + 5
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = time.monotonic()
    session.viewer.stop()
    assert time.monotonic() - begun < 1.5


def test_before_a_session_nothing_happens(tmp_path: Path) -> None:
    viewer = UsdViewer(UsdSettings(tmp_path))
    assert viewer.render(VIDEO, 0.0) is None
    viewer.on_input(Key(True, "KeyF", "f", False, NONE, 1))
    viewer.on_message("resetStage", {})
    viewer.stop()


def test_a_wrong_setting_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELFERRY_USD_LOAD_S", "soon")
    with pytest.raises(BadSettings, match="PIXELFERRY_USD_LOAD_S"):
        UsdViewer().start({}, Outbox())


def test_a_root_that_is_missing_is_told(tmp_path: Path) -> None:
    session = Session(tmp_path / "gone")
    session.start("box.usda")
    assert "PIXELFERRY_USD_ROOT" in str(session.results(1)[0]["error"])
    session.viewer.stop()
