"""The control port: claim, release, status."""

import asyncio
import threading

import pytest

from streamer.test_pattern import TestPattern
from tests.streamer.applications import Recorder
from tests.streamer.client import SESSION, close_code, watching
from tests.streamer.conftest import TOKEN, OpenServer
from tests.streamer.control import CLAIM, ask, claim, status
from tests.streamer.waiting import until

READY = {"state": "idle", "protocol": 1}
CLAIMED = {"state": "claimed", "protocol": 1, "session_id": "session-1"}


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer ", "Bearer wrong", f"bearer {TOKEN}", f"Bearer {TOKEN} ", f"Bearer {TOKEN}\u00e9"],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/ready"), ("PUT", "/v1/session"), ("POST", "/v1/notice"), ("GET", "/nothing")]
)
async def test_nothing_is_said_without_the_token(
    open_server: OpenServer, method: str, path: str, authorization: str | None
) -> None:
    application = Recorder()
    server = await open_server(application)
    headers = {} if authorization is None else {"Authorization": authorization}
    code, body = await ask(server, method, path, CLAIM if method == "PUT" else None, headers=headers)
    if authorization == f"Bearer {TOKEN} ":  # trailing blanks are no part of a header's value
        assert code != 401
    else:
        assert (code, body) == (401, {"detail": "Unauthorized"})
        assert await ask(server, "GET", "/v1/ready") == (200, READY)


async def test_claim_is_idempotent_and_excludes_others(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    assert await ask(server, "GET", "/v1/ready") == (200, READY)
    assert await ask(server, "PUT", "/v1/session", CLAIM) == (200, CLAIMED)
    assert await claim(server) == 200
    assert await claim(server, session_id="session-2") == 409
    assert await ask(server, "GET", "/v1/ready") == (200, CLAIMED)
    await until(lambda: application.of("start"))
    assert application.of("start") == [{"stage": "a.usda"}]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 60000,
        b"\xff\xfe",
        b"[]",
        b"{}",
        CLAIM | {"session_id": 1},
        CLAIM | {"session_id": ""},
        CLAIM | {"backend_secret": None},
        CLAIM | {"arguments": {"a": 1}},
        CLAIM | {"arguments": []},
    ],
)
async def test_malformed_claim_changes_nothing(open_server: OpenServer, body: object) -> None:
    server = await open_server(TestPattern())
    code, detail = await ask(server, "PUT", "/v1/session", body)
    assert code == 422
    assert isinstance(detail, dict)
    assert "must be" in detail["detail"]
    assert await ask(server, "GET", "/v1/ready") == (200, READY)


async def test_huge_claim_is_refused(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    assert (await ask(server, "PUT", "/v1/session", b"x" * 70000))[0] == 413


async def test_release_ends_viewers_and_the_next_session_starts_clean(open_server: OpenServer) -> None:
    application = TestPattern()
    server = await open_server(application)
    await claim(server)
    async with watching(server, video={"width": 160, "height": 90}) as client:
        await client.frame()
        await client.send(client.messages, {"type": "input", "event": "blur", "seq": 1})
        await client.hear("inputEcho")
        assert (await ask(server, "DELETE", "/v1/session"))[0] == 204
        assert await close_code(client.socket) == 4001
    assert await ask(server, "GET", "/v1/ready") == (200, READY)
    assert (await ask(server, "DELETE", "/v1/session"))[0] == 204
    assert await claim(server, session_id="session-2", backend_secret="another") == 200
    assert await status(server) == {
        "last_input_at": None,
        "viewers": [],
        "frames_sent": 0,
        "encodings": 0,
        "events_dropped": 0,
    }
    async with watching(server, session="session-2", backend_secret="another") as client:
        assert (await client.stamp()).frame < 10
        assert (await client.frame()).shape == (180, 320, 3)


async def test_a_release_that_names_another_session_ends_nothing(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    assert (await ask(server, "DELETE", "/v1/session?session_id=session-2"))[0] == 409
    assert await ask(server, "GET", "/v1/ready") == (200, CLAIMED)
    assert (await ask(server, "DELETE", "/v1/session?session_id=session-1"))[0] == 204
    assert (await ask(server, "DELETE", "/v1/session?session_id=session-1"))[0] == 204, "it may be repeated"
    assert await ask(server, "GET", "/v1/ready") == (200, READY)


async def test_a_notice_reaches_the_viewers_who_are_there_and_nobody_who_comes_later(open_server: OpenServer) -> None:
    server = await open_server(TestPattern())
    notice = {"level": "warning", "message": "The session ends in 60 s."}
    assert (await ask(server, "POST", "/v1/notice", notice))[0] == 409, "there is no session yet"
    await claim(server)
    assert (await ask(server, "POST", "/v1/notice", notice | {"message": "Too early."}))[0] == 204
    async with watching(server, video={"width": 160, "height": 90}) as client:
        await client.frame()
        await client.send(client.messages, {"type": "input", "event": "blur", "seq": 1})
        await client.hear("inputEcho")
        assert await ask(server, "POST", "/v1/notice", notice) == (204, None)
        assert await client.hear("notice") == notice


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {},
        {"level": "warning"},
        {"message": "a"},
        {"level": "fatal", "message": "a"},
        {"level": ["warning"], "message": "a"},
        {"level": "warning", "message": " "},
        {"level": "warning", "message": 1},
        {"level": "warning", "message": "x" * 1001},
    ],
)
async def test_malformed_notice_is_told_to_nobody(open_server: OpenServer, body: object) -> None:
    server = await open_server(TestPattern())
    await claim(server)
    code, detail = await ask(server, "POST", "/v1/notice", body)
    assert code == 422
    assert isinstance(detail, dict) and "must be" in detail["detail"]


async def test_old_outbox_reaches_nobody_in_the_next_session(open_server: OpenServer) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    await until(lambda: application.outbox)
    old = application.outbox
    assert old is not None
    await ask(server, "DELETE", "/v1/session")
    old.send("stale", {})
    await claim(server, session_id="session-2")
    old.send("stale", {})
    await until(lambda: application.outbox is not old)
    assert application.outbox is not None
    application.outbox.send("fresh", {})
    async with watching(server, session="session-2") as client:
        await client.hear("fresh")
        later = [client.heard.get_nowait()["event_type"] for _ in range(client.heard.qsize())]
        assert set(later) <= {"videoDelivered"}


@pytest.mark.parametrize("payload", [{"x": float("nan")}, {"x": object()}, {"x": "y" * 70000}])
async def test_message_that_cannot_be_sent_is_the_senders_error(open_server: OpenServer, payload: object) -> None:
    application = Recorder()
    server = await open_server(application)
    await claim(server)
    await until(lambda: application.outbox)
    assert application.outbox is not None
    with pytest.raises((ValueError, TypeError)):
        application.outbox.send("bad", payload)  # type: ignore[arg-type]


async def test_application_that_does_not_stop_ends_the_process(open_server: OpenServer) -> None:
    hang = threading.Event()
    server = await open_server(Recorder(stop=lambda: hang.wait(20)))
    await claim(server)
    release = asyncio.create_task(ask(server, "DELETE", "/v1/session"))
    await until(lambda: server.viewers == 0)
    assert await claim(server) in (200, 409)
    assert (await release)[0] == 204
    assert "did not stop" in await server.wait()
    assert await claim(server, session_id="session-2") == 409
    assert await claim(server, session_id=SESSION) == 409
    hang.set()
