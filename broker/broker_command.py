"""`pixelferry broker`: a broker alone, one of any number on one Redis; relays and nodes are processes of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from broker.app import Broker
from broker.configuration import ConfigurationError
from broker.core.catalog import Catalog
from broker.node_file import clocks_of
from broker.process import catalog_of, check_secrets, say_where
from broker.process import run as run_process
from broker.redis_state import redis_state
from broker.settings import BrokerSettings
from signaling.redis_settings import RedisSettings


def run(settings: BrokerSettings) -> int:
    """Serve until a signal; the exit status. Raises ConfigurationError, CannotListen."""
    if settings.redis is None:
        raise ConfigurationError("settings", "redis.url", "is missing: name the Redis that brokers share by --redis")
    redis = settings.redis
    catalog = _catalog(settings)
    check_secrets(settings)
    return run_process(settings, lambda sockets, stop: _serve(settings, redis, catalog, sockets, stop))


def _catalog(settings: BrokerSettings) -> Catalog:
    """Raises ConfigurationError for profiles whose backends would end with one broker."""
    mend = "`pixelferry broker` starts no processes: have nodes start them (docs/nodes.md), or use `pixelferry up`"
    if settings.catalog is None:
        raise ConfigurationError("settings", "catalog", f"is missing: name one whose profiles are for nodes. {mend}")
    catalog = catalog_of(settings)
    for profile in catalog.profiles.values():
        if profile.provider == "process":
            raise ConfigurationError(str(settings.catalog), f"profiles.{profile.id}.provider", f"is 'process'. {mend}")
    return catalog


async def _serve(
    settings: BrokerSettings,
    redis: RedisSettings,
    catalog: Catalog,
    sockets: Sequence[socket.socket],
    stop: asyncio.Event,
) -> None:
    last = "Sessions stay when it ends: other brokers go on with them."
    async with redis_state(redis, node_clocks=clocks_of(settings.nodes)) as state:
        broker = Broker(settings, catalog, state, own={})
        await broker.join()
        await broker.run(sockets, stop, started=lambda: say_where(settings, catalog, sockets, last=last))
