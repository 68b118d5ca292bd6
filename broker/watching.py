"""What is watched of a broker, put together: metrics, the last hour, the audit log, and where they are shown."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client.registry import Collector

from broker.api.auth import Audience, audiences_of
from broker.api.metrics import MetricsApi
from broker.api.observing import Observer
from broker.api.operator import OperatorApi
from broker.audit import audit_session
from broker.core.catalog import Catalog
from broker.core.history import History
from broker.errors import StoreUnavailable
from broker.identity.networks import Networks
from broker.metrics import Metrics, Trouble
from broker.sessions import Sessions
from broker.stores.base import Store
from broker.stores.faults import Fault
from broker.stores.nodes import NodeStore
from signaling.errors import Deposed, TableUnavailable
from signaling.table import RouteTable


def _nothing() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What is shown of others in the same process: metrics, and bytes carried by direction."""

    collectors: Sequence[Collector] = ()
    traffic: Callable[[], Mapping[str, int]] = _nothing


class Watch:
    """Follows the store's writes from the beginning.

    `event_streams` tells how many streams of events are open, `leads` whether this broker converges sessions.
    """

    def __init__(
        self,
        store: Store,
        routes: RouteTable,
        catalog: Callable[[], Catalog],
        sessions: Sessions,
        nodes: NodeStore,
        *,
        trusted_proxies: Networks,
        neighbours: Neighbours,
        event_streams: Callable[[], int],
        leads: Callable[[], bool],
    ) -> None:
        version = _version()
        self._metrics = Metrics(version=version, leads=leads, collectors=neighbours.collectors)
        history = History()
        for listener in (audit_session, self._metrics.session_written):
            store.listen(listener)
        store.listen(history.session_written, of_others=True)
        self._observer = Observer(self._metrics, trusted_proxies=trusted_proxies)
        self._metrics_api = MetricsApi(self._metrics, store, routes, catalog, event_streams, nodes)
        self._operator_api = OperatorApi(
            sessions, routes, catalog, history, nodes, version=version, traffic=neighbours.traffic
        )

    def middleware(self) -> Middleware:
        """Outside of the gate, so that refusals are seen too."""
        return self._observer.middleware()

    def routes(self) -> Sequence[web.RouteDef]:
        """As aiohttp wants them."""
        return (*self._metrics_api.routes(), *self._operator_api.routes())

    def audiences(self) -> Mapping[tuple[str, str], Audience]:
        """Scrapers may have the metrics, admins both."""
        return {
            **audiences_of(self._metrics_api.routes(), Audience.SCRAPERS),
            **audiences_of(self._operator_api.routes(), Audience.ADMINS),
        }

    def know(self, application: web.Application, *, pages: Sequence[web.AbstractRouteDef]) -> None:
        """Tell the application's routes apart from now on; pages count as one."""
        self._observer.know(application, pages=pages)

    def store_is_faulty(self, fault: Fault, count: int) -> None:
        """Faults were found in what is stored."""
        self._metrics.store_is_faulty(fault, count)

    def troubled(self, error: Exception) -> None:
        """A session did not converge."""
        match error:
            case StoreUnavailable():
                trouble = Trouble.STORE
            case TableUnavailable():
                trouble = Trouble.ROUTES
            case Deposed():
                return
            case _:
                trouble = Trouble.UNEXPECTED
        self._metrics.did_not_converge(trouble)


def _version() -> str:
    try:
        return importlib.metadata.version("pixelferry")
    except importlib.metadata.PackageNotFoundError:
        return ""
