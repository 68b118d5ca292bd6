"""One process that holds a broker, from its settings to its end: what `pixelferry up` and `pixelferry broker` share."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from broker.admission import AdmissionTokens
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
from broker.node_file import read_nodes
from broker.settings import USUAL_LISTEN, BrokerSettings
from signaling.routes import Admission

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_FORCED = 130
_PORT_TRIES = 100

Serve = Callable[[Sequence[socket.socket], asyncio.Event], Awaitable[None]]
"""Serves on these listening sockets until the event is set."""


def run(settings: BrokerSettings, serve: Serve) -> int:
    """Serve until a signal; the exit status. Raises ConfigurationError, CannotListen."""
    sockets = _listening(settings)
    try:
        set_up(settings.log_format, settings.log_level)
        for warning in strange_variables(type(settings), os.environ):
            logger.warning("environment: %s", warning)
        if settings.audit_log is not None:
            log_to(settings.audit_log)
        return _run(serve, sockets)
    finally:
        for bound in sockets:
            bound.close()


def _run(serve: Serve, sockets: Sequence[socket.socket]) -> int:
    set_aside_what_stays()
    try:
        asyncio.run(_until_stopped(serve, sockets))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return EXIT_FORCED
    except ConfigurationError:
        raise
    except Exception:  # the root of the process
        logger.exception("Pixelferry failed")
        return EXIT_FAILED
    return 0


async def _until_stopped(serve: Serve, sockets: Sequence[socket.socket]) -> None:
    stop = asyncio.Event()
    stop_by_signal(stop)
    await serve(sockets, stop)


def catalog_of(settings: BrokerSettings) -> Catalog:
    """The catalog that is set, its backends knowing where stages may be read. Raises ConfigurationError."""
    admission = Admission.TOKEN if settings.identity.is_on else Admission.SESSION_ID
    catalog = load_catalog(settings.catalog or SHIPPED, admission=admission)
    if settings.usd_root is None:
        return catalog
    return catalog.with_environment({"PIXELFERRY_USD_ROOT": str(settings.usd_root)})


def check_secrets(settings: BrokerSettings) -> None:
    """Raises ConfigurationError for files of keys, secrets and certificates that are none."""
    Identity(settings.identity, Networks(settings.trusted_proxies))
    AdmissionTokens.of(settings.admission)
    access_keys(settings.nimble)
    NodeTokens(settings.nodes)
    if settings.nodes.file is not None:
        read_nodes(settings.nodes.file)


def _listening(settings: BrokerSettings) -> list[socket.socket]:
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


def set_aside_what_stays() -> None:
    """Collect cycles seldom, and spare what is imported by now: every caller waits while it is done.

    Next to nothing of ours is a cycle, and a session is many objects: with Python's own thresholds, collections take a
    fifth of the time while ten thousand sessions come.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def stop_by_signal(stop: asyncio.Event) -> None:
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


def say_where(settings: BrokerSettings, catalog: Catalog, sockets: Sequence[socket.socket], *, last: str) -> None:
    """Print the page's address and a command that makes a session."""
    host, port = sockets[0].getsockname()[:2]
    url = f"http://{ListenAddress({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"
    body = json.dumps(_example(catalog))
    key = " -H 'Authorization: Bearer <key or token>'" if settings.identity.is_on else ""
    sys.stdout.write(
        f"Pixelferry is up. Page: {url}/\n"
        f"A session: curl -X POST {url}/stream{key} -H 'Content-Type: application/json' -H 'Prefer: wait=20' "
        f"-d '{body}'\n"
        f"{last}\n"
    )
    sys.stdout.flush()


def _example(catalog: Catalog) -> dict[str, str]:
    """The body of a request that this catalog serves."""
    application = catalog.applications.get("usd-viewer") or next(iter(catalog.applications.values()))
    profiles = catalog.profiles_of(application, application.version(None).version)
    profile = profiles[0].id if profiles else DEFAULT_PROFILE
    named = DEFAULT_PROFILE if profile == application.default_profile else profile
    return {"id": application.id, "profile": named, "version": "latest"}
