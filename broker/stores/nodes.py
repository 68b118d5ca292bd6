"""Where nodes register: the promise, and the form of one process.

The conformance suite in tests/broker/stores holds every form to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Protocol

from broker.core.node import Fleet, ForeignNode, Node, NodeClocks, heard, is_news
from broker.errors import Conflict, NoCapacity
from signaling.table import ChangeSignal

MOST_NODES = 5_000
"""So many may be registered at once."""

FORGET_S = 3_600.0
"""A node that was not heard for so long is forgotten; its sessions were ended long before."""


class NodeStore(Protocol):
    """The nodes that any broker heard of, as all of them know them."""

    async def run(self) -> None:
        """Follow what other brokers hear, until cancelled."""

    async def put(self, said: Node) -> Node:
        """A node says what it is: its heartbeat, too. Returns it with its times.

        Raises Conflict (another machine that is heard of has the name), NoCapacity, StoreUnavailable.
        """

    async def leave(self, name: str) -> bool:
        """A node says goodbye, or is taken out: whether it was there. Nothing runs on it any more.

        Raises StoreUnavailable.
        """

    def now(self) -> float:
        """The time that heartbeats are judged on: the store's clock, as far as this broker knows it."""

    def fleet(self) -> Fleet:
        """All nodes, those that left lately among them. It may go on with the store, so ask it at once."""

    def changes(self) -> AsyncGenerator[None, None]:
        """Yield at once, then whenever a node says something new; a mere heartbeat is not. To be closed after use."""


class MemoryNodeStore:
    """Nodes that are known as long as the process lives."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        clocks: NodeClocks | None = None,
        most: int = MOST_NODES,
        forget_s: float = FORGET_S,
    ) -> None:
        self._clock = clock
        self._clocks = clocks or NodeClocks()
        self._most = most
        self._forget_s = forget_s
        self._nodes: dict[str, Node] = {}
        self._fleet = Fleet(self._nodes, self._clocks, clock())
        self._changed = ChangeSignal()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def put(self, said: Node) -> Node:
        now = self._clock()
        self._forget(now)
        before = self._nodes.get(said.name)
        if before is None and len(self._nodes) >= self._most:
            raise NoCapacity("room for another node")
        try:
            node = heard(before, said, now, self._clocks)
        except ForeignNode:
            raise foreign(said.name) from None
        self._nodes[said.name] = node
        if before is None or is_news(before, node, self._clocks):
            self._changed.fire()
        return node

    async def leave(self, name: str) -> bool:
        node = self._nodes.get(name)
        if node is None or node.left:
            return False
        self._nodes[name] = replace(node, left=True)
        self._changed.fire()
        return True

    def now(self) -> float:
        return self._clock()

    def fleet(self) -> Fleet:
        return self._fleet

    def changes(self) -> AsyncGenerator[None, None]:
        return self._changed.follow()

    def _forget(self, now: float) -> None:
        for name in [name for name, node in self._nodes.items() if now - node.heard_at > self._forget_s]:
            del self._nodes[name]


def foreign(name: str) -> Conflict:
    """What a node is told whose name another one has."""
    return Conflict(
        f"Another machine is registered as node {name!r} and is heard of: give each machine a name of its own."
    )
