"""The session store of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from heapq import heappop, heappush

from broker.changes import ChangeFeed
from broker.core.events import Event, EventDraft, events_between
from broker.core.ledger import Claim, Ledger, claims_of, pools_of
from broker.core.session import Session, evolved
from broker.stores.base import PoolFull, WriteListener, WriteRace
from broker.stores.event_log import EventLog
from signaling.errors import Deposed

_IDS_PER_S = 1_000_000
"""Events are numbered from the clock's microseconds on, so that a number of an earlier run is never one of this."""


_NOTHING: frozenset[str] = frozenset()
_KEPT_ENDED = 20_000
"""So many sessions that have ended are kept to be read, whatever their age."""


class MemoryStore:
    """Sessions and claims in dictionaries. No method waits for anything, so each is one step to everybody else."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        kept_ended: int = _KEPT_ENDED,
        latest_fence: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._latest_fence = latest_fence
        self._kept_ended = kept_ended
        self._sessions: dict[str, Session] = {}
        self._claims: dict[str, Claim] = {}
        self._pools: dict[str, int] = {}
        self._ledger = Ledger(self._claims, self._pools)
        self._due_sessions: list[tuple[float, str]] = []
        self._due_claims: list[tuple[float, str]] = []
        self._changes = ChangeFeed()
        self._events = EventLog(int(clock() * _IDS_PER_S) + 1)
        self._listeners: list[WriteListener] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def check(self) -> None:
        pass

    async def now(self) -> float:
        return self._clock()

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        self._forget_what_is_due()
        return self._sessions.get(session_id)

    async def sessions(self) -> Mapping[str, Session]:
        self._forget_what_is_due()
        return dict(self._sessions)

    async def claims(self) -> Mapping[str, Claim]:
        self._forget_what_is_due()
        return dict(self._claims)

    async def ledger(self) -> Ledger:
        self._forget_what_is_due()
        return self._ledger

    async def write(
        self,
        session: Session,
        *,
        linger: Mapping[str, float] | None = None,
        bounds: Mapping[str, int] | None = None,
        fence: int | None = None,
    ) -> Session:
        self._forget_what_is_due()
        latest = self._latest_fence()
        if fence is not None and latest is not None and fence != latest:
            raise Deposed
        stored = self._sessions.get(session.id)
        if session.revision != (stored.revision if stored is not None else 0):
            raise WriteRace(f"session {session.id} was written by someone else")
        if stored is None or bounds or not _holds_the_same(stored, session):
            self._rebook(stored, session, linger or {}, bounds or {})
        return self._written(stored, evolved(session, revision=session.revision + 1))

    def _rebook(
        self, stored: Session | None, session: Session, linger: Mapping[str, float], bounds: Mapping[str, int]
    ) -> None:
        """Move claims and counts from what is stored to what is to be. Raises WriteRace, PoolFull; then nothing is."""
        held, had = claims_of(session), claims_of(stored) if stored is not None else _NOTHING
        for key in held - had:
            if key in self._claims:
                raise WriteRace(f"{key} is taken")
        counts, counted = pools_of(session), pools_of(stored) if stored is not None else _NOTHING
        for pool, most in bounds.items():
            if self._pools.get(pool, 0) + (pool in counts) - (pool in counted) > most:
                raise PoolFull(pool)
        for key in had - held:
            self._give_up(key, linger.get(key))
        self._claims.update({key: Claim(session.id) for key in held - had})
        self._count(counted - counts, -1)
        self._count(counts - counted, 1)

    def _written(self, stored: Session | None, session: Session) -> Session:
        self._sessions[session.id] = session
        if session.forget_at is not None and (stored is None or stored.forget_at is None):
            heappush(self._due_sessions, (session.forget_at, session.id))
        self._events.append(events_between(stored, session))
        self._changes.fire(session.id)
        for listener in self._listeners:
            listener(stored, session)
        return session

    def _count(self, pools: frozenset[str], by: int) -> None:
        for pool in pools:
            count = self._pools.get(pool, 0) + by
            if count:
                self._pools[pool] = count
            else:
                del self._pools[pool]

    def listen(self, listener: WriteListener, *, of_others: bool = False) -> None:
        self._listeners.append(listener)

    def changes(self, session_id: str | None = None) -> AsyncGenerator[frozenset[str], None]:
        return self._changes.follow(session_id, self._sessions if session_id is None else (session_id,))

    async def append(self, events: Sequence[EventDraft]) -> None:
        self._events.append(events)

    async def last_event_id(self) -> int:
        return self._events.last_id

    def events(self, after: int, *, session_id: str | None = None) -> AsyncGenerator[tuple[Event, ...], None]:
        return self._events.follow(after, session_id)

    def _give_up(self, key: str, until: float | None) -> None:
        if until is None:
            del self._claims[key]
        else:
            self._claims[key] = Claim(None, until)
            heappush(self._due_claims, (until, key))

    def _forget_what_is_due(self) -> None:
        now = self._clock()
        while self._due_claims and self._due_claims[0][0] <= now:
            until, key = heappop(self._due_claims)
            if self._claims.get(key) == Claim(None, until):
                del self._claims[key]
        due = self._due_sessions
        while due and (due[0][0] <= now or len(due) > self._kept_ended):
            session = self._sessions.pop(heappop(due)[1])
            for key in claims_of(session):
                del self._claims[key]


def _holds_the_same(before: Session, after: Session) -> bool:
    """Whether claims and pools are sure to be the same: all that they follow from is. Most writes are such."""
    return (
        before.slot is after.slot
        and before.ports is after.ports
        and before.state is after.state
        and before.phase is after.phase
        and before.idempotency == after.idempotency
        and before.share == after.share
    )
