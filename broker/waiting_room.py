"""Those who wait for slots, profile by profile: a picture of the store, kept by every write that is seen.

Nothing is decided here but the order. It can be made anew from the store's sessions at any time; only whose turn it is
within a round, and what was measured, are then forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from broker.core.ledger import is_waiting
from broker.core.queue import FairQueue, Pace, Place
from broker.core.session import Session

_RETRY_UNKNOWN_S = 10.0
_RETRY_MOST_S = 600.0


@dataclass(slots=True)
class _Room:
    queue: FairQueue = field(default_factory=FairQueue)
    pace: Pace = field(default_factory=Pace)


class WaitingRoom:
    """The queues of all profiles."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._moved: set[str] = set()
        self._call: Callable[[str], None] = lambda session_id: None

    def on_turn(self, call: Callable[[str], None]) -> None:
        """Call this with a session's id when it may have a slot: it is next, and one may be free."""
        self._call = call

    def see(self, before: Session | None, after: Session) -> None:
        """Follow a write: as `Store.listen` wants it, with None for what was before for one that is not known yet."""
        profile = after.profile
        if is_waiting(after):
            self._join(profile, after)
        elif (room := self._rooms.get(profile)) is not None and after.id in room.queue:
            self._part(profile, room, after)
        if before is not None and before.slot is not None and after.slot is None:
            for freed in self._rooms if before.slot.node else (before.slot.profile,):
                self._call_next(freed)

    def forget(self, session_id: str) -> None:
        """It is not there any more."""
        for profile, room in self._rooms.items():
            if session_id in room.queue:
                room.queue.leave(session_id)
                self._moved.add(profile)
                self._call_next(profile)

    def is_next(self, session: Session) -> bool:
        """Whether it is this session's turn, once there is a slot."""
        room = self._rooms.get(session.profile)
        return room is not None and room.queue.head == session.id

    def place_of(self, session: Session, now: float) -> Place | None:
        """Where it stands; None where it does not wait."""
        room = self._rooms.get(session.profile)
        if room is None or session.id not in room.queue:
            return None
        position = room.queue.position(session.id)
        return Place(position, room.pace.estimate_s(position, now), len(room.queue))

    def waits(self, session_id: str) -> bool:
        """Whether it waits in any queue."""
        return any(session_id in room.queue for room in self._rooms.values())

    def retry_after_s(self, profile: str, now: float) -> float:
        """When there may be room in a queue that is full: when its next one gets a slot."""
        room = self._rooms.get(profile)
        estimate_s = room.pace.estimate_s(1, now) if room is not None else None
        return _RETRY_UNKNOWN_S if estimate_s is None else min(max(estimate_s, 1.0), _RETRY_MOST_S)

    def moves(self, now: float) -> Iterator[tuple[str, Place]]:
        """Where everybody stands in each queue that has changed since this was last asked."""
        moved, self._moved = self._moved, set()
        for profile in moved & self._rooms.keys():
            room = self._rooms[profile]
            positions: Mapping[str, int] = room.queue.positions()
            for session_id, position in positions.items():
                yield session_id, Place(position, room.pace.estimate_s(position, now), len(positions))

    def _join(self, profile: str, session: Session) -> None:
        room = self._rooms.setdefault(profile, _Room())
        if session.id not in room.queue:
            room.queue.join(session.id, session.share, session.pending_since)
            room.pace.someone_waits(session.updated_at)
            self._moved.add(profile)

    def _part(self, profile: str, room: _Room, session: Session) -> None:
        was_next = room.queue.head == session.id
        if session.slot is not None:
            room.queue.serve(session.id)
            room.pace.served(session.updated_at)
        else:
            room.queue.leave(session.id)
        if not room.queue:
            room.pace.nobody_waits()
        self._moved.add(profile)
        if was_next:
            self._call_next(profile)

    def _call_next(self, profile: str) -> None:
        room = self._rooms.get(profile)
        if room is not None and room.queue.head is not None:
            self._call(room.queue.head)
