"""Mends the data of the Redis store: what is no session is set aside; claims, counts and index follow the sessions.

None of it is ever needed while nobody but the scripts writes under our keys, and Redis forgets nothing by itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from broker.core.ledger import claims_of
from broker.stores.faults import Fault, Faulty
from broker.stores.records import Record, place_of, word
from broker.stores.scripts import Scripts
from broker.stores.view import View
from signaling.redis_link import RedisLink, Reply
from signaling.redis_replies import items, number, pairs, text, texts

logger = logging.getLogger(__name__)

SESSIONS_AT_ONCE = 256
_MENDING_MS = 20_000
_ASIDE_MS = 24 * 3600 * 1000


class Mending:
    """One broker's. Every method raises RedisUnavailable."""

    def __init__(self, link: RedisLink, view: View, faulty: Faulty) -> None:
        self._link = link
        self._view = view
        self._faulty = faulty
        self._base = link.key("")
        self._scripts = Scripts()
        self._seeks_strays = True

    def seek_strays(self) -> None:
        """Go through all keys the next time: some session is not where it was."""
        self._seeks_strays = True

    async def set_aside(self, session_ids: Iterable[str]) -> None:
        """Take what is no session, or nothing, out of the way, if it still is none; for a day it can be looked at."""
        for session_id in session_ids:
            found = await self._found(session_id)
            if _is_session(session_id, found):
                continue
            known = self._view.picture.sessions.get(session_id)
            claims = "" if known is None else " ".join(map(word, sorted(claims_of(known))))
            arguments = (session_id, found, _ASIDE_MS, claims)
            # One that ended may lapse while it is looked at: then it is no fault that it is not there.
            if await self._link.script(self._scripts.set_aside, [self._base], arguments) == 1:
                self._seeks_strays = True
                self._faulty(Fault.SET_ASIDE, 1)
                logger.error("what is stored as session %r is none, and is set aside for a day", session_id)

    async def mend(self, live: Sequence[str], ended: Iterable[str], position: str) -> bool:
        """Make claims, counts and index what the sessions say, unless another broker is at it.

        `position`: the change up to which everything is known. Returns whether sessions came back into the index.
        """
        mending = self._base + "mending"
        if await self._link.call("SET", mending, self._view.writer, "NX", "PX", _MENDING_MS) is None:
            return False
        for some in portions(live, SESSIONS_AT_ONCE):
            mended, doubled = items(await self._link.script(self._scripts.mend_claims, [self._base], some))
            self._tell(Fault.CLAIM_MENDED, texts(mended))
            self._tell(Fault.CLAIM_DOUBLED, texts(doubled))
        if self._seeks_strays and await self._gather_strays({*live, *ended}):
            return True
        await self._mend_counts(position)
        return False

    async def _found(self, session_id: str) -> bytes:
        key = f"{self._base}session:{session_id}"
        found = await self._link.call("GET", key) if await self._link.call("TYPE", key) == b"string" else b""
        return found if isinstance(found, bytes) else b""

    async def _gather_strays(self, indexed: set[str]) -> bool:
        """Go through all keys once: free the claims of sessions that are gone, index the sessions that are not.

        Returns whether there were such sessions.
        """
        self._seeks_strays = False
        cursor: Reply = b"0"
        found_any = False
        while True:
            command = ("SCAN", text(cursor), "MATCH", f"{_literal(self._base)}*", "COUNT", 1000)
            cursor, found = items(await self._link.call(*command))
            names = [name.removeprefix(self._base) for name in texts(found)]
            claims = [name.removeprefix("claim:") for name in names if name.startswith("claim:")]
            if claims:
                self._tell(
                    Fault.CLAIM_MENDED,
                    texts(await self._link.script(self._scripts.free_claims, [self._base], claims)),
                )
            sessions = (name.removeprefix("session:") for name in names if name.startswith("session:"))
            found_any |= await self._index([session_id for session_id in sessions if session_id not in indexed])
            if cursor == b"0":
                return found_any

    async def _index(self, session_ids: Iterable[str]) -> bool:
        found_any = False
        for session_id in session_ids:
            try:
                session = Record.parse(session_id, await self._found(session_id)).session
            except ValueError:
                await self.set_aside((session_id,))
                continue
            if session.forget_at is None:
                added = await self._link.call("SADD", self._base + "live", session_id)
            else:
                added = await self._link.call("ZADD", self._base + "ended", session.forget_at, session_id)
            if added:
                found_any = True
                self._tell(Fault.INDEX_MENDED, [session_id])
        return found_any

    async def _mend_counts(self, position: str) -> None:
        """Compare counts where nothing is under way; those of a store that is never still are compared another time."""
        if self._view.latest > place_of(position):
            return
        true = {word(pool): count for pool, count in self._view.picture.pools.items()}
        reply = await self._link.script(self._scripts.pools, [self._base], [position])
        if reply is None:
            return
        stored = dict(pairs(reply))
        for pool in true.keys() | stored.keys():
            if stored.get(pool, "") != str(true.get(pool, "")):
                await self._mend_count(pool, true.get(pool, 0), stored.get(pool, ""))

    async def _mend_count(self, pool: str, true: int, stored: str) -> None:
        """By a difference, which stays right whatever is counted meanwhile; what is no number is replaced."""
        key, was = self._base + "pools", number(stored.encode())
        if stored and str(was) != stored:
            await self._link.call("HSET", key, pool, true)
        elif await self._link.call("HINCRBY", key, pool, true - was) == 0:
            await self._link.call("HDEL", key, pool)
        self._tell(Fault.COUNT_MENDED, [pool])

    def _tell(self, fault: Fault, names: Sequence[str]) -> None:
        if names:
            # Who broke this may have broken more.
            self._seeks_strays = True
            logger.error("mended in the store (%s): %s", fault.value, ", ".join(names[:16]))
            self._faulty(fault, len(names))


_Item = TypeVar("_Item")


def portions(of: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """All of them, so many at a time."""
    left = iter(of)
    while some := list(islice(left, size)):
        yield some


def _is_session(session_id: str, found: bytes) -> bool:
    try:
        Record.parse(session_id, found)
    except ValueError:
        return False
    return True


def _literal(text: str) -> str:
    """As a pattern that means itself."""
    return re.sub(r"([\[\]*?\\^])", r"\\\1", text)
