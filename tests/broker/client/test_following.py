"""Following a session where events break off, or are not there at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from broker.client.api import Api, Heard, calling
from broker.client.errors import Missing, Refused
from broker.client.following import follow

ID = "8d5f4c2e-1f0a-4a5b-9c3d-000000000007"


def stream(condition: str, phase: str | None = None, **more: object) -> dict[str, object]:
    status = {"condition": condition, "message": f"it is {phase or condition}", "status": condition == "ready"}
    return {"id": ID, "status": status, "phase": phase, **more}


@asynccontextmanager
async def broker(*routes: web.RouteDef) -> AsyncIterator[Api]:
    """A broker of few words."""
    application = web.Application()
    application.add_routes(routes)
    async with TestServer(application, host="127.0.0.1") as server, calling(str(server.make_url("/")), None) as api:
        yield api


async def heard_from(api: Api, session_id: str | None = ID) -> list[Heard]:
    async with asyncio.timeout(20), aclosing(follow(api, session_id)) as events:
        return [heard async for heard in events]


def answers(*bodies: dict[str, object]) -> Callable[[web.Request], object]:
    """Each answer once, the last one for ever."""
    left = list(bodies)

    async def answer(request: web.Request) -> web.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(body, status=410 if body.get("end_reason") else 202)

    return answer


def sse(*texts: str) -> web.Response:
    return web.Response(text="".join(texts), headers={"Content-Type": "text/event-stream"})


async def test_where_there_are_no_events_states_are_asked_for_and_told_once_each() -> None:
    bodies = [
        stream("pending", "starting"),
        stream("pending", "starting"),
        stream("pending", "starting"),
        stream("failed", end_reason="idle"),
    ]
    async with broker(web.get("/stream/{id}", answers(*bodies))) as api:  # type: ignore[arg-type]
        heard = await heard_from(api)
    assert [(event.name, event.data["message"]) for event in heard] == [
        ("state", "it is starting"),
        ("ended", "it is failed"),
    ]


async def test_a_stream_that_breaks_off_is_taken_up_where_it_was_left() -> None:
    asked: list[str | None] = []

    async def events(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 1:
            return sse('id: 7\nevent: state\ndata: {"state": "ready"}\n\n', ": half an ev")
        return sse('id: 9\nevent: ended\ndata: {"end_reason": "deleted"}\n\n')

    async with broker(web.get("/stream/{id}/events", events)) as api:
        heard = await heard_from(api)
    assert [event.name for event in heard] == ["state", "ended"]
    assert asked == [None, "7"]


async def test_a_session_that_is_not_there_is_told_at_once() -> None:
    async def gone(request: web.Request) -> web.Response:
        return web.json_response({"detail": "There is no session."}, status=404)

    async with broker(web.get("/stream/{id}/events", gone), web.get("/stream/{id}", gone)) as api:
        with pytest.raises(Missing, match="There is no session"):
            await heard_from(api)


async def test_who_may_not_is_told_what_to_give() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"detail": "Who are you?"}, status=401)

    async with broker(web.get("/events", refuse), web.get("/stream", refuse)) as api:
        with pytest.raises(Refused, match=r"Who are you\? Give --token"):
            await heard_from(api, None)
