"""What the provider needs of the nodes: a store of theirs is one such."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from broker.core.node import Fleet, Node


class Nodes(Protocol):
    """As `broker.stores.nodes.NodeStore` has them."""

    async def put(self, said: Node) -> Node:
        """A node says what it is. Raises Conflict, NoCapacity, StoreUnavailable."""

    def now(self) -> float:
        """The store's time."""

    def fleet(self) -> Fleet:
        """All nodes, as they are known now."""

    def changes(self) -> AsyncGenerator[None, None]:
        """Yield at once, then whenever a node says something new. To be closed after use."""
