"""The route table: brokers publish and withdraw routes; relays watch the whole desired set and report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from signaling.errors import Deposed
from signaling.routes import RelayInfo, Route, RouteReport, RouteState
from signaling.tokens import AdmissionKey


class RouteTable(Protocol):
    """One contract for the in-process form and the Redis form. Every method but `now` may raise TableUnavailable.

    Who publishes and withdraws may do so with the `fence` of its lease, and gets Deposed once another holds that.
    """

    def now(self) -> float:
        """The table's clock, seconds since the epoch; it goes on while the table is away."""

    async def publish(self, route: Route, *, fence: int | None = None) -> None:
        """Want this route; a route of the same session is replaced, and its report goes.

        One that moves to another relay is wanted of the old one too, until the new one is reported active.
        """

    async def withdraw(self, session_id: str, *, fence: int | None = None) -> None:
        """Want no route for this session; its report goes too. Idempotent."""

    async def restored(self) -> Mapping[str, Route]:
        """Routes that relays serve though the table lost them, by session id, each with its record.

        They are served on until the session's route is published or withdrawn.
        """

    async def publish_keys(self, keys: Sequence[AdmissionKey]) -> None:
        """Have admission tokens checked with these keys, and no others."""

    def watch_keys(self) -> AsyncIterator[tuple[AdmissionKey, ...]]:
        """Yield the keys that admission tokens are checked with: at once, and again after each change."""

    async def routes(self) -> Mapping[str, Route]:
        """All routes that are wanted, by session id."""

    async def reports(self) -> Mapping[str, RouteReport]:
        """The latest report of each session, by session id."""

    async def route(self, session_id: str) -> Route | None:
        """The route that is wanted for this session."""

    async def report_on(self, session_id: str) -> RouteReport | None:
        """The latest report of this session."""

    async def relays(self) -> Mapping[str, RelayInfo]:
        """The relays that are announced now, by relay id."""

    def changes(self) -> AsyncIterator[frozenset[str]]:
        """Yield at once, and then after each change of reports or relays; several changes may come as one.

        What is yielded are the ids of the sessions whose report came, changed or went: first all that have one.
        """

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        """A relay says that it lives and what it offers, for so long unless it says so again.

        In the process of the relay itself it counts until the relay retires.
        """

    async def retire(self, relay_id: str) -> None:
        """A relay says that it is gone on purpose. Idempotent."""

    async def report(self, report: RouteReport) -> None:
        """A relay says how a route stands. A report for a route that is not wanted any more is ignored."""

    def watch(self, relay_id: str) -> AsyncIterator[Mapping[str, Route]]:
        """Yield the whole set of routes wanted of this relay, by session id: at once, and again after each change.

        A relay's routes are no fewer for a table that lost its data: those of the set before are in `restored` then.
        """


