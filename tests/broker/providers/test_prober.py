"""Nodes of a file, whose backends are asked on real ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from broker.core.node import Node, NodeClocks, SlotState, takes_sessions
from broker.providers.prober import Prober
from broker.stores.nodes import MemoryNodeStore
from tests.broker.nodes import Clock, make_node
from tests.broker.providers.light_backend import LightBackend, light_backend
from tests.broker.samples import SESSION_ID
from tests.broker.waiting import eventually

CLOCKS = NodeClocks(heartbeat_s=0.02, probes=3)


@pytest.fixture
async def backends() -> AsyncIterator[tuple[LightBackend, LightBackend]]:
    async with light_backend() as one, light_backend() as two:
        yield one, two


@pytest.fixture
async def nodes(backends: tuple[LightBackend, LightBackend]) -> AsyncIterator[MemoryNodeStore]:
    """What becomes known of a node of two slots."""
    nodes = MemoryNodeStore(Clock(), clocks=CLOCKS)
    listed = make_node("gpu-1", *(backend.slot(number) for number, backend in enumerate(backends)), host="127.0.0.1")
    async with aiohttp.ClientSession() as http:
        task = asyncio.create_task(Prober([listed], nodes, http).run())
        yield nodes
        task.cancel()
        await asyncio.wait((task,))


def states(nodes: MemoryNodeStore) -> list[SlotState]:
    node = nodes.fleet().nodes.get("gpu-1")
    return [] if node is None else [slot.state for slot in node.slots]


async def test_a_node_of_the_file_is_heard_while_a_backend_answers(
    nodes: MemoryNodeStore, backends: tuple[LightBackend, LightBackend]
) -> None:
    backends[1].session_id = SESSION_ID
    await eventually(lambda: states(nodes) == [SlotState.IDLE, SlotState.CLAIMED])
    node = nodes.fleet().nodes["gpu-1"]
    assert takes_sessions(node, nodes.now(), CLOCKS)
    assert node.slots[1].session_id == SESSION_ID
    await backends[0].close()
    asked = len(backends[1].asked)
    await eventually(lambda: states(nodes) == [SlotState.FAILED, SlotState.CLAIMED])
    assert len(backends[1].asked) >= asked + CLOCKS.probes - 1, "once is not enough"
    await backends[0].open()
    await eventually(lambda: states(nodes) == [SlotState.IDLE, SlotState.CLAIMED])


async def test_a_node_whose_backends_all_keep_silent_is_not_heard(
    nodes: MemoryNodeStore, backends: tuple[LightBackend, LightBackend], caplog: pytest.LogCaptureFixture
) -> None:
    await eventually(lambda: states(nodes) == [SlotState.IDLE, SlotState.IDLE])
    await asyncio.gather(*(backend.close() for backend in backends))
    await eventually(lambda: "node gpu-1 of the file is not heard" in caplog.text)
    assert states(nodes) == [SlotState.IDLE, SlotState.IDLE], "what is known stays"
    assert caplog.text.count("is not heard") == 1


async def test_a_backend_that_never_answered_is_no_slot(
    nodes: MemoryNodeStore, backends: tuple[LightBackend, LightBackend]
) -> None:
    backends[0].token = "another token, so that it refuses"
    await eventually(lambda: states(nodes)[:1] == [SlotState.FAILED])
    assert "401" in nodes.fleet().nodes["gpu-1"].slots[0].message


async def test_a_name_that_another_machine_has_is_told(
    nodes: MemoryNodeStore, caplog: pytest.LogCaptureFixture
) -> None:
    await eventually(lambda: states(nodes) != [])
    known: Node = nodes.fleet().nodes["gpu-1"]
    await nodes.leave("gpu-1")
    await nodes.put(replace(known, host="10.1.0.7"))
    await eventually(lambda: "could not be registered: Another machine" in caplog.text)
