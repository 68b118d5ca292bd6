"""The route table in Redis, for any number of brokers and relays. Keys and steps: signaling/table_scripts.py.

Changes are pushed by streams; a look at the whole every second or so, and where a change was missed, makes good what
was lost. A broker that follows `changes` knows routes and reports by itself; one that does not asks Redis.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from signaling.core.route_mirror import Announcements, RouteMirror
from signaling.core.wanted import Wanted
from signaling.errors import Deposed, NameTaken, TableUnavailable
from signaling.redis_clock import RedisClock
from signaling.redis_link import RedisLink, Reply
from signaling.routes import RelayInfo, Route, RouteReport
from signaling.table_following import Follower
from signaling.table_link import TableLink
from signaling.table_mirroring import Mirroring
from signaling.table_scripts import ANNOUNCE, PUBLISH, REKEY, REPORT, RETIRE, WITHDRAW
from signaling.table_texts import (
    Texts,
    announcement_written,
    entries_of,
    keys_written,
    number_of,
    pairs_of,
    route_written,
    written,
)
from signaling.tokens import AdmissionKey

_FOR_EVER_S = 365 * 86400.0
_EXCUSED_S = 5.0
"""So long announcements count on once the table is back: their relays could not renew them before."""

_RELAYS_FOR_S = 0.5
"""So long a broker that follows nothing believes what it read of relays."""

_KEYS_EVERY_S = 10.0
_DEPOSED = -1


class RedisRouteTable:
    """One process's way to the table. `close` ends what it opened; the link stays its owner's to close.

    `look_s`: how often who follows looks at the whole, though nothing was pushed.
    """

    def __init__(self, link: RedisLink, *, clock: RedisClock | None = None, look_s: float = 1.0) -> None:
        self._clock = clock or RedisClock(link)
        self._link = TableLink(link, self._clock)
        self._look_s = look_s
        self._texts = Texts()
        self._keys: tuple[AdmissionKey, ...] = ()
        self._keys_key = link.key("keys")
        self._published: str | None = None
        self._wanted: dict[str, Wanted] = {}
        self._mirrors: list[RouteMirror] = []
        self._announced: dict[str, str] = {}
        self._announcements = Announcements()
        self._relays_read_at: float | None = None
        self._was_away = False

    @property
    def set_aside(self) -> int:
        """Values met so far that made no sense."""
        return self._texts.set_aside

    async def close(self) -> None:
        """End what it follows. Idempotent."""
        await self._link.close()

    def now(self) -> float:
        return self._clock.now()

    # What brokers want.

    async def publish(self, route: Route, *, fence: int | None = None) -> None:
        text, full = route_written(route), written(route)
        session_id = route.session_id
        reply = await self._link.script(PUBLISH, "routes", _fence(fence), session_id, route.relay_id, text, full)
        self._put(session_id, route, _number(reply, fence))

    async def withdraw(self, session_id: str, *, fence: int | None = None) -> None:
        reply = await self._link.script(WITHDRAW, "routes", _fence(fence), session_id)
        self._put(session_id, None, _number(reply, fence))

    def _put(self, session_id: str, route: Route | None, number: int) -> None:
        for mirror in self._mirrors:
            mirror.put_route(session_id, route, number=number or None)

    async def restored(self) -> Mapping[str, Route]:
        texts = await self._link.hash("restored")
        return {key: route for key, text in texts.items() if (route := self._texts.route(key, text))}

    async def publish_keys(self, keys: Sequence[AdmissionKey]) -> None:
        self._published = keys_written(keys)
        await self._link.script(REKEY, "keys", self._published)

    # What brokers ask.

    async def routes(self) -> Mapping[str, Route]:
        if (mirror := self._mirror()) is not None:
            return dict(mirror.routes)
        texts = await self._link.hash("routes")
        return {key: route for key, text in texts.items() if (route := self._texts.route(key, text))}

    async def reports(self) -> Mapping[str, RouteReport]:
        if (mirror := self._mirror()) is not None:
            return dict(mirror.reports)
        texts = await self._link.hash("reports")
        return {key: report for key, text in texts.items() if (report := self._texts.report(key, text))}

    async def route(self, session_id: str) -> Route | None:
        if (mirror := self._mirror()) is not None:
            return mirror.routes.get(session_id)
        text = await self._link.call("HGET", self._link.key("routes"), session_id)
        return self._texts.route(session_id, text) if isinstance(text, bytes) else None

    async def report_on(self, session_id: str) -> RouteReport | None:
        if (mirror := self._mirror()) is not None:
            return mirror.reports.get(session_id)
        text = await self._link.call("HGET", self._link.key("reports"), session_id)
        return self._texts.report(session_id, text) if isinstance(text, bytes) else None

    def _mirror(self) -> RouteMirror | None:
        """One that may be asked: none while another is not whole yet, as that is to know more."""
        return self._mirrors[-1] if self._mirrors and all(mirror.is_whole for mirror in self._mirrors) else None

    async def relays(self) -> Mapping[str, RelayInfo]:
        read_at = self._relays_read_at
        if read_at is None or time.monotonic() - read_at > _RELAYS_FOR_S:
            await self._look_at_relays()
        return self._announcements.relays(self.now())

    async def _look_at_relays(self) -> int:
        """Read the announcements; how often they changed so far, loads left out."""
        read_at = time.monotonic()
        try:
            await self._link.look_at_clock()
            reply, keys = await self._link.calls(("HGETALL", self._link.key("relays")), ("EXISTS", self._keys_key))
            if keys == 0 and self._published is not None:
                await self._link.script(REKEY, "keys", self._published)  # they were lost
        except TableUnavailable:
            self._was_away, self._relays_read_at = True, None
            raise
        if self._was_away:
            self._was_away = False
            self._announcements.excuse(self.now() + _EXCUSED_S)
        self._relays_read_at = read_at
        known = {key: one for key, text in pairs_of(reply) if (one := self._texts.relay(key, text))}
        self._announcements.take(known, self.now())
        return self._announcements.version

    async def changes(self) -> AsyncGenerator[frozenset[str], None]:
        mirror = RouteMirror()
        mirroring = Mirroring(self._link, self._texts, mirror, self._look_at_relays)
        self._mirrors.append(mirror)
        try:
            async with aclosing(mirroring.follow(look_s=self._look_s)) as changes:
                async for session_ids in changes:
                    yield session_ids
        except TableUnavailable:
            self._was_away = True
            raise
        finally:
            self._mirrors = [other for other in self._mirrors if other is not mirror]

    # What relays do.

    async def announce(self, info: RelayInfo, *, ttl_s: float | None = None) -> None:
        announcement, load = announcement_written(info)
        ttl_ms = round((_FOR_EVER_S if ttl_s is None else ttl_s) * 1000)
        standing = await self._link.script(ANNOUNCE, "relays", info.id, announcement, load, ttl_ms)
        self._relays_read_at = None
        if isinstance(standing, bytes):
            raise NameTaken(info.id, self._texts.where(standing))
        self._announced[info.id] = announcement
        await self._link.look_at_clock()

    async def retire(self, relay_id: str) -> None:
        announcement = self._announced.pop(relay_id, None)
        if announcement is not None:
            await self._link.script(RETIRE, "relays", relay_id, announcement)
            self._relays_read_at = None

    async def report(self, report: RouteReport) -> None:
        number = number_of(await self._link.script(REPORT, "reports", report.session_id, written(report)))
        if number > 0:
            for mirror in self._mirrors:
                mirror.put_report(report, number=number)

    async def watch(self, relay_id: str) -> AsyncGenerator[Mapping[str, Route], None]:
        wanted = self._wanted[relay_id] = Wanted(self._wanted.get(relay_id))
        follower = Follower(self._link, self._texts, relay_id, wanted)
        async with aclosing(follower.follow(look_s=self._look_s)) as sets:
            async for routes in sets:
                yield routes

    async def watch_keys(self) -> AsyncGenerator[tuple[AdmissionKey, ...], None]:
        told: tuple[AdmissionKey, ...] | None = None
        position = "0-0"
        async with self._link.stream("keys") as stream:
            while True:
                entries = list(entries_of(await self._link.call("XREVRANGE", self._keys_key, "+", "-", "COUNT", 1)))
                while True:
                    for position, fields in entries:  # noqa: B007
                        keys = self._texts.keys(fields.get("k", b""))
                        self._keys = self._keys if keys is None else keys
                    if told != self._keys:
                        told = self._keys
                        yield told
                    entries = await stream.after(position, wait_s=_KEYS_EVERY_S)
                    if not entries:
                        break


def _fence(fence: int | None) -> str:
    return "" if fence is None else str(fence)


def _number(reply: Reply, fence: int | None) -> int:
    """The number of the change that a script made; raises Deposed."""
    number = number_of(reply)
    if number == _DEPOSED:
        raise Deposed(f"fence {fence} is not the latest")
    return number
