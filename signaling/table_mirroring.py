"""How a broker follows what is said of routes in Redis, so that it knows without asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from signaling.core.route_mirror import RouteMirror
from signaling.table_link import TableLink
from signaling.table_scripts import SAID
from signaling.table_texts import Texts, items_of, name_of, number_of

_RELAYS_EVERY_S = 1.0


class Mirroring:
    """Keeps one mirror. `look_at_relays` reads the announcements and tells how often they changed so far."""

    def __init__(
        self, link: TableLink, texts: Texts, mirror: RouteMirror, look_at_relays: Callable[[], Awaitable[int]]
    ) -> None:
        self._link = link
        self._texts = texts
        self._mirror = mirror
        self._look_at_relays = look_at_relays

    async def follow(self, *, look_s: float) -> AsyncGenerator[frozenset[str], None]:
        """Yield whose report came, changed or went: first all that have one. Raises TableUnavailable."""
        loop, mirror = asyncio.get_running_loop(), self._mirror
        async with self._link.stream("said") as said:
            await self._read_all()
            relays = await self._look_at_relays()
            yield mirror.tell()
            look_at = loop.time() + look_s
            while True:
                changes = await said.after(mirror.position, wait_s=min(_RELAYS_EVERY_S, look_s))
                is_whole = all(self._believe(*change) for change in changes)
                if not is_whole or loop.time() >= look_at:
                    if not is_whole or not await self._is_up_to_date():
                        await self._read_all()
                    look_at = loop.time() + look_s
                before, relays = relays, await self._look_at_relays()
                if (told := mirror.tell()) or relays != before:
                    yield told

    async def _is_up_to_date(self) -> bool:
        """Whether nothing was said that did not come; what came since the stream was read counts as that."""
        return number_of((await self._standing())[0]) == self._mirror.count

    async def _standing(self) -> tuple[int, str]:
        match items_of(await self._link.script(SAID, "said")):
            case [count, position]:
                return number_of(count), name_of(position)
        return -1, "0-0"

    async def _read_all(self) -> None:
        """Read everything. What changes while it is read comes again as a change."""
        count, position = await self._standing()
        read, texts = self._link.hash, self._texts
        routes = {key: route for key, text in (await read("routes")).items() if (route := texts.route(key, text))}
        reports = {key: report for key, text in (await read("reports")).items() if (report := texts.report(key, text))}
        about = {key: report for key, report in reports.items() if key in routes and report.is_about(routes[key])}
        self._mirror.take(count, position, routes, about)

    def _believe(self, position: str, fields: Mapping[str, bytes]) -> bool:
        """Take one change; False where some before it were missed."""
        mirror, session_id = self._mirror, name_of(fields.get("s"))
        if not mirror.follows(number_of(fields.get("n")), position):
            return False
        if not session_id or not mirror.is_news(session_id):
            return True
        if (text := fields.get("w")) is not None:
            mirror.put_route(session_id, self._texts.route(session_id, text) if text else None)
        elif (text := fields.get("r")) is not None and (report := self._texts.report(session_id, text)):
            mirror.put_report(report)
        return True
