"""The conformance suite of node stores: every form is held to what `NodeStore` promises."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.node import SlotState, takes_sessions
from broker.errors import Conflict, NoCapacity
from broker.stores.nodes import FORGET_S, MemoryNodeStore
from tests.broker.nodes import CLOCKS, Clock, make_node, make_slot


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nodes(clock: Clock) -> MemoryNodeStore:
    return MemoryNodeStore(clock, clocks=CLOCKS, most=3)


async def test_a_node_is_known_as_it_said(nodes: MemoryNodeStore, clock: Clock) -> None:
    said = make_node("gpu-1", make_slot(0), make_slot(5), zone="hall-1", labels={"gpu": "l40s"})
    written = await nodes.put(said)
    assert written == replace(said, heard_at=clock.now, steady_since=clock.now, is_new=True)
    assert nodes.fleet().nodes == {"gpu-1": written}
    assert nodes.now() == clock.now
    assert nodes.fleet().listening_since is not None


async def test_the_latest_word_counts(nodes: MemoryNodeStore, clock: Clock) -> None:
    await nodes.put(make_node())
    clock.go(3)
    later = await nodes.put(make_node("gpu-1", make_slot(state=SlotState.FAILED)))
    assert nodes.fleet().nodes["gpu-1"] == later
    assert later.heard_at == clock.now and later.steady_since == clock.now - 3


async def test_a_name_belongs_to_the_machine_that_is_heard(nodes: MemoryNodeStore, clock: Clock) -> None:
    await nodes.put(make_node())
    with pytest.raises(Conflict, match="a name of its own"):
        await nodes.put(make_node(host="10.1.0.8"))
    clock.go(CLOCKS.suspect_s + 1)
    assert (await nodes.put(make_node(host="10.1.0.8"))).host == "10.1.0.8"
    assert not takes_sessions(nodes.fleet().nodes["gpu-1"], nodes.now(), CLOCKS), "it has to be steady first"


async def test_who_leaves_is_known_to_have_left_and_may_come_back(nodes: MemoryNodeStore) -> None:
    assert not await nodes.leave("gpu-1")
    await nodes.put(make_node())
    assert await nodes.leave("gpu-1")
    assert nodes.fleet().nodes["gpu-1"].left
    assert not await nodes.leave("gpu-1")
    assert (await nodes.put(make_node(host="10.1.0.8"))).is_new


async def test_there_is_a_bound_and_the_forgotten_make_room(nodes: MemoryNodeStore, clock: Clock) -> None:
    for number in range(3):
        await nodes.put(make_node(f"gpu-{number}"))
    with pytest.raises(NoCapacity):
        await nodes.put(make_node("gpu-3"))
    await nodes.put(make_node("gpu-2"))
    clock.go(FORGET_S + 1)
    await nodes.put(make_node("gpu-3"))
    assert nodes.fleet().nodes.keys() == {"gpu-3"}


async def test_news_is_told_and_mere_heartbeats_are_not(nodes: MemoryNodeStore, clock: Clock) -> None:
    told = 0

    async def follow() -> None:
        nonlocal told
        async with aclosing(nodes.changes()) as changes:
            async for _ in changes:
                told += 1

    task = asyncio.create_task(follow())
    try:
        await asyncio.sleep(0)
        assert told == 1
        for node in (make_node(), make_node(), make_node(draining=True)):
            clock.go(1)
            await nodes.put(node)
            await asyncio.sleep(0.001)
        assert told == 3
        await nodes.leave("gpu-1")
        await asyncio.sleep(0.001)
        assert told == 4
    finally:
        task.cancel()
        await asyncio.wait((task,))
