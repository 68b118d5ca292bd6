"""The broker put together: the only place that names a concrete store, provider or API module."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web

import web as web_client
from broker.admission import AdmissionTokens
from broker.api.access import Access
from broker.api.application_edits import ApplicationEditApi
from broker.api.applications import MOUNTS, ApplicationApi
from broker.api.auth import Audience, audiences_of
from broker.api.authentication import Authentication
from broker.api.body import MAX_BODY_BYTES
from broker.api.connection import connections_of, heads_watched
from broker.api.dialect import DEPLOYED_MOUNT, DOCUMENTED_MOUNT, Dialects
from broker.api.docs import DocsApi
from broker.api.events import EventsApi
from broker.api.extend import ExtendApi
from broker.api.middleware import Gate
from broker.api.nimble.api import NimbleApi
from broker.api.nodes import NodesApi
from broker.api.ops import OpsApi
from broker.api.rate import RateLimit
from broker.api.stream import StreamApi
from broker.api.token import TokenApi
from broker.api.web import WebFiles
from broker.converging import Converging
from broker.core.catalog import Catalog
from broker.core.request import Quotas
from broker.core.session import Session
from broker.ending import end_sessions
from broker.errors import StoreUnavailable
from broker.events import Events
from broker.fellows import Fellows
from broker.identity.access_keys import access_keys
from broker.identity.identity import Identity
from broker.identity.networks import Networks
from broker.identity.node_tokens import NodeAddresses, NodeTokens
from broker.live_catalog import LiveCatalog
from broker.node_file import read_nodes
from broker.origins import own_names, page_origins, relay_origins
from broker.providers.base import Provider
from broker.providers.process import ProcessProvider, ProcessSettings, usual_backend_host
from broker.providers.static import StaticProvider
from broker.sessions import Sessions
from broker.settings import BrokerSettings
from broker.state import State
from broker.waiting_room import WaitingRoom
from broker.watching import Neighbours, Watch
from signaling.errors import TableUnavailable

logger = logging.getLogger(__name__)

_STORE_ANSWER_S = 2.0
_WHOLE_WITHIN_S = 15.0
_LOOK_S = 0.05
_HTTP_STOP_S = 3.0
_KEEPALIVE_S = 75.0
_HEAD_S = 15.0
_BACKLOG = 512


class Broker:
    """API and reconciler over one store. `run` serves until it is told to stop, and leaves nothing behind.

    Backends of `own` providers end with it, those of `common` ones outlive it. Default: processes; nodes.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        catalog: Catalog,
        state: State,
        *,
        own: Mapping[str, Provider] | None = None,
        common: Mapping[str, Provider] | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._catalog = LiveCatalog(catalog, state.catalog)
        self._routes = routes = state.routes
        self._store = state.store
        self._nodes = state.nodes
        self._listed_nodes = () if settings.nodes.file is None else read_nodes(settings.nodes.file)
        self._room = WaitingRoom()
        self._sessions = Sessions(
            self._store,
            routes,
            catalog=self._catalog,
            room=self._room,
            quotas=Quotas(settings.quota_per_owner, settings.quota_total, settings.quota_exempt_admins),
            allowed_origins=relay_origins(settings),
            fleet=self._nodes.fleet,
            pauses=lambda: self._converging.leadership.pauses,
        )
        self._identity = Identity(settings.identity, Networks(settings.trusted_proxies))
        self._access_keys = access_keys(settings.nimble)
        self._node_tokens = NodeTokens(settings.nodes)
        self._tokens = AdmissionTokens.of(settings.admission, clock=routes.now)
        self._fellows = None if state.brokers is None else Fellows(state.brokers, self._tokens.fingerprints)
        self._events = EventsApi(Events(self._sessions, self._store), mounts=(DOCUMENTED_MOUNT, DEPLOYED_MOUNT))
        self._watch = Watch(
            self._store,
            routes,
            self._catalog,
            self._sessions,
            self._nodes,
            trusted_proxies=Networks(settings.trusted_proxies),
            neighbours=neighbours or Neighbours(),
            event_streams=lambda: self._events.open,
            leads=lambda: self._converging.leadership.is_leading,
        )
        state.on_fault(self._watch.store_is_faulty)
        self._converging = Converging(
            state,
            self._catalog,
            own={"process": _process_provider(settings)} if own is None else own,
            common={"static": StaticProvider(self._nodes, listed=self._listed_nodes)} if common is None else common,
            room=self._room,
            troubled=self._watch.troubled,
        )
        self._stopping = False

    async def join(self) -> None:
        """Take a place among other brokers, if there may be any. Raises ConfigurationError where one contradicts."""
        if self._fellows is not None:
            await self._fellows.join()

    async def run(
        self, sockets: Sequence[socket.socket], stop: asyncio.Event, *, started: Callable[[], None] = lambda: None
    ) -> None:
        """Serve on these listening sockets until `stop` is set; then take nothing new and end every session.

        Those that other brokers can go on with are left to them.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._store.run(), name="store"),
                group.create_task(self._converging.run(), name="converging"),
                group.create_task(self._catalog.run(), name="catalog"),
                group.create_task(self._nodes.run(), name="nodes"),
                group.create_task(self._node_tokens.run(), name="tokens of nodes"),
                group.create_task(self._identity.run(), name="identity"),
            ]
            if self._fellows is not None:
                tasks.append(group.create_task(self._fellows.run(), name="fellow brokers"))
            await self._tokens.publish(self._routes)
            tasks.append(group.create_task(self._tokens.run(self._routes), name="admission keys"))
            async with self._serving(sockets) as servers:
                await self._until_ready(stop)
                started()
                await stop.wait()
                self._stopping = True
                for server in servers:
                    server.close()
                await self._wind_up()
            for task in tasks:
                task.cancel()

    def application(self) -> web.Application:
        """The API and the page as one aiohttp application."""
        settings = self._settings
        operations = OpsApi(self._why_not_ready).routes()
        pages = WebFiles(web_client.ROOT, frame_ancestors=settings.frame_ancestors).routes()
        dialects = Dialects(settings.routes_shape, settings.trusted_proxies)
        docs = DocsApi(dialects, self._catalog, identity=settings.identity.is_on)
        tokens = [TokenApi(self._sessions, self._tokens, mount=mount) for mount in (DOCUMENTED_MOUNT, DEPLOYED_MOUNT)]
        audiences = dict(audiences_of([*operations, *pages, *docs.routes()], Audience.EVERYONE))
        for token_api in tokens:
            audiences |= token_api.audiences()
        audiences |= self._watch.audiences()
        access = Access(frozenset(own_names(settings)), page_origins(settings))
        authentication = self._authentication(access)
        nimble = self._nimble(authentication)
        nodes = self._nodes_api(authentication)
        audiences |= nodes.audiences()
        gate = Gate(
            access,
            lambda: self._stopping,
            authentication,
            audiences=audiences,
            facades=(nimble.facade(),),
            rate=RateLimit(settings.rate_per_s, settings.rate_burst),
        )
        application = web.Application(
            middlewares=[heads_watched(), self._watch.middleware(), gate.middleware()], client_max_size=MAX_BODY_BYTES
        )
        application.on_response_prepare.append(gate.prepare)
        for mount in (DOCUMENTED_MOUNT, DEPLOYED_MOUNT):
            api = StreamApi(
                self._sessions,
                self._catalog,
                dialects,
                self._tokens,
                mount=mount,
                wait_max_s=settings.wait_max_s,
            )
            application.add_routes(api.routes())
            application.add_routes(ExtendApi(self._sessions, dialects, mount=mount).routes())
        for token_api in tokens:
            application.add_routes(token_api.routes())
        for mount in MOUNTS:
            application.add_routes(ApplicationApi(self._catalog, mount=mount).routes())
            if settings.edit_applications:
                application.add_routes(ApplicationEditApi(self._catalog, mount=mount).routes())
        application.add_routes(nimble.routes())
        application.add_routes(nodes.routes())
        application.add_routes(self._events.routes())
        application.on_shutdown.append(self._events.stop)
        application.add_routes([*self._watch.routes(), *operations, *pages, *docs.routes()])
        docs.publish(application.router.routes())
        self._watch.know(application, pages=pages)
        return application

    def _nimble(self, authentication: Authentication) -> NimbleApi:
        """Where nobody is told apart, the key `local` stands for everybody."""
        open_to_all = not self._identity.is_on and not self._access_keys
        return NimbleApi(
            self._settings.nimble,
            self._sessions,
            self._catalog,
            self._tokens,
            keys=self._access_keys,
            everybody=authentication if open_to_all else None,
            public_url=self._settings.public_url,
        )

    def _nodes_api(self, authentication: Authentication) -> NodesApi:
        settings = self._settings.nodes
        return NodesApi(
            self._nodes,
            self._store,
            tokens=self._node_tokens,
            addresses=NodeAddresses(settings.networks, allow_loopback=settings.allow_loopback),
            authenticate=authentication,
            trusted_proxies=Networks(self._settings.trusted_proxies),
            listed=[node.name for node in self._listed_nodes],
        )

    def _authentication(self, access: Access) -> Authentication:
        settings = self._settings
        return Authentication(
            self._identity,
            self._tokens,
            access,
            trusted_proxies=Networks(settings.trusted_proxies),
            metrics_from=Networks(settings.metrics_from),
        )

    @asynccontextmanager
    async def _serving(self, sockets: Sequence[socket.socket]) -> AsyncIterator[list[asyncio.Server]]:
        runner = web.AppRunner(self.application(), shutdown_timeout=_HTTP_STOP_S)
        await runner.setup()
        assert runner.server is not None
        connections = connections_of(runner.server, head_s=_HEAD_S, keepalive_s=_KEEPALIVE_S)
        servers: list[asyncio.Server] = []
        try:
            for bound in sockets:
                loop = asyncio.get_running_loop()
                servers.append(await loop.create_server(connections, sock=bound, backlog=_BACKLOG))
            yield servers
        finally:
            for server in servers:
                server.close()
            await runner.cleanup()

    async def _why_not_ready(self) -> list[str]:
        causes = ["stopping"] if self._stopping else []
        try:
            async with asyncio.timeout(_STORE_ANSWER_S):
                await self._store.check()
                relays = await self._routes.relays()
        except StoreUnavailable as error:
            return [*causes, error.reason or "the store does not answer"]
        except (TableUnavailable, TimeoutError):
            return [*causes, "the store does not answer"]
        if all(relay.draining for relay in relays.values()):
            causes.append("no relay is announced")
        return causes

    async def _until_ready(self, stop: asyncio.Event) -> None:
        """Wait until the store is whole, so that the first request finds it; not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WHOLE_WITHIN_S):
                while not stop.is_set():
                    with suppress(StoreUnavailable):
                        await self._store.check()
                        return
                    await asyncio.sleep(_LOOK_S)

    async def _wind_up(self) -> None:
        """End the sessions that end with this broker, in bounded time; the others are another's from now on."""
        leads = self._converging.leadership.is_leading
        try:
            async with asyncio.timeout(self._settings.stop_s):
                if leads or not self._state.is_shared:
                    await end_sessions(self._sessions, self._store, self._ends_with_this)
        except (StoreUnavailable, TimeoutError):
            logger.warning("not every session ended in order within %g s", self._settings.stop_s)
        if self._state.is_shared:
            await self._converging.resign()

    def _ends_with_this(self, session: Session) -> bool:
        if not self._state.is_shared:
            return True
        return session.slot is not None and self._converging.has_own(session.slot.provider)


def _process_provider(settings: BrokerSettings) -> ProcessProvider:
    ports = settings.backend_ports
    return ProcessProvider(ProcessSettings(settings.backend_host or usual_backend_host(), ports.lo, ports.hi))
