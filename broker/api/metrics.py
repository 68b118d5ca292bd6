"""The metrics over HTTP, for scrapers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from broker.core.catalog import Catalog
from broker.metrics import CONTENT_TYPE, Metrics
from broker.stores.base import Store
from broker.stores.nodes import NodeStore
from signaling.table import RouteTable

PATHS = ("/metrics", "/streaming/metrics", "/applications/metrics")


class MetricsApi:
    """`GET /metrics`, and the same where the known product has it. `event_streams` tells how many are open."""

    def __init__(
        self,
        metrics: Metrics,
        store: Store,
        routes: RouteTable,
        catalog: Callable[[], Catalog],
        event_streams: Callable[[], int],
        nodes: NodeStore,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._routes = routes
        self._catalog = catalog
        self._event_streams = event_streams
        self._nodes = nodes

    def routes(self) -> Sequence[web.RouteDef]:
        """As aiohttp wants them."""
        return tuple(web.get(path, self.get) for path in PATHS)

    async def get(self, request: web.Request) -> web.Response:
        """Everything in Prometheus' text format. Raises StoreUnavailable."""
        sessions = (await self._store.sessions()).values()
        relays = await self._routes.relays()
        fleet, now = self._nodes.fleet(), self._nodes.now()
        shown = self._metrics.shown(sessions, self._catalog(), relays, self._event_streams(), fleet=fleet, now=now)
        return web.Response(body=shown, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
