"""What every form of the node store must do. A new form joins by one more name in `rig`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from broker.core.node import Node, NodeClocks, SlotState, takes_sessions
from broker.errors import Conflict, NoCapacity, StoreUnavailable
from broker.stores.node_json import node_from_text, node_to_text
from broker.stores.nodes import MemoryNodeStore, NodeStore
from broker.stores.redis_nodes import RedisNodeStore
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.broker.nodes import Clock, make_node, make_slot
from tests.broker.waiting import eventually
from tests.redis_server import redis_server

CLOCKS = NodeClocks(heartbeat_s=0.05, suspect_s=0.2, grace_s=0.3, settle_s=0.2)
FORGET_S = 1.0


@dataclass
class Rig:
    """A node store, another broker's view of the same nodes, and how its time goes by."""

    nodes: NodeStore
    other: NodeStore
    wait: Callable[[float], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        clock = Clock()

        async def wait(seconds: float) -> None:
            clock.go(seconds)

        nodes = MemoryNodeStore(clock, clocks=CLOCKS, most=3, forget_s=FORGET_S)
        yield Rig(nodes, nodes, wait)
        return
    settings = request.getfixturevalue("redis_settings")
    async with following(settings) as one, following(settings) as other:
        yield Rig(one, other, asyncio.sleep)


@asynccontextmanager
async def following(settings: RedisSettings) -> AsyncIterator[RedisNodeStore]:
    """The Redis form as a broker runs it."""
    link = RedisLink(settings)
    nodes = RedisNodeStore(link, clocks=CLOCKS, most=3, forget_s=FORGET_S, look_every_s=0.01)
    task = asyncio.create_task(nodes.run())
    try:
        await eventually(lambda: nodes.fleet().listening_since is not None)
        yield nodes
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await link.close()


async def known(nodes: NodeStore, wanted: Callable[[Node], bool], name: str = "gpu-1") -> Node:
    """A node once this broker knows this of it."""
    await eventually(lambda: name in nodes.fleet().nodes and wanted(nodes.fleet().nodes[name]))
    return nodes.fleet().nodes[name]


async def test_all_brokers_know_a_node_as_it_said(rig: Rig) -> None:
    slot = make_slot(5, state=SlotState.CLAIMED, session_id="session-1", message='é: {"')
    said = make_node("gpu-1", make_slot(0), slot, zone="hall-1", labels={"gpu": "l40s"}, draining=True)
    written = await rig.nodes.put(said)
    assert written == replace(said, heard_at=written.heard_at, steady_since=written.heard_at, is_new=True)
    assert abs(rig.nodes.now() - written.heard_at) < 1
    for nodes in (rig.nodes, rig.other):
        assert await known(nodes, lambda node: node.heard_at > 0) == written
        since = nodes.fleet().listening_since
        assert since is not None and since <= nodes.now()


async def test_the_latest_word_counts(rig: Rig) -> None:
    first = await rig.nodes.put(make_node())
    await rig.wait(0.05)
    later = await rig.other.put(make_node("gpu-1", make_slot(state=SlotState.FAILED)))
    assert later.heard_at > first.heard_at and later.steady_since == first.steady_since
    for nodes in (rig.nodes, rig.other):
        assert await known(nodes, lambda node: node.slots[0].state is SlotState.FAILED) == later


async def test_a_heartbeat_alone_is_seen_by_all(rig: Rig) -> None:
    await rig.nodes.put(make_node())
    await rig.wait(0.05)
    later = await rig.nodes.put(make_node())
    assert await known(rig.other, lambda node: node.heard_at == later.heard_at) == later


async def test_a_name_belongs_to_the_machine_that_is_heard(rig: Rig) -> None:
    await rig.nodes.put(make_node())
    with pytest.raises(Conflict, match="a name of its own"):
        await rig.other.put(make_node(host="10.1.0.8"))
    await rig.wait(CLOCKS.suspect_s + 0.05)
    back = await rig.other.put(make_node(host="10.1.0.8"))
    assert (back.host, back.is_new, back.steady_since) == ("10.1.0.8", False, back.heard_at)
    assert not takes_sessions(back, rig.other.now(), CLOCKS), "it has to be steady first"


async def test_who_leaves_is_known_to_have_left_and_may_come_back(rig: Rig) -> None:
    assert not await rig.nodes.leave("gpu-1")
    await rig.nodes.put(make_node())
    await known(rig.other, lambda node: True)
    assert await rig.other.leave("gpu-1")
    for nodes in (rig.nodes, rig.other):
        await known(nodes, lambda node: node.left)
    assert not await rig.nodes.leave("gpu-1")
    assert (await rig.nodes.put(make_node(host="10.1.0.8"))).is_new
    await known(rig.other, lambda node: not node.left)


async def test_there_is_a_bound_and_the_forgotten_make_room(rig: Rig) -> None:
    for number in range(3):
        await rig.nodes.put(make_node(f"gpu-{number}"))
    with pytest.raises(NoCapacity):
        await rig.nodes.put(make_node("gpu-3"))
    await rig.nodes.put(make_node("gpu-2"))
    await rig.wait(FORGET_S + 0.1)
    await rig.nodes.put(make_node("gpu-3"))
    await eventually(lambda: set(rig.other.fleet().nodes) == {"gpu-3"})


async def test_news_is_told_and_mere_heartbeats_are_not(rig: Rig) -> None:
    told = 0

    async def follow() -> None:
        nonlocal told
        async with aclosing(rig.nodes.changes()) as changes:
            async for _ in changes:
                told += 1

    task = asyncio.create_task(follow())
    try:
        await eventually(lambda: told == 1)
        for number, node in enumerate((make_node(), make_node(draining=True), make_node(draining=True)), start=2):
            await rig.nodes.put(node)
            await asyncio.sleep(0.03)  # as often as it looks by itself
            assert told == min(number, 3)
        await rig.nodes.leave("gpu-1")
        await eventually(lambda: told == 4)
    finally:
        task.cancel()
        await asyncio.wait((task,))


class TestRedis:
    """What can happen to what lies outside of the process."""

    async def test_all_keys_are_the_deployments_and_end_by_themselves(self, redis_settings: RedisSettings) -> None:
        async with following(redis_settings) as nodes:
            await nodes.put(make_node())
            link = RedisLink(redis_settings)
            try:
                for name in ("nodes", "nodes-heard", "nodes-changed", "nodes-seq"):
                    left_ms = await link.call("PTTL", link.key(name))
                    assert isinstance(left_ms, int) and 0 < left_ms <= FORGET_S * 1000
            finally:
                await link.close()
            await eventually(lambda: not nodes.fleet().nodes)

    async def test_foreign_values_are_set_aside_and_the_rest_goes_on(
        self, redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with following(redis_settings) as nodes:
            await nodes.put(make_node())
            link = RedisLink(redis_settings)
            try:
                for name, value in (("gpu-2", "junk"), ("gpu-3", "1:1:0:" + node_to_text(make_node("gpu-9")))):
                    await link.call("HSET", link.key("nodes"), name, value)
                    await link.call("ZADD", link.key("nodes-heard"), int(time.time() * 1000), name)
                    await link.call("ZADD", link.key("nodes-changed"), 90, name)
                await link.call("SET", link.key("nodes-seq"), 90)
            finally:
                await link.close()
            await eventually(lambda: "gpu-2" in caplog.text and "gpu-3" in caplog.text)
            assert set(nodes.fleet().nodes) == {"gpu-1"}
            assert (await nodes.put(make_node("gpu-2"))).is_new, "a node that comes makes it right"

    async def test_while_redis_is_away_nobody_listens_and_silence_does_not_count(self) -> None:
        with redis_server() as server:
            async with following(RedisSettings(url=server.url, timeout_s=0.2)) as nodes:
                before = await nodes.put(make_node())
                server.kill()
                with pytest.raises(StoreUnavailable):
                    await nodes.put(make_node())
                await eventually(lambda: nodes.fleet().listening_since is None)
                assert "gpu-1" in nodes.fleet().nodes, "what was known stays known"
                server.start()
                await eventually(lambda: nodes.fleet().listening_since is not None)
                since = nodes.fleet().listening_since
                assert since is not None and since > before.heard_at
                await eventually(lambda: not nodes.fleet().nodes)
                await nodes.put(make_node())
                assert "gpu-1" in nodes.fleet().nodes


def test_a_node_is_the_same_after_its_text() -> None:
    said = make_node("gpu-1", make_slot(0, session_id="x"), make_slot(1), zone="z", labels={"b": "1", "a": "2"})
    assert node_from_text(node_to_text(said)) == said
    for wrong in ('"labels":7', '"labels":{"a":1}', '"labels":null'):
        with pytest.raises(ValueError, match="labels"):
            node_from_text(node_to_text(make_node()).replace('"labels":{}', wrong))
    with pytest.raises(ValueError, match="slots"):
        node_from_text(node_to_text(make_node()).replace('"slots":[', '"slots":7,"x":['))
