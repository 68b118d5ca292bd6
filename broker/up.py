"""`pixelferry up`: broker and relay in one process, the backends as its children, until a signal ends all of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from pydantic import Field

from broker.app import Broker
from broker.configuration import ConfigurationError
from broker.core.catalog import Catalog
from broker.listening import is_loopback
from broker.node_file import clocks_of
from broker.process import catalog_of, check_secrets, say_where
from broker.process import run as run_process
from broker.providers.ports import is_free
from broker.redis_state import redis_state
from broker.settings import BrokerSettings
from broker.state import State, state_in_process
from broker.watching import Neighbours
from signaling.errors import TableUnavailable
from signaling.exposition import RelayCollector
from signaling.metrics import RelayCounters
from signaling.relay import Relay
from signaling.settings import RelaySettings
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_ANNOUNCED_S = 10.0


class UpSettings(BrokerSettings):
    """The broker's settings, and those of the relay beside it."""

    relay: RelaySettings = Field(default_factory=RelaySettings)
    """The relay, as signaling/settings.py has it."""


def run(settings: UpSettings) -> int:
    """Serve until a signal; the exit status. Raises ConfigurationError, CannotListen before anything is started."""
    catalog = catalog_of(settings)
    _check_addresses(settings)
    check_secrets(settings)
    return run_process(settings, lambda sockets, stop: _serve(settings, catalog, sockets, stop))


def _check_addresses(settings: UpSettings) -> None:
    """Raises ConfigurationError naming an address that only another machine has."""
    own = {
        "backend_host": settings.backend_host,
        "relay.host": settings.relay.host,
        "relay.upstream_host": settings.relay.upstream_host,
    }
    for key, host in own.items():
        if host is not None and not is_free(host, 0, socket.SOCK_DGRAM):
            raise ConfigurationError("settings", key, f"{host} is no address of this machine: name one that is")


async def _serve(settings: UpSettings, catalog: Catalog, sockets: Sequence[socket.socket], stop: asyncio.Event) -> None:
    _warn_of_an_unreachable_relay(settings, sockets)
    last = "Ctrl-C ends it, and every session with it."
    async with _state(settings) as state:
        relay = Relay(settings.relay, state.routes)
        broker = Broker(settings, catalog, state, neighbours=_beside(relay.counters))
        await broker.join()
        async with asyncio.TaskGroup() as group:
            relaying = group.create_task(relay.run(), name="relay")
            try:
                await _announced(state.routes)
                await broker.run(sockets, stop, started=lambda: say_where(settings, catalog, sockets, last=last))
            finally:
                relaying.cancel()


@asynccontextmanager
async def _state(settings: UpSettings) -> AsyncIterator[State]:
    if settings.redis is None:
        yield state_in_process(node_clocks=clocks_of(settings.nodes))
        return
    async with redis_state(settings.redis, node_clocks=clocks_of(settings.nodes)) as state:
        yield state


def _beside(counters: RelayCounters) -> Neighbours:
    """What the broker shows of the relay beside it."""
    media = counters.media_bytes
    return Neighbours((RelayCollector(counters),), lambda: {direction.value: count for direction, count in media})


async def _announced(table: RouteTable) -> None:
    """Wait for the relay, so that the first request finds it."""
    with suppress(TimeoutError, TableUnavailable):
        async with asyncio.timeout(_ANNOUNCED_S):
            async for _ in table.changes():
                if await table.relays():
                    return


def _warn_of_an_unreachable_relay(settings: UpSettings, sockets: Sequence[socket.socket]) -> None:
    if not all(map(is_loopback, sockets)) and settings.relay.client_host in ("127.0.0.1", "::1", "localhost"):
        logger.warning("viewers on other machines cannot reach the relay on %s: set relay.host", settings.relay.host)
