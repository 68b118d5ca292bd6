"""The events of one process, a bounded number of them, and those who follow them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence

from broker.core.events import KEPT_EVENTS, Event, EventDraft
from broker.stores.base import EventsTrimmed

_BATCH = 256
_BUFFERED = 1024
"""A follower that falls so far behind is told that it missed some."""


class EventLog:
    """Numbers events, keeps the last of them and hands them to followers. No method but `follow` waits."""

    def __init__(self, first_id: int, *, kept: int = KEPT_EVENTS, buffered: int = _BUFFERED) -> None:
        self._events: deque[Event] = deque(maxlen=kept)
        self._last_id = self._complete_after = first_id - 1
        self._buffered = buffered
        self._followers: dict[str | None, set[_Follower]] = {}

    @property
    def last_id(self) -> int:
        """The number of the last event; what comes will be above it."""
        return self._last_id

    def append(self, drafts: Iterable[EventDraft]) -> None:
        """Number and keep these, and wake who follows them."""
        for draft in drafts:
            self.keep(Event(self._last_id + 1, draft))

    def keep(self, event: Event) -> None:
        """Keep an event that has a number already, and wake who follows it. One that is kept already is passed over."""
        if event.id <= self._last_id:
            return
        self._last_id = event.id
        if len(self._events) == self._events.maxlen:
            self._complete_after = self._events[0].id
        self._events.append(event)
        for followed in (event.draft.session_id, None):
            for follower in self._followers.get(followed, ()):
                follower.give(event, self._buffered)

    def begin_after(self, last_id: int) -> None:
        """Begin with what comes after this number. Nothing may have been kept or followed."""
        self._last_id = self._complete_after = last_id

    async def follow(self, after: int, session_id: str | None) -> AsyncGenerator[tuple[Event, ...], None]:
        """As `Store.events` has it. Raises EventsTrimmed."""
        if not self._complete_after <= after <= self._last_id:
            raise EventsTrimmed(f"the events after {after} are not all there any more")
        known = [event for event in self._events if event.id > after and session_id in (None, event.draft.session_id)]
        follower = _Follower()
        followers = self._followers.setdefault(session_id, set())
        followers.add(follower)
        try:
            for batch in _batches(known) or ((),):
                yield batch
            while True:
                await follower.news.wait()
                for batch in _batches(follower.take()):
                    yield batch
        finally:
            followers.discard(follower)
            if not followers and self._followers.get(session_id) is followers:
                del self._followers[session_id]


class _Follower:
    """What one follower has not taken yet."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self._events: list[Event] = []
        self._missed = False

    def give(self, event: Event, most: int) -> None:
        """Keep it for the follower, unless it has too many: then all are given up."""
        self.news.set()
        if self._missed or len(self._events) >= most:
            self._missed = True
            self._events.clear()
        else:
            self._events.append(event)

    def take(self) -> list[Event]:
        """All that are kept for it. Raises EventsTrimmed."""
        if self._missed:
            raise EventsTrimmed("more came than one follower is kept")
        self.news.clear()
        taken, self._events = self._events, []
        return taken


def _batches(events: list[Event]) -> Sequence[tuple[Event, ...]]:
    return [tuple(events[start : start + _BATCH]) for start in range(0, len(events), _BATCH)]
