"""What a session store promises. The conformance suite in tests/broker/stores holds every form to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from broker.core.ledger import Claim
from broker.core.session import Session


class WriteRace(Exception):
    """Someone else wrote first, or holds a claim; nothing was written. Read again and decide anew."""


class Store(Protocol):
    """Sessions and their claims, written together by compare-and-set.

    Every method may raise `StoreUnavailable`. A session whose `forget_at` has passed is gone, its claims with it.
    """

    async def now(self) -> float:
        """The time that all clocks of sessions run on, seconds since the epoch."""

    async def read(self, session_id: str) -> Session | None:
        """One session; None when there is none."""

    async def sessions(self) -> Mapping[str, Session]:
        """All sessions by id, the ended ones that are still readable among them."""

    async def claims(self) -> Mapping[str, Claim]:
        """All claims by key: those that sessions hold and those that linger."""

    async def write(self, session: Session, *, linger: Mapping[str, float] | None = None) -> Session:
        """Write the session and hold exactly the claims of `claims_of(session)` for it; returns it as written.

        `session.revision` must be that of the stored session (0: there is none yet), and none of its claims may belong
        to another or linger; raises WriteRace else. A claim that it gives up is free at once, or at the time that
        `linger` gives for its key.
        """

    def changes(self, session_id: str | None = None) -> AsyncGenerator[frozenset[str], None]:
        """Yield the ids of sessions that were written: all (or the one asked for) at once, then after each change.

        Several changes may come as one; none is missed between two steps of one iterator. To be closed after use.
        """
