from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from signaling.errors import TableUnavailable
from signaling.relay import Relay
from signaling.routes import RelayInfo, RouteState
from signaling.serve import Stop, serve, stop_by_signal, stop_with
from signaling.settings import RelaySettings
from signaling.table import MemoryRouteTable
from tests.signaling.test_relay import backend, close_code, ports_are_free, reported, route, view

SETTINGS = RelaySettings(id="r1", close_timeout_s=1, drain_s=60)


@asynccontextmanager
async def serving(
    table: MemoryRouteTable,
    stop: Stop,
    settings: RelaySettings = SETTINGS,
    *,
    listening: tuple[socket.socket, ...] = (),
) -> AsyncIterator[asyncio.Task[None]]:
    """A relay process' life, which the block has to end."""
    begun = asyncio.Event()
    relay = Relay(settings, table)
    task = asyncio.create_task(serve(relay, settings, stop, listening=listening, started=begun.set))
    await begun.wait()
    try:
        yield task
        async with asyncio.timeout(10):
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_idle_relay_ends_as_soon_as_it_is_told_to() -> None:
    table, stop = MemoryRouteTable(), Stop()
    async with serving(table, stop):
        stop()
    assert await table.relays() == {}


async def test_draining_lasts_until_the_last_session_is_gone() -> None:
    table, stop = MemoryRouteTable(), Stop()
    async with backend() as port, serving(table, stop) as task:
        wanted = route(backend_port=port)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(wanted)
        stop()
        async with asyncio.timeout(5):
            async for _ in table.changes():
                if (await table.relays())["r1"].draining:
                    break
        await viewer.send("still here")
        assert await viewer.recv() == "still here"
        assert not task.done()
        await table.withdraw("s1")
        assert await close_code(viewer) == 4001


@pytest.mark.parametrize("second", [True, False])
async def test_viewers_are_sent_elsewhere_at_the_deadline_or_at_a_second_word(second: bool) -> None:
    table, stop = MemoryRouteTable(), Stop()
    settings = SETTINGS.model_copy(update={"drain_s": 60 if second else 0.1})
    async with backend() as port, serving(table, stop, settings):
        wanted = route(backend_port=port)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(wanted)
        leaving = asyncio.create_task(close_code(viewer))
        stop()
        if second:
            stop()
        assert await leaving == 1012
    assert ports_are_free(wanted)
    assert await table.routes() == {"s1": wanted}, "its sessions are the brokers' to move"


async def test_a_signal_drains() -> None:
    table, stop = MemoryRouteTable(), Stop()
    async with serving(table, stop):
        stop_by_signal(stop)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                await stop.drain.wait()
            assert not stop.end.is_set()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)


async def test_it_does_not_outlive_who_looks_after_it() -> None:
    table, stop = MemoryRouteTable(), Stop()
    ours, other = os.pipe()
    try:
        async with serving(table, stop):
            stop_with(ours, stop)
            os.write(other, b"alive")
            await asyncio.sleep(0.05)
            assert not stop.drain.is_set()
            os.close(other)
    finally:
        os.close(ours)
    assert stop.end.is_set()


class AwayTable(MemoryRouteTable):
    """A table that cannot be reached while `away` is set."""

    away = False

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        if self.away:
            raise TableUnavailable("Redis asks for a password: set redis.password")
        await super().announce(info)


async def answer(bound: socket.socket, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{bound.getsockname()[1]}{path}"
    async with aiohttp.ClientSession() as client, client.get(url) as response:
        return response.status, await response.text()


async def eventually(bound: socket.socket, path: str, is_right: Callable[[int, str], bool]) -> str:
    for _ in range(500):
        status, text = await answer(bound, path)
        if is_right(status, text):
            return text
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} says {status}: {text}")


async def test_status_tells_whether_it_lives_may_be_given_sessions_and_what_it_carries() -> None:
    table, stop = AwayTable(), Stop()
    settings = SETTINGS.model_copy(update={"announce_s": 0.05})
    with socket.create_server(("127.0.0.1", 0)) as bound:
        async with serving(table, stop, settings, listening=(bound,)):
            await table.publish(route())
            await reported(table, "s1", RouteState.ACTIVE)
            await eventually(bound, "/readyz", lambda status, text: status == 200)
            shown = {
                (sample.name, *sample.labels.values()): sample.value
                for family in text_string_to_metric_families((await answer(bound, "/metrics"))[1])
                for sample in family.samples
            }
            assert shown["pixelferry_relay_routes", "active"] == 1
            assert shown["pixelferry_relay_capacity",] == 100
            assert ("pixelferry_relay_media_packets_total", "to_client") in shown
            table.away = True
            told = await eventually(bound, "/readyz", lambda status, text: status == 503)
            assert "the route table does not answer: Redis asks for a password" in told
            assert "pixelferry_relay_table_away 1.0" in (await answer(bound, "/metrics"))[1]
            assert (await answer(bound, "/healthz"))[0] == 200, "the process lives"
            table.away = False
            stop()
            await eventually(bound, "/readyz", lambda status, text: status == 503 and '["draining"]' in text)
            stop()
