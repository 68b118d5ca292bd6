"""What one broker knows of a store that several share: sessions, claims and counts, a moment behind at most.

Changes may come twice and, of different sessions, out of order: each has its place in the order of all, and what is
older than what is known is passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from heapq import heappop, heappush

from broker.core.ledger import Claim, Ledger
from broker.core.session import Session
from broker.stores.records import NOTHING, Holding


class Picture:
    """Sessions, claims and counts of pools. No method waits for anything."""

    def __init__(self, *, kept_ended: int) -> None:
        self._kept_ended = kept_ended
        self._sessions: dict[str, Session] = {}
        self._holdings: dict[str, Holding] = {}
        self._stamps: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._claims: dict[str, Claim] = {}
        self._claimed_at: dict[str, int] = {}
        self._pools: dict[str, int] = {}
        self._due_sessions: list[tuple[float, str]] = []
        self._due_claims: list[tuple[float, str]] = []
        self._under_way = _UnderWay()
        self.ledger: Ledger = _SharedLedger(self._claims, self._pools, self._under_way)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """By id; it goes on with the picture."""
        return self._sessions

    @property
    def claims(self) -> Mapping[str, Claim]:
        """By key; it goes on with the picture."""
        return self._claims

    @property
    def pools(self) -> Mapping[str, int]:
        """How many count in each; it goes on with the picture."""
        return self._pools

    def stamp(self, session_id: str) -> str:
        """What names the change that wrote the session as it is known; empty for none."""
        return self._stamps.get(session_id, "")

    def knows(self, session_id: str, place: int) -> bool:
        """Whether the session is known as that change wrote it, or as a later one did."""
        return place <= self._places.get(session_id, -1)

    def holding(self, session_id: str) -> Holding:
        """What the session holds as it is known."""
        return self._holdings.get(session_id, NOTHING)

    def put(
        self,
        session: Session,
        stamp: str,
        place: int,
        linger: Mapping[str, float] | None = None,
        holding: Holding | None = None,
    ) -> None:
        """Know the session, and what it holds, as written by the change at this place."""
        before, had = self._sessions.get(session.id), self.holding(session.id)
        held = holding or Holding.of(session, had)
        if held is not had:
            for key in had.claims - held.claims:
                self._give_up(key, session.id, place)
            for key in held.claims - had.claims:
                if place >= self._claimed_at.get(key, -1):
                    self._claims[key], self._claimed_at[key] = Claim(session.id), place
            self._count(had.pools - held.pools, -1)
            self._count(held.pools - had.pools, 1)
        self.linger(linger or {}, place)
        self._sessions[session.id], self._holdings[session.id] = session, held
        self._stamps[session.id], self._places[session.id] = stamp, place
        if session.forget_at is not None and (before is None or before.forget_at is None):
            heappush(self._due_sessions, (session.forget_at, session.id))

    def linger(self, until: Mapping[str, float], place: int) -> None:
        """Know that these claims are nobody's until their times, since the change at this place."""
        for key, at in until.items():
            if place >= self._claimed_at.get(key, -1):
                self._claims[key], self._claimed_at[key] = Claim(None, at), place
                heappush(self._due_claims, (at, key))

    def linger_besides(self, until: Mapping[str, float], now: float, place: int) -> None:
        """Know that these linger, as far as they still do: what a session is known to hold was taken since."""
        free = {key: at for key, at in until.items() if at > now and key not in self._claims}
        self.linger(free, place)

    def remove(self, session_id: str) -> None:
        """Know the session no more, nor what it held."""
        if self._sessions.pop(session_id, None) is None:
            return
        del self._stamps[session_id], self._places[session_id]
        held = self._holdings.pop(session_id)
        for key in held.claims:
            self._give_up(key, session_id, None)
        self._count(held.pools, -1)

    def forget_what_is_due(self, now: float) -> None:
        """Forget what lapses by now, and the oldest of those that ended where they are too many."""
        claims = self._due_claims
        while claims and claims[0][0] <= now:
            until, key = heappop(claims)
            if self._claims.get(key) == Claim(None, until):
                del self._claims[key], self._claimed_at[key]
        due = self._due_sessions
        while due and (due[0][0] <= now or len(due) > self._kept_ended):
            at, session_id = heappop(due)
            session = self._sessions.get(session_id)
            if session is not None and session.forget_at == at:
                self.remove(session_id)

    @contextmanager
    def writing(self, after: Holding, before: Holding) -> Iterator[None]:
        """Hold what a write is about to claim and to count against this broker's other writes, while it is made."""
        if after is before:
            yield
            return
        held, counts = after.claims - before.claims, after.pools - before.pools
        self._under_way.add(held, counts, 1)
        try:
            yield
        finally:
            self._under_way.add(held, counts, -1)

    def found_taken(self, key: str, owner: str | None, until: float) -> None:
        """Take the claim for taken until then: a write found it so, and the change that says so is still to come."""
        self._under_way.taken[key] = owner, until

    def forget_found(self, now: float) -> None:
        """Trust the picture again where it has had time to catch up with what writes found."""
        taken = self._under_way.taken
        for key in [key for key, (_, until) in taken.items() if until <= now]:
            del taken[key]

    def _give_up(self, key: str, session_id: str, place: int | None) -> None:
        claim = self._claims.get(key)
        if claim is not None and claim.owner == session_id and (place is None or place >= self._claimed_at[key]):
            del self._claims[key], self._claimed_at[key]

    def _count(self, pools: Iterable[str], by: int) -> None:
        for pool in pools:
            count = self._pools.get(pool, 0) + by
            if count:
                self._pools[pool] = count
            else:
                del self._pools[pool]


class _UnderWay:
    """What is taken though the changes do not say so yet."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.pools: Counter[str] = Counter()
        self.taken: dict[str, tuple[str | None, float]] = {}

    def add(self, claims: Iterable[str], pools: Iterable[str], by: int) -> None:
        for counter, names in ((self.claims, claims), (self.pools, pools)):
            for name in names:
                counter[name] += by
                if not counter[name]:
                    del counter[name]


class _SharedLedger(Ledger):
    """A ledger that counts in what is under way."""

    def __init__(self, claims: Mapping[str, Claim], pools: Mapping[str, int], under_way: _UnderWay) -> None:
        super().__init__(claims, pools)
        self._under_way = under_way

    def is_free(self, claim: str) -> bool:
        under_way = self._under_way
        return super().is_free(claim) and claim not in under_way.claims and claim not in under_way.taken

    def owner(self, claim: str) -> str | None:
        known = super().owner(claim)
        if known is None and claim in self._under_way.taken:
            return self._under_way.taken[claim][0]
        return known

    def count(self, pool: str) -> int:
        return super().count(pool) + self._under_way.pools.get(pool, 0)
