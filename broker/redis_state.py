"""What brokers share, in Redis."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.core.node import NodeClocks
from broker.state import State
from broker.stores.faults import Fault, Faulty
from broker.stores.redis import RedisStore
from broker.stores.redis_brokers import RedisBrokers
from broker.stores.redis_catalog import RedisCatalogStore
from broker.stores.redis_lease import RedisLease
from broker.stores.redis_nodes import RedisNodeStore
from signaling.redis_link import RedisLink, RedisUnavailable
from signaling.redis_settings import RedisSettings
from signaling.table_redis import RedisRouteTable

logger = logging.getLogger(__name__)


class _Faults:
    """Faults that the store finds, told to whoever listens by then."""

    def __init__(self) -> None:
        self._listeners: list[Faulty] = []

    def listen(self, listener: Faulty) -> None:
        self._listeners.append(listener)

    def tell(self, fault: Fault, count: int) -> None:
        for listener in self._listeners:
            listener(fault, count)


@asynccontextmanager
async def redis_state(settings: RedisSettings, *, node_clocks: NodeClocks | None = None) -> AsyncIterator[State]:
    """All of it in this Redis, which need not be there yet; the connections are closed at the end."""
    link = RedisLink(settings, name="pixelferry-broker")
    leasing = link.sibling("pixelferry-lease")
    table, faults = RedisRouteTable(link), _Faults()
    try:
        try:
            await link.check()
        except RedisUnavailable as error:
            logger.warning("%s", error)
        store = RedisStore(link, faulty=faults.tell)
        yield State(
            routes=table,
            store=store,
            catalog=RedisCatalogStore(link),
            nodes=RedisNodeStore(link, clocks=node_clocks),
            lease=RedisLease(leasing),
            epochs=store,
            brokers=RedisBrokers(leasing),
            on_fault=faults.listen,
        )
    finally:
        await table.close()
        await leasing.close()
        await link.close()
