"""A broker's picture of a shared store with those who look at it: followers of changes and events, and listeners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from uuid import uuid4

from broker.changes import ChangeFeed
from broker.core.session import Session
from broker.stores.base import PoolFull, WriteListener, WriteRace
from broker.stores.event_log import EventLog
from broker.stores.picture import Picture
from broker.stores.records import Change, Holding, Record, place_of
from signaling.errors import Deposed

_MOST_DOUBTFUL = 1000


class View:
    """Learns of sessions and tells of them, each change once, in order of each session's writes."""

    def __init__(self, *, kept_ended: int) -> None:
        self.writer = uuid4().hex[:12]
        self.picture = Picture(kept_ended=kept_ended)
        self.changes = ChangeFeed()
        self.events = EventLog(1)
        self.latest = 0
        """The place of the latest change that is known, this broker's own included."""
        self._own_listeners: list[WriteListener] = []
        self._listeners: list[WriteListener] = []
        self._under_way: dict[str, list[Context]] = {}
        self._doubtful: dict[str, Session] = {}
        self._touched: set[str] = set()

    def listen(self, listener: WriteListener, *, of_others: bool) -> None:
        """As `Store.listen` has it."""
        (self._listeners if of_others else self._own_listeners).append(listener)

    @contextmanager
    def writing(self, session: Session, holding: Holding, before: Holding) -> Iterator[None]:
        """While this broker writes it: its change may be heard before the write returns, and is told as the write's."""
        contexts = self._under_way.setdefault(session.id, [])
        context = copy_context()
        contexts.append(context)
        try:
            with self.picture.writing(holding, before):
                yield
        except (WriteRace, PoolFull, Deposed):
            raise
        except BaseException:
            # Its answer was lost. Should it turn out to be written, it is told of then.
            self._doubtful[session.id] = session
            if len(self._doubtful) > _MOST_DOUBTFUL:
                del self._doubtful[next(iter(self._doubtful))]
            raise
        finally:
            contexts.remove(context)
            if not contexts:
                del self._under_way[session.id]

    def wrote(self, session: Session, holding: Holding, stamp: str, linger: Mapping[str, float]) -> None:
        """A write of this broker returned."""
        self._learn(session, stamp, linger, holding, own=True)

    def found(self, record: Record) -> None:
        """A record was read. While this broker writes that session, the write itself is to tell of it."""
        if record.session.id not in self._under_way:
            self._learn(record.session, record.stamp, {}, own=False)

    def heard(self, change: Change) -> None:
        """A change came, maybe one that is known already. Raises ValueError where it cannot be read."""
        if change.session_id is not None:
            place = place_of(change.stamp)
            if self.picture.knows(change.session_id, place):
                self.picture.linger(change.linger, place)
            else:
                self._learn(change.session(), change.stamp, change.linger, own=change.writer == self.writer)
        for event in change.numbered_events():
            self.events.keep(event)

    def begin_to_settle(self) -> None:
        """From now on, what changes is fresher than what `settle` will bring."""
        self._touched.clear()

    def settle(self, found: Iterable[Record], gone: Iterable[str]) -> int:
        """Know what a full read found instead of what was known; returns how many that lived are gone."""
        records = [record for record in found if record.session.id not in self._touched]
        before = {record.session.id: self.picture.sessions.get(record.session.id) for record in records}
        missing = [session_id for session_id in gone if session_id not in self._touched]
        lost = sum(self.picture.sessions[session_id].forget_at is None for session_id in missing)
        # All are taken out first: what was lost may hold what another was given since.
        for session_id in (*before, *missing):
            self.picture.remove(session_id)
        for record in records:
            self.picture.put(record.session, record.stamp, place_of(record.stamp))
        for record in records:
            self._tell(before[record.session.id], record.session, own=False)
        for session_id in (*before, *missing):
            self.changes.fire(session_id)
        return lost

    def _learn(
        self, session: Session, stamp: str, linger: Mapping[str, float], holding: Holding | None = None, *, own: bool
    ) -> None:
        place = place_of(stamp)
        if self.picture.knows(session.id, place):
            self.picture.linger(linger, place)
            return
        before = self.picture.sessions.get(session.id)
        self.picture.put(session, stamp, place, linger, holding)
        self.latest = max(self.latest, place)
        self._touched.add(session.id)
        self.changes.fire(session.id)
        self._tell(before, session, own=own)

    def _tell(self, before: Session | None, after: Session, *, own: bool) -> None:
        """Listeners hear of a write in the context of who made it, whichever way the news came."""
        own |= self._doubtful.pop(after.id, None) == after
        context = self._under_way.get(after.id, [None])[0] if own else None
        for listener in (*self._own_listeners, *self._listeners) if own else self._listeners:
            if context is None:
                listener(before, after)
            else:
                context.copy().run(listener, before, after)
