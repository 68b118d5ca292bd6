"""Use-case on events: follow one session or all, from its present state or from where one left off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from broker.core.events import Event, EventDraft, EventType, present_events, queue_event
from broker.core.principal import Principal
from broker.core.session import Session, State
from broker.sessions import Sessions
from broker.stores.base import EventsTrimmed, Store


class ResetReason(StrEnum):
    """Why what was known is void: one has just come, or what one missed is not kept any more."""

    CONNECTED = "connected"
    TRIMMED = "trimmed"


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget what you knew: the present state of so many sessions follows."""

    reason: ResetReason
    sessions: int


@dataclass(frozen=True, slots=True)
class Told:
    """What is told at once; first of all, maybe nothing. Whoever comes back with the number `upto` misses nothing."""

    upto: int
    news: tuple[Reset | EventDraft | Event, ...]


class TooSlow(Exception):
    """The follower took what was told too slowly, and some of it was not kept for it."""


class Events:
    """What the API follows. Sessions of others are told of to admins alone."""

    def __init__(self, sessions: Sessions, store: Store) -> None:
        self._sessions = sessions
        self._store = store

    async def of_session(self, session_id: str, *, by: Principal, after: int | None) -> AsyncGenerator[Told, None]:
        """Tell of one session until its end is told; from its present state where `after` is None or not kept.

        Raises NotFound, Forbidden, TooSlow. To be closed after use.
        """
        upto = await self._store.last_event_id()
        session = await self._sessions.get(session_id, by=by)
        if after is None or session.state is State.ENDED:
            yield Told(upto, await self._present([session]))
            if session.state is State.ENDED:
                return
            after = upto
        elif not await self._keeps(after, session_id):
            yield Told(upto, (Reset(ResetReason.TRIMMED, 1), *await self._present([session])))
            after = upto
        else:
            yield Told(after, ())
        async with aclosing(self._since(after, session_id)) as batches:
            async for batch in batches:
                yield Told(batch[-1].id, batch)
                if any(event.draft.type is EventType.ENDED for event in batch):
                    return

    async def of_all(self, *, by: Principal, after: int | None) -> AsyncGenerator[Told, None]:
        """Tell of all sessions that this principal may see. Raises TooSlow. To be closed after use."""
        if after is None or not await self._keeps(after, None):
            upto = await self._store.last_event_id()
            sessions = await self._sessions.list(by=by)
            reason = ResetReason.CONNECTED if after is None else ResetReason.TRIMMED
            yield Told(upto, (Reset(reason, len(sessions)), *await self._present(sessions)))
            after = upto
        else:
            yield Told(after, ())
        async with aclosing(self._since(after, None)) as batches:
            async for batch in batches:
                visible = tuple(event for event in batch if by.may_touch(event.draft.owner))
                if visible:
                    yield Told(batch[-1].id, visible)

    async def _present(self, sessions: Iterable[Session]) -> tuple[EventDraft, ...]:
        """Where these sessions stand, as events; those that wait for a slot with their place."""
        now = await self._sessions.now()
        events: list[EventDraft] = []
        for session in sessions:
            events += present_events(session)
            place = self._sessions.place_of(session, now)
            if place is not None:
                events.append(queue_event(session, position=place.position, eta_s=place.eta_s, at=now))
        return tuple(events)

    async def _keeps(self, after: int, session_id: str | None) -> bool:
        """Whether everything after that number can still be told."""
        try:
            async with aclosing(self._store.events(after, session_id=session_id)) as events:
                await anext(events)
        except EventsTrimmed:
            return False
        return True

    async def _since(self, after: int, session_id: str | None) -> AsyncGenerator[tuple[Event, ...], None]:
        try:
            async with aclosing(self._store.events(after, session_id=session_id)) as events:
                async for batch in events:
                    if batch:
                        yield batch
        except EventsTrimmed as error:
            raise TooSlow from error
