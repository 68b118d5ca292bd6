"""The session store of one process."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from broker.changes import ChangeFeed
from broker.core.events import Event, EventDraft, events_between
from broker.core.ledger import Claim, claims_of
from broker.core.session import Session
from broker.stores.base import WriteListener, WriteRace
from broker.stores.event_log import EventLog

_IDS_PER_S = 1_000_000
"""Events are numbered from the clock's microseconds on, so that a number of an earlier run is never one of this."""


class MemoryStore:
    """Sessions and claims in dictionaries. No method waits for anything, so each is one step to everybody else."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._claims: dict[str, Claim] = {}
        self._due_sessions: list[tuple[float, str]] = []
        self._due_claims: list[tuple[float, str]] = []
        self._changes = ChangeFeed()
        self._events = EventLog(int(clock() * _IDS_PER_S) + 1)
        self._listeners: list[WriteListener] = []

    async def now(self) -> float:
        return self._clock()

    async def read(self, session_id: str) -> Session | None:
        self._forget_what_is_due()
        return self._sessions.get(session_id)

    async def sessions(self) -> Mapping[str, Session]:
        self._forget_what_is_due()
        return dict(self._sessions)

    async def claims(self) -> Mapping[str, Claim]:
        self._forget_what_is_due()
        return dict(self._claims)

    async def write(self, session: Session, *, linger: Mapping[str, float] | None = None) -> Session:
        self._forget_what_is_due()
        stored = self._sessions.get(session.id)
        if session.revision != (stored.revision if stored is not None else 0):
            raise WriteRace(f"session {session.id} was written by someone else")
        held = claims_of(session)
        for key in held:
            claim = self._claims.get(key)
            if claim is not None and claim.owner != session.id:
                raise WriteRace(f"{key} is taken")
        for key in (claims_of(stored) if stored is not None else frozenset()) - held:
            self._give_up(key, (linger or {}).get(key))
        self._claims.update({key: Claim(session.id) for key in held})
        written = replace(session, revision=session.revision + 1)
        self._sessions[session.id] = written
        if written.forget_at is not None:
            heappush(self._due_sessions, (written.forget_at, written.id))
        self._events.append(events_between(stored, written))
        self._changes.fire(session.id)
        for listener in self._listeners:
            listener(stored, written)
        return written

    def listen(self, listener: WriteListener) -> None:
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
        while self._due_sessions and self._due_sessions[0][0] <= now:
            _, session_id = heappop(self._due_sessions)
            session = self._sessions.get(session_id)
            if session is not None and session.forget_at is not None and session.forget_at <= now:
                del self._sessions[session_id]
                for key in claims_of(session):
                    del self._claims[key]
