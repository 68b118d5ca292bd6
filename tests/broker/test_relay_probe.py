"""Relays as real listening sockets on loopback, that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from broker.core.session import RelayPorts, State
from broker.relay_probe import RelayProbe
from broker.stores.memory import MemoryStore
from tests.broker.samples import make_session, session_id
from tests.broker.waiting import eventually
from tests.redis_server import free_port


async def store_with(*ports: int, state: State = State.READY) -> MemoryStore:
    """Sessions of relay-a, each with its signaling on one of these ports."""
    store = MemoryStore()
    for number, port in enumerate(ports):
        at = RelayPorts("relay-a", "127.0.0.1", port, port + 1)
        await store.write(replace(make_session(), id=session_id(number), slot=None, ports=at, state=state))
    return store


@asynccontextmanager
async def probing(store: MemoryStore, *, silence_s: float = 15.0) -> AsyncIterator[tuple[RelayProbe, list[str]]]:
    news: list[str] = []
    probe = RelayProbe(store, lambda: news.append("news"), silence_s=silence_s)
    task = asyncio.create_task(probe.run())
    try:
        yield probe, news
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_a_relay_whose_ports_refuse_is_lost_until_it_is_announced_again() -> None:
    async with probing(await store_with(free_port(), free_port())) as (probe, news):
        await probe.see({"relay-a"})
        assert (probe.lost, news) == (frozenset(), [])
        await probe.see(())
        await eventually(lambda: probe.lost == {"relay-a"})
        assert len(news) == 1
        await probe.see({"relay-a"})
        assert (probe.lost, len(news)) == (frozenset(), 2)


async def test_a_relay_that_listens_still_is_known_to_live() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, probing(await store_with(port)) as (probe, _):
        await probe.see(())
        await eventually(lambda: probe.answering == {"relay-a"})
        assert probe.lost == frozenset()
        server.close()
        await eventually(lambda: probe.lost == {"relay-a"})


async def test_a_relay_without_a_port_to_ask_is_lost_only_after_long_silence() -> None:
    async with probing(await store_with(free_port(), state=State.PENDING), silence_s=0.2) as (probe, _):
        await probe.see(())
        assert probe.lost == frozenset()
        await eventually(lambda: probe.lost == {"relay-a"})


async def test_relays_that_nobody_is_on_are_forgotten() -> None:
    async with probing(MemoryStore()) as (probe, news):
        await probe.see({"relay-b"})
        await probe.see(())
        await asyncio.sleep(0.01)
        assert (probe.lost, probe.answering, news) == (frozenset(), frozenset(), [])