class ChangeSignal:
    """Tells followers that something changed, several changes as one; none between two of their steps is missed."""

    def __init__(self) -> None:
        self._count = 0
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Tell every follower."""
        self._count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def follow(self) -> AsyncGenerator[None, None]:
        """Yield at once, then after each change."""
        seen = -1
        while True:
            if seen == self._count:
                await self._event.wait()
            seen = self._count
            yield


class _Told:
    """Tells followers of whom something was said, several of them at once."""

    def __init__(self) -> None:
        self._followers: list[tuple[asyncio.Event, set[str]]] = []

    def fire(self, *session_ids: str) -> None:
        """Tell every follower."""
        for event, waiting in self._followers:
            waiting.update(session_ids)
            event.set()

    async def follow(self, first: Iterable[str]) -> AsyncGenerator[frozenset[str], None]:
        """Yield `first` at once, then who was spoken of since."""
        event, waiting = follower = asyncio.Event(), set(first)
        self._followers.append(follower)
        event.set()
        try:
            while True:
                await event.wait()
                event.clear()
                told = frozenset(waiting)
                waiting.clear()
                yield told
        finally:
            self._followers = [other for other in self._followers if other is not follower]


class MemoryRouteTable:
    """The route table of one process."""

    def __init__(
        self, *, clock: Callable[[], float] = time.time, fence: Callable[[], int | None] = lambda: None
    ) -> None:
        """`fence` tells the number of the latest holder of the lease; None: there is none, and all may write."""
        self._clock = clock
        self._fence = fence
        self._routes: dict[str, Route] = {}
        self._before: dict[str, Route] = {}
        self._reports: dict[str, RouteReport] = {}
        self._relays: dict[str, RelayInfo] = {}
        self._keys: tuple[AdmissionKey, ...] = ()
        self._rekeyed = ChangeSignal()
        self._by_relay: dict[str, dict[str, Route]] = {}
        self._wanted: dict[str, ChangeSignal] = {}
        self._told = _Told()

    def now(self) -> float:
        return self._clock()

    async def publish(self, route: Route, *, fence: int | None = None) -> None:
        self._check_fence(fence)
        before = self._routes.get(route.session_id)
        if before == route and before.record == route.record:
            return
        self._routes[route.session_id] = route
        if before is not None and before != route:
            self._forget_report(route.session_id)
            if before.relay_id != route.relay_id:
                self._leave(before)
        self._by_relay.setdefault(route.relay_id, {})[route.session_id] = route
        if route.session_id in self._before and self._before[route.session_id].relay_id == route.relay_id:
            del self._before[route.session_id]
        self._signal(route.relay_id).fire()

    async def withdraw(self, session_id: str, *, fence: int | None = None) -> None:
        self._check_fence(fence)
        self._forget_report(session_id)
        for route in (self._routes.pop(session_id, None), self._before.pop(session_id, None)):
            if route is not None:
                self._unwant(route)

    async def restored(self) -> Mapping[str, Route]:
        return {}

    async def publish_keys(self, keys: Sequence[AdmissionKey]) -> None:
        if self._keys != tuple(keys):
            self._keys = tuple(keys)
            self._rekeyed.fire()

    async def watch_keys(self) -> AsyncIterator[tuple[AdmissionKey, ...]]:
        async for _ in self._rekeyed.follow():
            yield self._keys

    async def routes(self) -> Mapping[str, Route]:
        return dict(self._routes)

    async def reports(self) -> Mapping[str, RouteReport]:
        return dict(self._reports)

    async def relays(self) -> Mapping[str, RelayInfo]:
        return dict(self._relays)

    async def route(self, session_id: str) -> Route | None:
        return self._routes.get(session_id)

    async def report_on(self, session_id: str) -> RouteReport | None:
        return self._reports.get(session_id)

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        async with aclosing(self._told.follow(self._reports)) as changes:
            async for session_ids in changes:
                yield session_ids

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        before, self._relays[info.id] = self._relays.get(info.id), info
        if before != info:
            self._told.fire()

    async def retire(self, relay_id: str) -> None:
        if self._relays.pop(relay_id, None) is not None:
            self._told.fire()

    async def report(self, report: RouteReport) -> None:
        route = self._routes.get(report.session_id)
        if route is None or not report.is_about(route):
            return
        if self._reports.get(report.session_id) != report:
            self._reports[report.session_id] = report
            self._told.fire(report.session_id)
        if report.state is RouteState.ACTIVE and report.session_id in self._before:
            self._unwant(self._before.pop(report.session_id))

    async def watch(self, relay_id: str) -> AsyncIterator[Mapping[str, Route]]:
        async for _ in self._signal(relay_id).follow():
            yield dict(self._by_relay.get(relay_id, {}))

    def _signal(self, relay_id: str) -> ChangeSignal:
        return self._wanted.setdefault(relay_id, ChangeSignal())

    def _check_fence(self, fence: int | None) -> None:
        latest = self._fence()
        if fence is not None and latest is not None and fence != latest:
            raise Deposed(f"fence {fence} is not the latest")

    def _leave(self, before: Route) -> None:
        """Have its relay serve on the first of several that are left one after the other: no other was ever active."""
        if before.session_id in self._before:
            self._unwant(before)
        else:
            self._before[before.session_id] = before

    def _unwant(self, route: Route) -> None:
        of_relay = self._by_relay[route.relay_id]
        del of_relay[route.session_id]
        if not of_relay:
            del self._by_relay[route.relay_id]
        self._signal(route.relay_id).fire()

    def _forget_report(self, session_id: str) -> None:
        if self._reports.pop(session_id, None) is not None:
            self._told.fire(session_id)
