"""What a session store promises. The conformance suite in tests/broker/stores holds every form to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from broker.core.events import Event, EventDraft
from broker.core.ledger import Claim, Ledger
from broker.core.session import Session


class WriteRace(Exception):
    """Someone else wrote first, or holds a claim; nothing was written. Read again and decide anew."""


@dataclass(eq=False)
class PoolFull(Exception):
    """The write would have had more sessions count in this pool than it was to; nothing was written."""

    pool: str


class EventsTrimmed(Exception):
    """The events asked for are not all there any more, or never were; the present state has to be told anew."""


WriteListener = Callable[[Session | None, Session], None]
"""Told of a session before and after a write: None before the first."""


class Store(Protocol):
    """Sessions and their claims, written together by compare-and-set.

    Every method may raise `StoreUnavailable`. A session whose `forget_at` has passed is gone, its claims with it; so
    are the oldest of those that have one, where they are more than the store keeps.

    Several brokers may share what is stored. `sessions`, `claims`, `ledger` and `changes` come from a picture of it
    that each broker keeps: its own writes are in there when they return, those of others a moment later.
    While what was lost is being made anew (`broker.stores.epoch`), nothing is written, and nothing is said to be not
    there: StoreUnavailable is raised instead.
    """

    async def run(self) -> None:
        """Keep up with what others write, until cancelled; nothing but `now` is of use without it."""

    async def check(self) -> None:
        """Raise StoreUnavailable, whose `reason` says for people what is wrong, where writes would fail now."""

    async def now(self) -> float:
        """The time that all clocks of sessions run on, seconds since the epoch. It goes on while the store is away."""

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        """One session; None when there is none. As this broker's picture has it, where that need not be `fresh`."""

    async def sessions(self) -> Mapping[str, Session]:
        """All sessions by id, the ended ones that are still readable among them."""

    async def claims(self) -> Mapping[str, Claim]:
        """All claims by key: those that sessions hold and those that linger."""

    async def ledger(self) -> Ledger:
        """The same to be asked, with the pools: what is taken now. It may go on with the store, so ask it at once."""

    async def write(
        self,
        session: Session,
        *,
        linger: Mapping[str, float] | None = None,
        bounds: Mapping[str, int] | None = None,
        fence: int | None = None,
    ) -> Session:
        """Write the session and hold exactly the claims of `claims_of(session)` for it; returns it as written.

        `session.revision` must be that of the stored session (0: there is none yet), and none of its claims may belong
        to another or linger; raises WriteRace else. A claim that it gives up is free at once, or at the time that
        `linger` gives for its key. It counts in exactly `pools_of(session)`; raises PoolFull where a pool in `bounds`
        would then count more than that gives, whether this session counts in it or not. What `events_between` makes of
        the change is appended with it, or neither is. With the `fence` of a lease, raises Deposed once another has it.
        Where StoreUnavailable is raised, it may have been written or not: read again.
        """

    def listen(self, listener: WriteListener, *, of_others: bool = False) -> None:
        """Call it after each write that this process makes, in the order of writes. It must not wait nor raise.

        `of_others`: after those of other brokers too. Of one session they are told in order; several may come as one,
        from what this process knew last.
        """

    def changes(self, session_id: str | None = None) -> AsyncGenerator[frozenset[str], None]:
        """Yield the ids of sessions that were written: all (or the one asked for) at once, then after each change.

        Several changes may come as one; none is missed between two steps of one iterator. To be closed after use.
        """

    async def append(self, events: Sequence[EventDraft]) -> None:
        """Append events that no write makes: queue moves and warnings."""

    async def last_event_id(self) -> int:
        """The number of the last event; 0 or more, and below that of every event to come, over restarts too."""

    def events(self, after: int, *, session_id: str | None = None) -> AsyncGenerator[tuple[Event, ...], None]:
        """Yield the events after that number, of all sessions or of one, in batches, in order: first at once those that
        are there (the first batch may be empty), then those that come.

        None is missed nor told twice. Raises EventsTrimmed where that cannot be held: the number is not of this
        store, so many came since that the first were trimmed, or the follower took them too slowly. To be closed.
        """
