"""The broker put together: the only place that names a concrete store, provider or API module."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

from aiohttp import web

import web as web_client
from broker.admission import AdmissionTokens
from broker.api.access import Access, origins_for_relays, plain_name
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
from broker.api.ops import OpsApi
from broker.api.rate import RateLimit
from broker.api.stream import StreamApi
from broker.api.token import TokenApi
from broker.api.web import WebFiles
from broker.core.catalog import Catalog
from broker.core.principal import ITSELF
from broker.core.request import Quotas
from broker.errors import NotFound, StoreUnavailable
from broker.events import Events
from broker.identity.access_keys import access_keys
from broker.identity.identity import Identity
from broker.identity.networks import Networks
from broker.live_catalog import LiveCatalog
from broker.providers.base import Provider
from broker.providers.process import ProcessProvider, ProcessSettings, usual_backend_host
from broker.reconciler import Reconciler
from broker.sessions import Sessions
from broker.settings import BrokerSettings
from broker.stores.base import Store
from broker.stores.catalog import CatalogStore, MemoryCatalogStore
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from broker.watching import Neighbours, Watch
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_STORE_ANSWER_S = 2.0
_HTTP_STOP_S = 3.0
_KEEPALIVE_S = 75.0
_HEAD_S = 15.0
_BACKLOG = 512


class Broker:
    """API and reconciler over one store. `run` serves until it is told to stop, and leaves nothing behind."""

    def __init__(
        self,
        settings: BrokerSettings,
        catalog: Catalog,
        routes: RouteTable,
        *,
        store: Store | None = None,
        provider: Provider | None = None,
        catalog_store: CatalogStore | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = LiveCatalog(catalog, catalog_store or MemoryCatalogStore())
        self._routes = routes
        self._store = store or MemoryStore()
        self._provider = provider or _process_provider(settings)
        self._room = WaitingRoom()
        self._sessions = Sessions(
            self._store,
            routes,
            catalog=self._catalog,
            room=self._room,
            quotas=Quotas(settings.quota_per_owner, settings.quota_total, settings.quota_exempt_admins),
            allowed_origins=_relay_origins(settings),
        )
        self._identity = Identity(settings.identity, Networks(settings.trusted_proxies))
        self._access_keys = access_keys(settings.nimble)
        self._tokens = AdmissionTokens.of(settings.admission)
        self._events = EventsApi(Events(self._sessions, self._store), mounts=(DOCUMENTED_MOUNT, DEPLOYED_MOUNT))
        self._watch = Watch(
            self._store,
            routes,
            self._catalog,
            self._sessions,
            trusted_proxies=Networks(settings.trusted_proxies),
            neighbours=neighbours or Neighbours(),
            event_streams=lambda: self._events.open,
        )
        self._stopping = False

    async def run(
        self, sockets: Sequence[socket.socket], stop: asyncio.Event, *, started: Callable[[], None] = lambda: None
    ) -> None:
        """Serve on these listening sockets until `stop` is set; then take nothing new and end every session."""
        providers = {"process": self._provider}
        reconciler = Reconciler(
            self._store, self._routes, providers, self._catalog, room=self._room, troubled=self._watch.troubled
        )
        async with asyncio.TaskGroup() as group:
            reconciling = group.create_task(reconciler.run(), name="reconciler")
            following = group.create_task(self._catalog.run(), name="catalog")
            identifying = group.create_task(self._identity.run(), name="identity")
            await self._tokens.publish(self._routes)
            signing = group.create_task(self._tokens.run(self._routes), name="admission keys")
            async with self._serving(sockets) as servers:
                started()
                await stop.wait()
                self._stopping = True
                for server in servers:
                    server.close()
                await self._end_sessions()
            reconciling.cancel()
            following.cancel()
            identifying.cancel()
            signing.cancel()

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
        access = Access(frozenset(_own_names(settings)), _page_origins(settings))
        authentication = self._authentication(access)
        nimble = self._nimble(authentication)
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
                await self._store.now()
                relays = await self._routes.relays()
        except (StoreUnavailable, TimeoutError):
            return [*causes, "the store does not answer"]
        if all(relay.draining for relay in relays.values()):
            causes.append("no relay is announced")
        return causes

    async def _end_sessions(self) -> None:
        """End all sessions and wait until they hold nothing any more, in bounded time."""
        try:
            async with asyncio.timeout(self._settings.stop_s):
                for session in await self._sessions.list(by=ITSELF):
                    with suppress(NotFound):
                        await self._sessions.end(session.id, by=ITSELF)
                async with aclosing(self._store.changes()) as changes:
                    async for _ in changes:
                        sessions = (await self._store.sessions()).values()
                        if all(session.slot is None and session.ports is None for session in sessions):
                            return
        except (StoreUnavailable, TimeoutError):
            logger.warning("not every session ended in order within %g s", self._settings.stop_s)


def _process_provider(settings: BrokerSettings) -> ProcessProvider:
    ports = settings.backend_ports
    return ProcessProvider(ProcessSettings(settings.backend_host or usual_backend_host(), ports.lo, ports.hi))


def _own_names(settings: BrokerSettings) -> list[str]:
    """Names of this API besides the loopback ones."""
    listen = [] if settings.listen is None else [plain_name(settings.listen.host)]
    return [name for name in (*settings.names, *listen) if not _is_wildcard(name)]


def _page_origins(settings: BrokerSettings) -> frozenset[str] | None:
    """Whose pages may use the API while there is identity; None without."""
    return frozenset(settings.cors_origins) if settings.identity.is_on else None


def _relay_origins(settings: BrokerSettings) -> tuple[str, ...]:
    """Whose pages may open signaling. Where every address of this machine is listened on, its names are not known."""
    if settings.identity.is_on:
        return tuple(dict.fromkeys((*settings.cors_origins, *origins_for_relays(_own_names(settings)))))
    if settings.listen is not None and _is_wildcard(settings.listen.host):
        return ("*",)
    return origins_for_relays(_own_names(settings))


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
