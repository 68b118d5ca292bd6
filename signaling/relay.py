"""The relay: makes the routes that are wanted of it run, and reports how they stand.

It knows the route table alone. What is served goes on while the table is away; a route ends only when a set that was
seen does not hold it. Trouble with one route stays with that route.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from signaling.core.handshake import CloseCode
from signaling.doorkeeper import Doorkeeper
from signaling.errors import PortUnavailable, TableUnavailable
from signaling.forwarder import Forwarder
from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import RelaySnapshot
from signaling.load import LoadMeter
from signaling.metrics import RelayCounters, RelayState
from signaling.routes import RelayInfo, RelayLoad, Route, RouteError, RouteReport, RouteState
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.table import RouteTable
from signaling.telling import Telling

logger = logging.getLogger(__name__)

_TICK_S = 1.0
_FLUSH_STEP_S = 0.005


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
        self._announced = asyncio.Event()
        self._emptied = asyncio.Event()
        self._telling = Telling(settings.table_timeout_s)
        self._closed = False
        self._tasks: asyncio.TaskGroup | None = None
        self._inherited: list[Forwarder] = []
        self._left: list[Forwarder] = []
        self._held = False

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
        trouble = self._telling.trouble
        return causes if trouble is None else [*causes, f"the route table does not answer: {trouble}"]

    @property
    def state(self) -> RelayState:
        """How it stands, for those who look after it."""
        bound = len(self._forwarders())
        failed = len(self._served) - bound
        return RelayState(bound, failed, self._settings.capacity, self._draining, self._telling.trouble is not None)

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
        """Serve until cancelled; then viewers are told to reconnect, and every port and socket is given back.

        What a successor took over is not closed but left to it.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                tasks = self._tasks
                await asyncio.gather(*(forwarder.resume_signaling() for forwarder in self._inherited))
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
        forwarders = [*self._forwarders(), *self._left]
        self._served = {}
        closing = [forwarder.close(CloseCode.DRAINING) for forwarder in forwarders]
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.error("a route could not be closed cleanly", exc_info=outcome)
        await self._telling.tell(self._table.retire(self._settings.id))

    # To a successor.

    async def hold(self, *, within_s: float) -> bool:
        """Change no route until `release`. Whether none is being changed, after a wait in which signaling is sent."""
        self._held = True
        for forwarder in self._forwarders():
            forwarder.hold(held=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._changing or not all(forwarder.is_flushed for forwarder in self._forwarders()):  # noqa: ASYNC110
                    await asyncio.sleep(_FLUSH_STEP_S)  # transports do not say when they are empty
        return not self._changing

    def release(self) -> None:
        """Go on after `hold`."""
        self._held = False
        for forwarder in self._forwarders():
            forwarder.hold(held=False)
        if self._tasks is not None:
            self._converge(self._tasks)

    def snapshot(self, packing: Packing) -> RelaySnapshot:
        """All that is served, for another process to go on with; time must stand still until it does."""
        return RelaySnapshot(
            relay=self._settings.id,
            wanted=tuple(self._wanted.values()),
            keys=self._doorkeeper.keys,
            served=tuple(forwarder.snapshot(packing) for forwarder in self._forwarders()),
            counters=self.counters.snapshot(),
        )

    def restore(self, told: RelaySnapshot, inherited: Inherited) -> None:
        """Take what a predecessor served, before `run`; raises ValueError. `read_media` is next, and cannot wait."""
        self._wanted = {route.session_id: route for route in told.wanted}
        self._doorkeeper.rekey(told.keys)
        self.counters.restore(told.counters)
        for one in told.served:
            forwarder = self._forwarder(one.route)
            self._inherited.append(forwarder)
            forwarder.restore(one, inherited)
            self._served[one.route.session_id] = _Served(one.route, forwarder)

    def read_media(self) -> None:
        """Let media pass that was taken over; raises nothing."""
        for forwarder in self._inherited:
            forwarder.read_media()

    def abandon(self) -> None:
        """A successor has everything: touch nothing more, and say nothing to anybody. `run` may be cancelled now."""
        self._held = self._telling.ended = True
        self._left, self._served = self._forwarders(), {}
        for forwarder in self._left:
            forwarder.abandon()

    def _forwarders(self) -> list[Forwarder]:
        return [served.forwarder for served in self._served.values() if served.forwarder is not None]

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Serve what is wanted; of whoever has this name, so not before that is ours."""
        await self._announced.wait()
        while True:
            try:
                async for wanted in self._table.watch(self._settings.id):
                    self._telling.note(None)
                    self._take(wanted)
                    self._converge(tasks)
            except TableUnavailable as exc:
                self._telling.note(exc)
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
                self._telling.note(exc)
            await asyncio.sleep(self._settings.table_retry_s)

    def _converge(self, tasks: asyncio.TaskGroup) -> None:
        if self._held:
            return
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
        forwarder = self._forwarder(route)
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

    def _forwarder(self, route: Route) -> Forwarder:
        return Forwarder(
            route,
            self._settings,
            self.counters,
            sockets=self._sockets,
            doorkeeper=self._doorkeeper,
            clock=self._clock,
        )

    async def _tend(self) -> None:
        while True:
            for served in list(self._served.values()):
                try:
                    if served.forwarder is not None:
                        served.forwarder.sweep()
                    await self._report(served)
                except Exception:  # of one route: the others go on
                    logger.exception("a route could not be tended", extra={"route": served.route.session_id})
            now, datagrams = asyncio.get_running_loop().time(), self.counters.media_packets.total()
            self._load = self._meter.measure(now, sessions=self.state.sessions, datagrams=datagrams)
            await asyncio.sleep(_TICK_S)

    async def _announce(self) -> None:
        """Say that it lives, and at once when it drains."""
        while True:
            self._announce_now.clear()
            if await self._telling.tell(self._table.announce(self.info, ttl_s=self._settings.announce_ttl_s)):
                self._announced.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.announce_s):
                    await self._announce_now.wait()

    async def _report(self, served: _Served) -> None:
        """Report a route if it changed, or if its last report is old."""
        now = asyncio.get_running_loop().time()
        report = served.report()
        if report == served.reported and now - served.reported_at < self._settings.report_s:
            return
        if await self._telling.tell(self._table.report(report)):
            served.reported, served.reported_at = report, now


def _version() -> str:
    try:
        return importlib.metadata.version("pixelferry")
    except importlib.metadata.PackageNotFoundError:
        return "0"
