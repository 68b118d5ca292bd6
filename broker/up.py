"""`pixelferry up`: broker and relay in one process, the backends as its children, until a signal ends all of it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

from pydantic import Field

from broker.admission import AdmissionTokens
from broker.app import Broker
from broker.audit import log_to
from broker.catalog_file import SHIPPED, load_catalog
from broker.configuration import ConfigurationError
from broker.core.catalog import DEFAULT_PROFILE, Catalog
from broker.environment import strange_variables
from broker.identity.access_keys import access_keys
from broker.identity.identity import Identity
from broker.identity.networks import Networks
from broker.identity.node_tokens import NodeTokens
from broker.listening import ListenAddress, is_loopback, listen, listen_nearby
from broker.logs import set_up
from broker.node_file import clocks_of, read_nodes
from broker.providers.ports import is_free
from broker.settings import USUAL_LISTEN, BrokerSettings
from broker.state import state_in_process
from broker.watching import Neighbours
from signaling.exposition import RelayCollector
from signaling.metrics import RelayCounters
from signaling.relay import Relay
from signaling.routes import Admission
from signaling.settings import RelaySettings
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_FORCED = 130
_PORT_TRIES = 100
_ANNOUNCED_S = 10.0


class UpSettings(BrokerSettings):
    """The broker's settings, and those of the relay beside it."""

    relay: RelaySettings = Field(default_factory=RelaySettings)
    """The relay, as signaling/settings.py has it."""


def run(settings: UpSettings) -> int:
    """Serve until a signal; the exit status. Raises ConfigurationError, CannotListen before anything is started."""
    catalog = catalog_of(settings)
    _check_addresses(settings)
    _check_secrets(settings)
    sockets = _listening(settings)
    try:
        set_up(settings.log_format, settings.log_level)
        for warning in strange_variables(type(settings), os.environ):
            logger.warning("environment: %s", warning)
        if settings.audit_log is not None:
            log_to(settings.audit_log)
        return _run(settings, catalog, sockets)
    finally:
        for bound in sockets:
            bound.close()


def catalog_of(settings: BrokerSettings) -> Catalog:
    """The catalog that is set, its backends knowing where stages may be read. Raises ConfigurationError."""
    admission = Admission.TOKEN if settings.identity.is_on else Admission.SESSION_ID
    catalog = load_catalog(settings.catalog or SHIPPED, admission=admission)
    if settings.usd_root is None:
        return catalog
    return catalog.with_environment({"PIXELFERRY_USD_ROOT": str(settings.usd_root)})


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


def _check_secrets(settings: UpSettings) -> None:
    """Raises ConfigurationError for files of keys, secrets and certificates that are none."""
    Identity(settings.identity, Networks(settings.trusted_proxies))
    AdmissionTokens.of(settings.admission)
    access_keys(settings.nimble)
    NodeTokens.of(settings.nodes)
    if settings.nodes.file is not None:
        read_nodes(settings.nodes.file)


def _listening(settings: UpSettings) -> list[socket.socket]:
    sockets = listen_nearby(USUAL_LISTEN, _PORT_TRIES) if settings.listen is None else listen(settings.listen)
    if settings.identity.is_on or settings.insecure_no_identity or all(map(is_loopback, sockets)):
        return sockets
    for bound in sockets:
        bound.close()
    raise ConfigurationError(
        "settings",
        "listen",
        f"other machines reach {settings.listen}, and without identity whoever reaches it may start and end sessions: "
        "set up identity (docs/identity.md), listen on 127.0.0.1, or accept that by --insecure-no-identity",
    )


def _run(settings: UpSettings, catalog: Catalog, sockets: list[socket.socket]) -> int:
    set_aside_what_stays()
    try:
        asyncio.run(_serve(settings, catalog, sockets))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return EXIT_FORCED
    except Exception:  # the root of the process
        logger.exception("Pixelferry failed")
        return EXIT_FAILED
    return 0


async def _serve(settings: UpSettings, catalog: Catalog, sockets: list[socket.socket]) -> None:
    stop = asyncio.Event()
    _stop_by_signal(stop)
    state = state_in_process(node_clocks=clocks_of(settings.nodes))
    table = state.routes
    relay = Relay(settings.relay, table)
    broker = Broker(settings, catalog, state, neighbours=_beside(relay.counters))
    _warn_of_an_unreachable_relay(settings, sockets)
    async with asyncio.TaskGroup() as group:
        relaying = group.create_task(relay.run(), name="relay")
        try:
            await _announced(table)
            await broker.run(sockets, stop, started=lambda: _say_where(settings, catalog, sockets))
        finally:
            relaying.cancel()


def set_aside_what_stays() -> None:
    """Collect cycles seldom, and spare what is imported by now: every caller waits while it is done.

    Next to nothing of ours is a cycle, and a session is many objects: with Python's own thresholds, collections take a
    fifth of the time while ten thousand sessions come.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _beside(counters: RelayCounters) -> Neighbours:
    """What the broker shows of the relay beside it."""
    media = counters.media_bytes
    return Neighbours((RelayCollector(counters),), lambda: {direction.value: count for direction, count in media})


async def _announced(table: RouteTable) -> None:
    """Wait for the relay, so that the first request finds it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANNOUNCED_S):
            async for _ in table.changes():
                if await table.relays():
                    return


def _stop_by_signal(stop: asyncio.Event) -> None:
    """The first signal ends in order, a second at once, a third without any clean-up."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    told: list[int] = []

    def tell(number: int) -> None:
        told.append(number)
        if len(told) == 1:
            logger.info("stopping; %s once more to force it", signal.Signals(number).name)
            stop.set()
        elif len(told) == 2 and main is not None:
            main.cancel()
        else:
            os._exit(EXIT_FORCED)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, tell, number)


def _warn_of_an_unreachable_relay(settings: UpSettings, sockets: list[socket.socket]) -> None:
    if not all(map(is_loopback, sockets)) and settings.relay.client_host in ("127.0.0.1", "::1", "localhost"):
        logger.warning("viewers on other machines cannot reach the relay on %s: set relay.host", settings.relay.host)


def _say_where(settings: UpSettings, catalog: Catalog, sockets: list[socket.socket]) -> None:
    """Print the page's address and a command that makes a session."""
    host, port = sockets[0].getsockname()[:2]
    url = f"http://{ListenAddress({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"
    body = json.dumps(_example(catalog))
    key = " -H 'Authorization: Bearer <key or token>'" if settings.identity.is_on else ""
    sys.stdout.write(
        f"Pixelferry is up. Page: {url}/\n"
        f"A session: curl -X POST {url}/stream{key} -H 'Content-Type: application/json' -H 'Prefer: wait=20' "
        f"-d '{body}'\n"
        "Ctrl-C ends it, and every session with it.\n"
    )
    sys.stdout.flush()


def _example(catalog: Catalog) -> dict[str, str]:
    """The body of a request that this catalog serves."""
    application = catalog.applications.get("usd-viewer") or next(iter(catalog.applications.values()))
    profiles = catalog.profiles_of(application, application.version(None).version)
    profile = profiles[0].id if profiles else DEFAULT_PROFILE
    named = DEFAULT_PROFILE if profile == application.default_profile else profile
    return {"id": application.id, "profile": named, "version": "latest"}
