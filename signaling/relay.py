"""The relay: makes the routes that are wanted of it run, and reports how they stand.

It knows the route table alone. What is served goes on while the table is away; a route ends only when a set that was
seen does not hold it. Trouble with one route stays with that route.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass

from signaling.core.handshake import CloseCode
from signaling.doorkeeper import Doorkeeper
from signaling.errors import PortUnavailable, TableUnavailable
from signaling.forwarder import Forwarder
from signaling.load import LoadMeter
from signaling.metrics import RelayCounters
from signaling.routes import RelayInfo, RelayLoad, Route, RouteError, RouteReport, RouteState
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_TICK_S = 1.0


@dataclass(slots=True)
class _Served:
    """A route as far as it got: with its forwarder, or with the error that prevented it."""

    route: Route
    forwarder: Forwarder | None = None
    error: RouteError | None = None
    reported: RouteReport | None = None
    reported_at: float = 0

    def report(self) -> RouteReport:
        if self.forwarder is not None:
            return self.forwarder.report()
        route = self.route
        ports = (route.signaling_port, route.media_port)
        return RouteReport(route.session_id, route.relay_id, *ports, route.backend, RouteState.FAILED, self.error)


class Relay:
    """One relay process; `run` is its whole life. Its time is the table's, so that a wrong clock harms nobody."""

    def __init__(self, settings: RelaySettings, table: RouteTable, *, clock: Callable[[], float] | None = None) -> None:
        self.counters = RelayCounters()
        self._settings = settings
        self._table = table
        self._clock = clock or table.now
        self._doorkeeper = Doorkeeper(clock=self._clock)
        self._sockets = SocketFactory(settings.socket_buffer_bytes)
        self._wanted: Mapping[str, Route] = {}
        self._served: dict[str, _Served] = {}
        self._changing: set[str] = set()
        self._meter = LoadMeter()
        self._load = RelayLoad()
        self._draining = False
        self._announce_now = asyncio.Event()
        self._emptied = asyncio.Event()
        self._table_is_away = False
        self._closed = False

    @property
    def info(self) -> RelayInfo:
        """What the relay says of itself."""
        settings = self._settings
        return RelayInfo(
            settings.id,
            settings.client_host,
            settings.client_port_range,
            settings.capacity,
            _version(),
            settings.zone,
            self._draining,
            settings.candidate_hosts,
            self._load,
        )

    @property
    def causes(self) -> list[str]:
        """Why it should be given no new sessions now; nothing where it may."""
        causes = ["draining"] if self._draining else []
        return [*causes, "the route table does not answer"] if self._table_is_away else causes

    def drain(self) -> None:
        """Take no new sessions from now on; what is served is served on. Idempotent."""
        self._draining = True
        self._announce_now.set()

    async def drained(self) -> None:
        """Wait, once it drains, until every session has ended or moved elsewhere."""
        while self._served or self._changing:
            self._emptied.clear()
            await self._emptied.wait()

    async def run(self) -> None:
        """Serve until cancelled; then viewers are told to reconnect, and every port and socket is given back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(tasks), name="relay: follow routes")
                tasks.create_task(self._follow_keys(), name="relay: follow admission keys")
                tasks.create_task(self._announce(), name="relay: announce")
                tasks.create_task(self._tend(), name="relay: tend routes")
        finally:
            await self.close()

    async def close(self) -> None:
        """Retire, and end what is served, in bounded time. Idempotent; `run` does it by itself."""
        if self._closed:
            return
        self._closed = True
        served, self._served = self._served, {}
        closing = [one.forwarder.close(CloseCode.DRAINING) for one in served.values() if one.forwarder is not None]
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("a route could not be closed cleanly", exc_info=outcome)
        await self._tell(self._table.retire(self._settings.id))

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            try:
                async for wanted in self._table.watch(self._settings.id):
                    self._note_table(None)
                    self._take(wanted)
                    self._converge(tasks)
            except TableUnavailable as exc:
                self._note_table(exc)
            await asyncio.sleep(self._settings.table_retry_s)

    def _take(self, wanted: Mapping[str, Route]) -> None:
        """Want this set. A table that has a route anew may not have the report of it any more."""
        for session_id, served in self._served.items():
            if wanted.get(session_id) is not self._wanted.get(session_id):
                served.reported = None
        self._wanted = wanted

    async def _follow_keys(self) -> None:
        """Check admission tokens with the table's keys; with the last ones while it is away."""
        while True:
            try:
                async for keys in self._table.watch_keys():
                    self._doorkeeper.rekey(keys)
            except TableUnavailable as exc:
                self._note_table(exc)
            await asyncio.sleep(self._settings.table_retry_s)

    def _converge(self, tasks: asyncio.TaskGroup) -> None:
        for session_id in self._wanted.keys() | self._served.keys():
            if session_id not in self._changing and not self._is_settled(session_id):
                self._changing.add(session_id)
                tasks.create_task(self._change(session_id), name=f"relay: change route {session_id}")

    def _is_settled(self, session_id: str) -> bool:
        served = self._served.get(session_id)
        return (served.route if served is not None else None) == self._wanted.get(session_id)

    async def _change(self, session_id: str) -> None:
        """Bring one route to what is wanted, however often that changes meanwhile."""
        try:
            while not self._is_settled(session_id):
                await self._replace(session_id, self._wanted.get(session_id))
        finally:
            self._changing.discard(session_id)
            if not self._served and not self._changing:
                self._emptied.set()

    async def _replace(self, session_id: str, route: Route | None) -> None:
        old = self._served.pop(session_id, None)
        if old is not None and old.forwarder is not None:
            goes_on = route is not None or await self._is_elsewhere(session_id)
            await self._end(old.forwarder, CloseCode.DRAINING if goes_on else CloseCode.ENDED)
        if route is None:
            return
        served = self._served[session_id] = await self._start(route)
        await self._report(served)

    async def _is_elsewhere(self, session_id: str) -> bool:
        """Whether the session moved to another relay, or who knows: a viewer that comes again is told by the broker."""
        try:
            async with asyncio.timeout(self._settings.table_timeout_s):
                return await self._table.route(session_id) is not None
        except (TableUnavailable, TimeoutError):
            return True

    async def _end(self, forwarder: Forwarder, code: CloseCode) -> None:
        try:
            await forwarder.close(code)
        except Exception:
            logger.exception("a route could not be closed cleanly", extra={"route": forwarder.route.session_id})
        else:
            logger.info("route ended: %s", forwarder.route, extra={"route": forwarder.route.session_id})

    async def _start(self, route: Route) -> _Served:
        extra = {"route": route.session_id}
        forwarder = Forwarder(
            route,
            self._settings,
            self.counters,
            sockets=self._sockets,
            doorkeeper=self._doorkeeper,
            clock=self._clock,
        )
        try:
            await forwarder.open()
        except PortUnavailable as exc:
            logger.warning("route failed: %s: %s", route, exc, extra=extra)
            return _Served(route, error=exc.error)
        except Exception:
            logger.exception("route failed: %s", route, extra=extra)
            return _Served(route, error=RouteError.INTERNAL)
        logger.info("route active: %s", route, extra=extra)
        return _Served(route, forwarder)

    async def _tend(self) -> None:
        while True:
            for served in list(self._served.values()):
                try:
                    if served.forwarder is not None:
                        served.forwarder.sweep()
                    await self._report(served)
                except Exception:  # of one route: the others go on
                    logger.exception("a route could not be tended", extra={"route": served.route.session_id})
            bound = sum(served.forwarder is not None for served in self._served.values())
            now, datagrams = asyncio.get_running_loop().time(), self.counters.media_packets.total()
            self._load = self._meter.measure(now, sessions=bound, datagrams=datagrams)
            await asyncio.sleep(_TICK_S)

    async def _announce(self) -> None:
        """Say that it lives, and at once when it drains."""
        while True:
            self._announce_now.clear()
            await self._tell(self._table.announce(self.info, ttl_s=self._settings.announce_ttl_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.announce_s):
                    await self._announce_now.wait()

    async def _report(self, served: _Served) -> None:
        """Report a route if it changed, or if its last report is old."""
        now = asyncio.get_running_loop().time()
        report = served.report()
        if report == served.reported and now - served.reported_at < self._settings.report_s:
            return
        if await self._tell(self._table.report(report)):
            served.reported, served.reported_at = report, now

    async def _tell(self, telling: Coroutine[None, None, None]) -> bool:
        """Whether the table heard it; the next tick tries again."""
        try:
            async with asyncio.timeout(self._settings.table_timeout_s):
                await telling
        except (TableUnavailable, TimeoutError) as exc:
            self._note_table(exc)
            return False
        self._note_table(None)
        return True

    def _note_table(self, trouble: Exception | None) -> None:
        """Log the begin and the end of an outage of the table, once each."""
        if (trouble is not None) == self._table_is_away:
            return
        self._table_is_away = trouble is not None
        if trouble is not None:
            logger.warning("the route table is away, routes are served on: %r", trouble)
        else:
            logger.info("the route table is back")


def _version() -> str:
    try:
        return importlib.metadata.version("pixelferry")
    except importlib.metadata.PackageNotFoundError:
        return "0"
