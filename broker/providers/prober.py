"""Asks the backends of nodes that do not register themselves, and says for those nodes that they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import aiohttp

from broker.core.node import Node, NodeSlot, SlotState
from broker.errors import BackendFailed, Conflict, NoCapacity, StoreUnavailable
from broker.providers.control import ControlClient, NoAnswer
from broker.providers.nodes import Nodes

logger = logging.getLogger(__name__)


class Prober:
    """Keeps `listed` nodes heard as long as any of their backends answers."""

    def __init__(self, listed: Sequence[Node], nodes: Nodes, http: aiohttp.ClientSession) -> None:
        self._listed = listed
        self._nodes = nodes
        self._http = http
        self._failures: dict[tuple[str, int], int] = {}
        self._silent: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for node in self._listed:
                group.create_task(self._keep(node), name=f"node {node.name}")

    async def _keep(self, node: Node) -> None:
        while True:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._seen(node, slot)) for slot in node.slots]
            node = replace(node, slots=tuple(task.result() for task in asked))
            if any(slot.state is not SlotState.FAILED for slot in node.slots):
                await self._say(node)
            elif node.name not in self._silent:
                self._silent.add(node.name)
                logger.warning("node %s of the file is not heard: %s", node.name, node.slots[0].message)
            await asyncio.sleep(self._nodes.fleet().clocks.heartbeat_s)

    async def _say(self, node: Node) -> None:
        self._silent.discard(node.name)
        try:
            await self._nodes.put(node)
        except (StoreUnavailable, Conflict, NoCapacity) as error:
            logger.warning("node %s of the file could not be registered: %s", node.name, error)

    async def _seen(self, node: Node, slot: NodeSlot) -> NodeSlot:
        """The slot as its backend tells; as it was last while it has not failed to answer often enough."""
        client = ControlClient(self._http, node.host, slot.control_port, slot.control_token)
        key = node.name, slot.number
        try:
            found = await client.ready()
        except (NoAnswer, BackendFailed) as error:
            most = self._nodes.fleet().clocks.probes
            self._failures[key] = self._failures.get(key, most) + 1
            if self._failures[key] < most:
                return slot
            return replace(slot, state=SlotState.FAILED, session_id=None, message=str(error))
        self._failures[key] = 0
        return replace(slot, state=SlotState(found.state.value), session_id=found.session_id, message="")
