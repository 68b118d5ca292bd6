from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from signaling.errors import NameTaken, TableUnavailable
from signaling.relay import Relay
from signaling.routes import Admission, Endpoint, RelayInfo, Route, RouteError, RouteReport, RouteState
from signaling.settings import RelaySettings
from signaling.table import MemoryRouteTable, RouteTable
from signaling.tokens import AdmissionKey
from tests.signaling.admission_tokens import new_key, public, token_of
from tests.signaling.media_rig import BACKEND_HOST, RELAY_HOST, free_port, until

SETTINGS = RelaySettings(id="r1", close_timeout_s=1)


def is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind is socket.SOCK_STREAM:  # closed connections linger on the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((RELAY_HOST, port))
        except OSError:
            return False
        return True


def ports_are_free(route: Route) -> bool:
    return is_free(route.signaling_port, socket.SOCK_STREAM) and is_free(route.media_port, socket.SOCK_DGRAM)


def hold(stack: ExitStack, port: int, kind: socket.SocketKind) -> None:
    """Be the other process that has this port."""
    sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
    sock.bind((RELAY_HOST, port))
    if kind is socket.SOCK_STREAM:
        sock.listen()


def route(session_id: str = "s1", *, backend_port: int = 9) -> Route:
    backend = Endpoint(BACKEND_HOST, backend_port, 9)
    return Route(session_id, "r1", free_port(socket.SOCK_STREAM), free_port(), backend, "secret")


@asynccontextmanager
async def running(table: RouteTable, settings: RelaySettings = SETTINGS) -> AsyncIterator[Relay]:
    """A relay that runs while the block lasts, and is cancelled then."""
    relay = Relay(settings, table)
    task = asyncio.create_task(relay.run(), name="the relay")
    try:
        yield relay
    finally:
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


@asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """A signaling port of a backend that echoes."""

    async def echo(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async with serve(echo, BACKEND_HOST, 0) as server:
        yield int(next(iter(server.sockets)).getsockname()[1])


async def view(route: Route) -> ClientConnection:
    """A viewer's signaling through the relay, admitted by the session's id."""
    viewer = await connect(f"ws://{RELAY_HOST}:{route.signaling_port}/session/{route.session_id}", proxy=None)
    await viewer.send('{"type":"hello"}')
    assert await viewer.recv() == '{"type":"hello"}'
    return viewer


async def reported(table: RouteTable, session_id: str, state: RouteState) -> RouteReport:
    """The report of a session, once it says so."""
    async with asyncio.timeout(5):
        async for _ in table.changes():
            report = (await table.reports()).get(session_id)
            if report is not None and report.state is state:
                return report
    raise AssertionError("changes ended")


async def close_code(viewer: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(5):
            await viewer.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def test_published_route_becomes_active_with_both_ports_bound() -> None:
    table, wanted = MemoryRouteTable(), route()
    async with running(table):
        await table.publish(wanted)
        report = await reported(table, "s1", RouteState.ACTIVE)
        assert (report.signaling_port, report.media_port) == (wanted.signaling_port, wanted.media_port)
        assert not is_free(wanted.signaling_port, socket.SOCK_STREAM)
        assert not is_free(wanted.media_port, socket.SOCK_DGRAM)
    assert ports_are_free(wanted)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_taken_port_fails_its_route_and_no_other(kind: socket.SocketKind) -> None:
    table, blocked, other = MemoryRouteTable(), route(), route("s2")
    with ExitStack() as stack:
        hold(stack, blocked.signaling_port if kind is socket.SOCK_STREAM else blocked.media_port, kind)
        await table.publish(blocked)
        await table.publish(other)
        async with running(table):
            failed = await reported(table, "s1", RouteState.FAILED)
            assert failed.error is RouteError.PORT_TAKEN
            await reported(table, "s2", RouteState.ACTIVE)
            free = blocked.media_port if kind is socket.SOCK_STREAM else blocked.signaling_port
            assert is_free(free, socket.SOCK_DGRAM if kind is socket.SOCK_STREAM else socket.SOCK_STREAM)
            await table.publish(replace(blocked, signaling_port=free_port(socket.SOCK_STREAM), media_port=free_port()))
            await reported(table, "s1", RouteState.ACTIVE)


async def test_backend_without_a_way_to_it_fails_its_route() -> None:
    table, wanted = MemoryRouteTable(), route()
    async with running(table):
        await table.publish(replace(wanted, backend=Endpoint("255.255.255.255", 9, 9)))
        assert (await reported(table, "s1", RouteState.FAILED)).error is RouteError.BIND_REFUSED
        assert ports_are_free(wanted)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)


@pytest.mark.parametrize("steps", range(12))
async def test_relay_cancelled_at_any_moment_leaves_no_port_bound(steps: int) -> None:
    table, routes = MemoryRouteTable(), [route(f"s{number}") for number in range(3)]
    for one in routes:
        await table.publish(one)
    async with running(table):
        for _ in range(steps):
            await asyncio.sleep(0)
        await table.withdraw("s0")
    assert all(ports_are_free(one) for one in routes)
    assert await table.relays() == {}


async def test_withdrawn_route_tells_its_viewers_that_the_session_ended() -> None:
    table = MemoryRouteTable()
    async with backend() as port, running(table):
        wanted, other = route(backend_port=port), route("s2", backend_port=port)
        for one in (wanted, other):
            await table.publish(one)
            await reported(table, one.session_id, RouteState.ACTIVE)
        viewer, bystander = await view(wanted), await view(other)
        await table.withdraw("s1")
        assert await close_code(viewer) == 4001
        await until(lambda: ports_are_free(wanted))
        await bystander.send("still here")
        assert await bystander.recv() == "still here"
        await bystander.close()


async def test_moved_route_tells_its_viewers_to_come_again() -> None:
    table = MemoryRouteTable()
    async with backend() as port, running(table):
        old = route(backend_port=port)
        await table.publish(old)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(old)
        new = replace(old, signaling_port=free_port(socket.SOCK_STREAM))
        await table.publish(new)
        assert await close_code(viewer) == 1012
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(new)
        await viewer.close()


async def test_relay_that_ends_drains_its_viewers_and_retires() -> None:
    table = MemoryRouteTable()
    async with backend() as port:
        wanted = route(backend_port=port)
        await table.publish(wanted)
        async with running(table) as relay:
            await reported(table, "s1", RouteState.ACTIVE)
            assert await table.relays() == {"r1": relay.info}
            viewer = await view(wanted)
            leaving = asyncio.create_task(close_code(viewer))
        assert await leaving == 1012
        assert await table.relays() == {}
        assert ports_are_free(wanted)
        await relay.close()


async def test_draining_relay_says_so_at_once_and_serves_on() -> None:
    table = MemoryRouteTable()
    settings = SETTINGS.model_copy(update={"announce_s": 60.0})
    async with backend() as port, running(table, settings) as relay:
        wanted = route(backend_port=port)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer, drained = await view(wanted), asyncio.create_task(relay.drained())
        assert relay.causes == []
        relay.drain()
        async with asyncio.timeout(5):
            async for _ in table.changes():
                if (await table.relays())["r1"].draining:
                    break
        assert relay.causes == ["draining"]
        await viewer.send("still here")
        assert await viewer.recv() == "still here"
        assert not drained.done()
        await table.withdraw("s1")
        assert await close_code(viewer) == 4001
        async with asyncio.timeout(5):
            await drained


async def test_idle_relay_is_drained_at_once() -> None:
    async with running(MemoryRouteTable()) as relay, asyncio.timeout(5):
        relay.drain()
        await relay.drained()


async def test_viewers_of_a_session_that_moved_are_told_to_come_again_once_it_is_served_elsewhere() -> None:
    table = MemoryRouteTable()
    other = SETTINGS.model_copy(update={"id": "r2"})
    async with backend() as port, running(table):
        wanted = route(backend_port=port)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(wanted)
        moved = replace(route(backend_port=port), relay_id="r2")
        await table.publish(moved)
        await viewer.send("still here")
        assert await viewer.recv() == "still here"
        async with running(table, other):
            assert await close_code(viewer) == 1012
            assert (await reported(table, "s1", RouteState.ACTIVE)).relay_id == "r2"
            viewer = await view(moved)
            await viewer.close()


class NamesakeTable(MemoryRouteTable):
    """A table where a relay elsewhere has this name."""

    named = True

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        if self.named:
            raise NameTaken(info.id, "192.0.2.1, ports 31000-31999")
        await super().announce(info)


async def test_a_relay_whose_name_another_has_serves_nothing_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    table, wanted = NamesakeTable(), route()
    await table.publish(wanted)
    async with running(table, SETTINGS.model_copy(update={"announce_s": 0.02})) as relay:
        await until(lambda: relay.causes)
        assert "another relay is announced as r1, at 192.0.2.1" in relay.causes[0]
        assert ports_are_free(wanted)
        table.named = False
        await reported(table, "s1", RouteState.ACTIVE)
        assert relay.causes == []
    assert sum("another relay is announced" in record.getMessage() for record in caplog.records) == 1


async def test_relay_tells_its_load_and_where_it_is_found() -> None:
    table = MemoryRouteTable()
    settings = SETTINGS.model_copy(
        update={"announce_s": 0.05, "advertised_host": "198.51.100.7", "advertised_ports": "41000-41999"}
    )
    async with running(table, settings):
        await table.publish(route())
        await reported(table, "s1", RouteState.ACTIVE)
        for _ in range(250):
            info = (await table.relays())["r1"]
            if info.load.sessions == 1:
                break
            await asyncio.sleep(0.02)
    assert info.load.sessions == 1
    assert (info.host, info.addresses, info.ports.lo) == ("198.51.100.7", ("198.51.100.7",), 41000)


async def test_a_route_that_the_table_has_anew_is_reported_anew() -> None:
    table, wanted = MemoryRouteTable(), route()
    async with running(table):
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        table._reports.clear()  # as a table does that lost its data
        await table.publish(replace(wanted, record="written by the next broker"))
        await reported(table, "s1", RouteState.ACTIVE)


async def test_restarted_relay_serves_what_is_still_wanted() -> None:
    table, kept, dropped = MemoryRouteTable(), route(), route("s2")
    await table.publish(kept)
    await table.publish(dropped)
    async with running(table):
        await reported(table, "s2", RouteState.ACTIVE)
    await table.withdraw("s2")
    async with running(table):
        await until(lambda: not is_free(kept.signaling_port, socket.SOCK_STREAM))
        assert ports_are_free(dropped)


async def test_open_signaling_is_reported() -> None:
    table = MemoryRouteTable()
    async with backend() as port, running(table):
        wanted = route(backend_port=port)
        await table.publish(wanted)
        assert (await reported(table, "s1", RouteState.ACTIVE)).signaling_open == 0
        viewer = await view(wanted)
        async with asyncio.timeout(5):
            async for _ in table.changes():
                if (await table.reports())["s1"].signaling_open == 1:
                    break
        await viewer.close()


async def test_wrong_session_is_refused() -> None:
    table, wanted = MemoryRouteTable(), route()
    async with running(table):
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{RELAY_HOST}:{wanted.signaling_port}/session/other", proxy=None)
        assert refused.value.response.status_code == 403


class AwayTable(MemoryRouteTable):
    """A table that cannot be reached while `away` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = 0

    def _check(self) -> None:
        self.asked += 1
        if self.away:
            raise TableUnavailable("the table is away")

    async def report(self, report: RouteReport) -> None:
        self._check()
        await super().report(report)

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        self._check()
        await super().announce(info)

    async def watch(self, relay_id: str) -> AsyncIterator[Mapping[str, Route]]:
        async for wanted in super().watch(relay_id):
            self._check()
            yield wanted


async def test_routes_are_served_on_while_the_table_is_away(caplog: pytest.LogCaptureFixture) -> None:
    table, settings = AwayTable(), SETTINGS.model_copy(update={"table_retry_s": 0.01})
    async with backend() as port, running(table, settings):
        first, second = route(backend_port=port), route("s2", backend_port=port)
        await table.publish(first)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(first)
        table.away = True
        await table.publish(second)  # wakes the relay, whose table then fails
        asked = table.asked
        await until(lambda: table.asked > asked + 3)
        await viewer.send("still here")
        assert await viewer.recv() == "still here"
        assert ports_are_free(second)
        table.away = False
        await reported(table, "s2", RouteState.ACTIVE)
        await viewer.close()
    assert sum("is away" in record.getMessage() for record in caplog.records) == 1, "once for each outage"


async def enters(wanted: Route, token: str) -> bool:
    """Whether this token opens the route's signaling."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"ws://{RELAY_HOST}:{wanted.signaling_port}/session/{wanted.session_id}"
    try:
        viewer = await connect(url, additional_headers=headers, proxy=None)
    except InvalidStatus:
        return False
    await viewer.close()
    return True


async def test_keys_change_without_dropping_who_was_admitted() -> None:
    table, old, new = MemoryRouteTable(), new_key("old"), new_key("new")
    async with backend() as port, running(table):
        wanted = replace(route(backend_port=port), admission=Admission.TOKEN)
        await table.publish_keys([public(old)])
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        headers = {"Authorization": f"Bearer {token_of(old, session='s1')}"}
        url = f"ws://{RELAY_HOST}:{wanted.signaling_port}/session/s1"
        viewer = await connect(url, additional_headers=headers, proxy=None)
        assert not await enters(wanted, token_of(new, session="s1"))
        await table.publish_keys([public(old), public(new)])
        assert await enters(wanted, token_of(new, session="s1"))
        assert await enters(wanted, token_of(old, session="s1"))
        await table.publish_keys([public(new)])
        assert not await enters(wanted, token_of(old, session="s1"))
        await viewer.send("still here")
        assert await viewer.recv() == "still here"
        await viewer.close()


class KeylessTable(AwayTable):
    """A table whose keys cannot be read while it is away."""

    async def watch_keys(self) -> AsyncIterator[tuple[AdmissionKey, ...]]:
        async for keys in super().watch_keys():
            self._check()
            yield keys


async def test_the_last_keys_count_while_the_table_is_away() -> None:
    table, key = KeylessTable(), new_key()
    settings = SETTINGS.model_copy(update={"table_retry_s": 0.01})
    async with backend() as port, running(table, settings):
        wanted = replace(route(backend_port=port), admission=Admission.TOKEN)
        await table.publish_keys([public(key)])
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        assert await enters(wanted, token_of(key, session="s1"))
        table.away = True
        await table.publish_keys([])
        asked = table.asked
        await until(lambda: table.asked > asked + 2)
        assert await enters(wanted, token_of(key, session="s1"))
        table.away = False
        for _ in range(500):
            if not await enters(wanted, token_of(key, session="s1")):
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("the keys were never withdrawn")
