"""The control client before backends that answer as they should not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from broker.core.slot import Activity
from broker.errors import BackendFailed
from broker.providers.base import Activation
from broker.providers.control import ControlClient, NoAnswer, Occupancy, Readiness
from tests.broker.samples import SESSION_ID

TOKEN = "control-token"


class Answers:
    """What the backend says to every call, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.text = "{}"
        self.asked: list[tuple[str, str, str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(
            (request.method, request.path_qs, request.headers.get("Authorization", ""), await request.text())
        )
        headers = {"Location": "/v1/elsewhere"} if self.status == 302 else None
        return web.Response(status=self.status, text=self.text, headers=headers)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def client(answers: Answers) -> AsyncIterator[ControlClient]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answers.handle)
    async with TestServer(application, host="127.0.0.1") as server, aiohttp.ClientSession() as http:
        assert server.port is not None
        yield ControlClient(http, "127.0.0.1", server.port, TOKEN)


async def test_every_call_carries_the_token(client: ControlClient, answers: Answers) -> None:
    answers.text = '{"state": "idle", "protocol": 1}'
    assert await client.ready() == Occupancy(Readiness.IDLE, None)
    await client.put_session(Activation(SESSION_ID, {"a": "b"}, "hush"))
    await client.delete_session()
    assert [(method, path) for method, path, _, _ in answers.asked] == [
        ("GET", "/v1/ready"),
        ("PUT", "/v1/session"),
        ("DELETE", "/v1/session"),
    ]
    assert {token for _, _, token, _ in answers.asked} == {f"Bearer {TOKEN}"}
    assert (
        answers.asked[1][3] == f'{{"session_id": "{SESSION_ID}", "arguments": {{"a": "b"}}, "backend_secret": "hush"}}'
    )


@pytest.mark.parametrize("status", [302, 401, 404, 500, 503])
async def test_a_readiness_call_without_success_may_be_repeated(
    client: ControlClient, answers: Answers, status: int
) -> None:
    answers.status = status
    with pytest.raises(NoAnswer):
        await client.ready()
    assert len(answers.asked) == 1, "redirections are not followed"


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", '{"state": "idle"}', '{"state": "idle", "protocol": 2}', '{"state": 7, "protocol": 1}'],
)
async def test_a_readiness_call_answered_wrongly_is_a_failure(
    client: ControlClient, answers: Answers, text: str
) -> None:
    answers.text = text
    with pytest.raises(BackendFailed):
        await client.ready()


@pytest.mark.parametrize("status", [302, 401, 409, 422, 500])
async def test_a_refused_session_is_a_failure(client: ControlClient, answers: Answers, status: int) -> None:
    answers.status = status
    with pytest.raises(BackendFailed, match=str(status)):
        await client.put_session(Activation(SESSION_ID, {}, "hush"))


async def test_an_answer_without_end_is_not_read_to_its_end(client: ControlClient, answers: Answers) -> None:
    answers.text = " " * 100_000
    with pytest.raises(BackendFailed, match="65536"):
        await client.ready()


@pytest.mark.parametrize(
    ("status", "text", "activity"),
    [
        (200, '{"last_input_at": null}', Activity(None)),
        (200, '{"last_input_at": 5}', Activity(5)),
        (200, '{"last_input_at": "yesterday"}', None),
        (200, '{"last_input_at": true}', None),
        (200, '{"last_input_at": NaN}', None),
        (200, "{}", None),
        (404, '{"last_input_at": 5}', None),
    ],
)
async def test_activity_is_known_where_the_backend_tells_it(
    client: ControlClient, answers: Answers, status: int, text: str, activity: Activity | None
) -> None:
    answers.status, answers.text = status, text
    assert await client.activity() == activity


@pytest.mark.parametrize("status", [204, 404, 409])
async def test_a_notice_is_posted_once_whatever_becomes_of_it(
    client: ControlClient, answers: Answers, status: int
) -> None:
    answers.status, answers.text = status, ""
    await client.post_notice("warning", "Soon.")
    asked = ("POST", "/v1/notice", f"Bearer {TOKEN}", '{"level": "warning", "message": "Soon."}')
    assert answers.asked == [asked]


async def test_nobody_listening_is_no_answer() -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(NoAnswer):
            await ControlClient(http, "127.0.0.1", 1, TOKEN).ready()


async def test_a_backend_says_whose_it_is(client: ControlClient, answers: Answers) -> None:
    answers.text = '{"state": "claimed", "protocol": 1, "session_id": "session-1"}'
    assert await client.ready() == Occupancy(Readiness.CLAIMED, "session-1")
    answers.text = '{"state": "claimed", "protocol": 1, "session_id": 7}'
    assert await client.ready() == Occupancy(Readiness.CLAIMED, None)


async def test_a_session_may_be_named_that_is_to_end(client: ControlClient, answers: Answers) -> None:
    await client.delete_session("a&b")
    assert [(method, path) for method, path, _, _ in answers.asked] == [("DELETE", "/v1/session?session_id=a%26b")]
