"""What the brokers of one deployment share: everything that outlives a broker stands in here, or it is lost with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from broker.core.node import NodeClocks
from broker.fellows import BrokerList
from broker.stores.base import Store
from broker.stores.catalog import CatalogStore, MemoryCatalogStore
from broker.stores.epoch import Epochs
from broker.stores.faults import Faulty
from broker.stores.lease import Lease, MemoryLease
from broker.stores.memory import MemoryStore
from broker.stores.nodes import MemoryNodeStore, NodeStore
from signaling.table import MemoryRouteTable, RouteTable


@dataclass(frozen=True, slots=True)
class State:
    """Each of these in one form or another. `epochs` is None where data cannot be lost while a broker lives.

    Where `brokers` are listed, there may be several, and none ends what another goes on with. `on_fault` has a listener
    told of faults in what is stored.
    """

    routes: RouteTable
    store: Store
    catalog: CatalogStore
    nodes: NodeStore
    lease: Lease
    epochs: Epochs | None = None
    brokers: BrokerList | None = None
    on_fault: Callable[[Faulty], None] = lambda listener: None

    @property
    def is_shared(self) -> bool:
        """Whether sessions outlive this broker."""
        return self.brokers is not None


def state_in_process(
    *,
    routes: RouteTable | None = None,
    store: Store | None = None,
    node_clocks: NodeClocks | None = None,
    clock: Callable[[], float] = time.time,
) -> State:
    """All of it in this process, but for what is given."""
    lease = MemoryLease(clock)
    return State(
        routes=routes or MemoryRouteTable(clock=clock, fence=lambda: lease.fence),
        store=store or MemoryStore(clock, latest_fence=lambda: lease.fence),
        catalog=MemoryCatalogStore(),
        nodes=MemoryNodeStore(clock, clocks=node_clocks),
        lease=lease,
    )
