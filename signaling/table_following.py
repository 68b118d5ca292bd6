"""How a relay follows what is wanted of it in Redis: pushed changes, looks at the whole, and what it hands in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping

from signaling.core.wanted import Look, Wanted
from signaling.errors import TableUnavailable
from signaling.redis_link import Reply
from signaling.routes import Route
from signaling.table_link import TableLink
from signaling.table_scripts import HAND_IN, LOOK
from signaling.table_texts import Texts, items_of, name_of, number_of, pairs_of, written

_HANDED_IN_AT_ONCE = 32
_TRIES = 3
_UNKNOWN = -1


class Follower:
    """Follows one relay's set. `wanted` is what it knows of it, and goes on to the next follower."""

    def __init__(self, link: TableLink, texts: Texts, relay_id: str, wanted: Wanted) -> None:
        self.wanted = wanted
        self._link = link
        self._texts = texts
        self._relay_id = relay_id

    async def follow(self, *, look_s: float) -> AsyncGenerator[Mapping[str, Route], None]:
        """Yield the set at once, then after each change. Raises TableUnavailable."""
        loop = asyncio.get_running_loop()
        async with self._link.stream(f"feed:{self._relay_id}") as feed:
            told, known = -1, _UNKNOWN
            while True:
                await self._look(known)
                look_at, known = loop.time() + look_s, self.wanted.count
                while True:
                    if told != self.wanted.version:
                        told = self.wanted.version
                        yield self.wanted.whole()
                    left_s = look_at - loop.time()
                    if left_s <= 0:
                        break
                    changes = await feed.after(self.wanted.position, wait_s=left_s)
                    if not all(self._believe(*change) for change in changes):
                        known = _UNKNOWN
                        break
                    known = self.wanted.count

    def _believe(self, position: str, fields: Mapping[str, bytes]) -> bool:
        """Take one change; False where only a look can tell."""
        session_id, text = name_of(fields.get("s")), fields.get("r", b"")
        route = self._texts.route(session_id, text) if text else None
        if text and route is None:
            return False
        return self.wanted.change(number_of(fields.get("n")), position, session_id, route)

    async def _look(self, known: int) -> None:
        """Take the whole set, or see that it is the one of this number. What may be lost is handed in before."""
        wanted, given_to = self.wanted, None
        look = await self._ask(known, wanted.kept)
        if not wanted.is_known(look):
            look = await self._ask(_UNKNOWN, wanted.whole())
        for _ in range(_TRIES):
            missing = wanted.missing(look)
            # What another relay is to serve by now is not taken: it stays missing.
            if not missing or given_to == (look.epoch, look.origin):
                wanted.take(look)
                return
            await self._hand_in(missing.values())
            given_to = look.epoch, look.origin
            look = await self._ask(_UNKNOWN, wanted.whole())
        raise TableUnavailable("the route table loses its data time and again")

    async def _ask(self, known: int, kept: Iterable[str]) -> Look:
        origin = await self._link.origin()
        match items_of(await self._link.script(LOOK, "epoch", self._relay_id, known, *kept)):
            case [epoch, count, position, routes, handed_in]:
                found, unreadable = self._read(routes)
                return Look(
                    epoch=self._texts.epoch(epoch),
                    origin=origin,
                    count=number_of(count),
                    position=name_of(position),
                    routes=found,
                    handed_in=frozenset(name_of(session_id) for session_id in items_of(handed_in)),
                    unreadable=unreadable,
                )
        raise TableUnavailable("Redis answered a script of ours with something else")

    def _read(self, reply: Reply) -> tuple[Mapping[str, Route] | None, frozenset[str]]:
        """The routes, None where the table said that they are known, and whose are unreadable."""
        if reply is None:
            return None, frozenset()
        texts = dict(pairs_of(reply))
        read = {session_id: self._texts.route(session_id, text) for session_id, text in texts.items()}
        routes = {session_id: route for session_id, route in read.items() if route is not None}
        return routes, frozenset(read.keys() - routes.keys())

    async def _hand_in(self, routes: Iterable[Route]) -> None:
        waiting = list(routes)
        while waiting:
            some, waiting = waiting[:_HANDED_IN_AT_ONCE], waiting[_HANDED_IN_AT_ONCE:]
            texts = [text for route in some for text in (route.session_id, written(route))]
            await self._link.script(HAND_IN, "restored", *texts)
