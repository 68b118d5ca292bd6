"""Whom events are told to, and what a stream of them may hold and for how long."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from broker.api.answers import answer_to
from broker.api.auth import PRINCIPAL
from broker.api.events import EventsApi
from broker.core.events import queue_event
from broker.core.principal import Principal
from broker.errors import BrokerError
from broker.events import Events
from broker.sessions import Sessions
from broker.stores.memory import MemoryStore
from signaling.table import MemoryRouteTable
from tests.broker.api.event_reader import EventReader
from tests.broker.samples import ADMIN, ME, YOU, make_session, session_id
from tests.broker.waiting import eventually

PRINCIPALS = {principal.name: principal for principal in (ME, YOU, ADMIN)}


@dataclass
class Served:
    store: MemoryStore
    api: EventsApi
    http: aiohttp.ClientSession
    port: int

    @asynccontextmanager
    async def listening(self, by: Principal, path: str = "/events", **headers: str) -> AsyncIterator[EventReader]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.get(url, headers={"Who": by.name, **headers}) as response:
            assert response.status == 200, await response.text()
            yield EventReader(response)

    async def status(self, by: Principal, path: str) -> int:
        async with self.http.get(f"http://127.0.0.1:{self.port}{path}", headers={"Who": by.name}) as response:
            return response.status


@asynccontextmanager
async def serving(*, most: int = 8, longest_s: float = 60, send_s: float = 20) -> AsyncIterator[Served]:
    """The events alone, each request by whom it says."""
    store = MemoryStore()
    api = EventsApi(
        Events(Sessions(store, MemoryRouteTable()), store),
        mounts=("/stream",),
        most=most,
        longest_s=longest_s,
        send_s=send_s,
    )

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[PRINCIPAL] = PRINCIPALS[request.headers["Who"]]
        try:
            return await handler(request)
        except BrokerError as error:
            return answer_to(error)

    application = web.Application(middlewares=[identify])
    application.add_routes(api.routes())
    application.on_shutdown.append(api.stop)
    async with TestServer(application, host="127.0.0.1") as server, aiohttp.ClientSession() as http:
        assert server.port is not None
        yield Served(store, api, http, server.port)


async def test_users_hear_of_their_own_sessions_and_admins_of_all() -> None:
    async with serving() as served, AsyncExitStack() as stack:
        await served.store.write(replace(make_session(), owner="me"))
        readers = {who: await stack.enter_async_context(served.listening(who)) for who in (ME, YOU, ADMIN)}
        counts = {who.name: (await reader.take(1))[0].data["sessions"] for who, reader in readers.items()}
        assert counts == {"me": 1, "you": 0, "root": 1}
        for reader in (readers[ME], readers[ADMIN]):
            assert (await reader.take(1))[0].data["owner"] == "me"
        mine = await served.store.write(replace(make_session(), id=session_id(1), owner="me", slot=None))
        yours = await served.store.write(replace(make_session(), id=session_id(2), owner="you", slot=None))
        heard = {who.name: [(await reader.take(1))[0].data["session_id"]] for who, reader in readers.items()}
        heard["root"].append((await readers[ADMIN].take(1))[0].data["session_id"])
    assert heard == {"me": [mine.id], "you": [yours.id], "root": [mine.id, yours.id]}


async def test_a_session_of_another_is_told_of_to_nobody() -> None:
    async with serving() as served:
        session = await served.store.write(replace(make_session(), owner="me"))
        path = f"/stream/{session.id}/events"
        assert await served.status(YOU, path) == 403
        async with served.listening(ADMIN, path) as reader:
            assert (await reader.take(1))[0].name == "state"


async def test_a_share_holds_a_bounded_number_of_streams_open_and_others_are_not_hindered() -> None:
    async with serving(most=2) as served, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(served.listening(ME))
        assert await served.status(ME, "/events") == 429
        await stack.enter_async_context(served.listening(YOU))
        assert served.api.open == 3
    await eventually(lambda: served.api.open == 0)


async def test_a_refused_stream_is_not_counted() -> None:
    async with serving(most=1) as served:
        for _ in range(3):
            assert await served.status(ME, f"/stream/{session_id(1)}/events") == 404
        assert served.api.open == 0


async def test_a_stream_ends_in_time_and_the_reader_comes_back_to_what_it_missed() -> None:
    async with serving(longest_s=0.05) as served:
        async with served.listening(ADMIN) as reader:
            reset, closing = await reader.rest()
        assert (closing.name, closing.data, closing.retry) == ("closing", {"reason": "renew"}, "1000")
        assert reset.id is not None
        await served.store.append([queue_event(make_session(), position=1, eta_s=None, at=1.0)])
        async with served.listening(ADMIN, **{"Last-Event-ID": reset.id}) as reader:
            assert [event.name for event in await reader.rest()] == ["queue", "closing"]


async def test_a_reader_that_falls_behind_is_told_to_come_back() -> None:
    async with serving() as served:
        async with served.listening(ADMIN) as reader:
            await reader.take(1)
            await served.store.append([queue_event(make_session(), position=1, eta_s=None, at=1.0)] * 5000)
            (closing,) = await reader.rest()
    assert (closing.name, closing.data) == ("closing", {"reason": "too_slow"})


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    async with serving(send_s=0.2) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as deaf:
            deaf.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\nWho: root\r\n\r\n")
            await eventually(lambda: served.api.open == 1)
            async with asyncio.timeout(20):
                while served.api.open:
                    await served.store.append([queue_event(make_session(), position=1, eta_s=None, at=1.0)] * 500)
                    await asyncio.sleep(0.01)
