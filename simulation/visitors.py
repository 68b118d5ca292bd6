"""The people: when they come, whether they wait, connect, stay, lose their network, leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from uuid import UUID

from broker.core.catalog import Application, ApplicationVersion, Profile, Resolved
from broker.core.ledger import is_waiting
from broker.core.placement import placed_or_waiting
from broker.core.principal import Principal, Role
from broker.core.request import CreateRequest
from broker.core.session import EndReason, Session, State, ended
from broker.stores.base import PoolFull, WriteRace
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from simulation.convergence import Convergence
from simulation.measures import Counts, Waits
from simulation.scenario import Burst, NodeClass, Scenario
from simulation.timeline import Timeline

_STAY_SPREAD = 1.0
_STAY_LEAST_S = 20.0
_RECONNECT_S = (0.3, 1.5)
"""From an active route to a picture again: hearing of it, signaling, ICE, the first key frame."""

_ASK_AGAIN_S = (5.0, 20.0)
_ASKS_MOST = 8
_FAILURES = (EndReason.BACKEND_FAILED, EndReason.NODE_LOST, EndReason.RELAY_LOST, EndReason.START_TIMEOUT)
_APPLICATION = Application("app", "app", "", (), "1.0.0", {"1.0.0": ApplicationVersion("1.0.0")})


@dataclass(slots=True)
class Visit:
    """One person's session."""

    profile: str
    owner: str
    stay_s: float
    is_burst: bool = False
    asked_at: float = 0.0
    told_s: float | None = None
    is_connected: bool = False
    input_until: float | None = None
    leaves_at: float | None = None
    cut_at: float | None = None
    is_back_due: bool = False
    has_left: bool = False


class Visitors:
    """Everybody who comes. What they see of their sessions they hear from the store's writes."""

    def __init__(
        self,
        scenario: Scenario,
        timeline: Timeline,
        random: Random,
        store: MemoryStore,
        room: WaitingRoom,
        profiles: Mapping[str, Profile],
        counts: Counts,
        waits: Waits,
    ) -> None:
        self._scenario = scenario
        self._habits = scenario.habits
        self._timeline = timeline
        self._random = random
        self._store = store
        self._room = room
        self._profiles = profiles
        self._counts = counts
        self._waits = waits
        self._visits: dict[str, Visit] = {}
        self._is_closed = False
        self._kinds = {kind.id: kind for kind in scenario.classes}
        store.listen(self._hear)

    def begin(self, convergence: Convergence) -> None:
        """Know who makes true what they want."""
        self._convergence = convergence

    def last_input(self, session_id: str) -> float | None:
        """When this session's viewer last gave input."""
        visit = self._visits.get(session_id)
        if visit is None or visit.leaves_at is None:
            return None
        until = visit.input_until
        return self._timeline.now if until is None else min(until, self._timeline.now)

    async def close(self) -> None:
        """Nobody comes any more, and whoever is there leaves."""
        self._is_closed = True
        for session_id in list(self._visits):
            await self._delete(session_id)

    async def arrive(self) -> None:
        """Somebody comes."""
        kinds = self._scenario.classes
        kind: NodeClass = self._random.choices(kinds, [kind.weight for kind in kinds])[0]
        # A few of all owners come often, most seldom.
        owner = f"owner-{int(self._habits.owners * self._random.random() ** 3)}"
        await self._ask(Visit(kind.id, owner, self._stay_s(kind)), 1)

    async def burst(self, burst: Burst) -> None:
        """One owner asks for many at once."""
        kind = self._kinds[burst.node_class]
        for _ in range(burst.count):
            await self._ask(Visit(kind.id, "batch", self._stay_s(kind), is_burst=True), _ASKS_MOST)

    async def cut_off(self, session_ids: list[str]) -> None:
        """The relay of these sessions died."""
        for session_id in session_ids:
            visit = self._visits.get(session_id)
            if visit is not None and visit.is_connected:
                visit.is_connected = False
                visit.cut_at = self._timeline.now
                self._counts.cut_by_relays += 1

    async def come_back(self, session_id: str) -> None:
        """Who was cut off connects again as soon as there is a relay that serves the session."""
        visit = self._visits.get(session_id)
        if visit is None or visit.cut_at is None or visit.is_back_due or visit.has_left:
            return
        if self._convergence.relays.serves(session_id):
            visit.is_back_due = True
            self._timeline.after(self._random.uniform(*_RECONNECT_S), partial(self._be_back, session_id))

    def _stay_s(self, kind: NodeClass) -> float:
        return max(kind.stay_s * self._random.lognormvariate(0, _STAY_SPREAD), _STAY_LEAST_S)

    # Asking for a session.

    async def _ask(self, visit: Visit, times: int) -> None:
        if self._is_closed:
            return
        self._counts.asked += 1
        if self._convergence.is_away:
            self._counts.unanswered += 1
            return self._ask_again(visit, times)
        visit.asked_at = visit.asked_at or self._timeline.now
        session = await self._create(visit)
        if session is None:
            self._counts.refused += 1
            return self._ask_again(visit, times + 1)
        self._counts.created += 1
        if is_waiting(session):
            place = self._room.place_of(session, self._timeline.now)
            visit.told_s = place.eta_s if place is not None else None
            patience_s = self._random.expovariate(1 / self._habits.patience_s)
            self._timeline.after(patience_s, partial(self._lose_patience, session.id))
        await self._convergence.look(session.id)

    def _ask_again(self, visit: Visit, times: int) -> None:
        if times > _ASKS_MOST:
            self._counts.gave_up_asking += 1
        else:
            self._timeline.after(self._random.uniform(*_ASK_AGAIN_S), partial(self._ask, visit, times))

    async def _create(self, visit: Visit) -> Session | None:
        """As `broker.sessions` does; None where the queue is full."""
        profile, now = self._profiles[visit.profile], self._timeline.now
        resolved = Resolved(_APPLICATION, _APPLICATION.versions["1.0.0"], profile)
        request = CreateRequest(resolved, {}, Principal(visit.owner, Role.USER, visit.owner), visit.owner)
        draft = request.draft(str(UUID(int=self._random.getrandbits(128))), "secret", ("*",), now)
        self._visits[draft.id] = visit
        ledger = await self._store.ledger()
        try:
            relays, fleet = self._convergence.relays.announced, self._convergence.machines.fleet
            placed, bounds = placed_or_waiting(draft, profile, relays, ledger, now, fleet=fleet)
            self._counts.writes += 1
            return await self._store.write(placed, bounds=bounds)
        except (PoolFull, WriteRace):
            del self._visits[draft.id]
            return None

    async def _lose_patience(self, session_id: str) -> None:
        session = await self._store.read(session_id)
        if session is not None and is_waiting(session):
            await self._delete(session_id)

    async def _delete(self, session_id: str) -> None:
        if self._convergence.is_away:
            self._timeline.after(self._random.uniform(*_ASK_AGAIN_S), partial(self._delete, session_id))
            return
        session = await self._store.read(session_id)
        if session is None or session.state is State.ENDED:
            return
        self._counts.deleted += 1
        after = ended(session, EndReason.DELETED, "Session was deleted", self._timeline.now)
        await self._convergence.write(session, after)
        await self._convergence.look(session_id)

    # What they hear.

    def _hear(self, before: Session | None, after: Session) -> None:
        visit = self._visits.get(after.id)
        if visit is None:
            return
        if before is not None and is_waiting(before) and after.slot is not None:
            self._note_wait(visit, after)
        if after.state is State.READY and (before is None or before.state is not State.READY):
            self._note_ready(visit, before, after)
        if after.state is State.ENDED:
            self._note_end(visit, after)

    def _note_wait(self, visit: Visit, after: Session) -> None:
        waited_s = self._timeline.now - after.pending_since
        self._waits.queued_s.setdefault(visit.profile, []).append(waited_s)
        (self._waits.of_burst_s if visit.is_burst else self._waits.of_others_s).append(waited_s)
        if visit.told_s is not None:
            self._waits.told_s.append((visit.told_s, waited_s))

    def _note_ready(self, visit: Visit, before: Session | None, after: Session) -> None:
        if visit.leaves_at is None:
            self._waits.to_ready_s.setdefault(visit.profile, []).append(self._timeline.now - visit.asked_at)
            if self._random.random() >= self._habits.never_connects:
                connect_s = self._habits.connect_s * self._random.lognormvariate(0, 1)
                self._timeline.after(connect_s, partial(self._connect, after.id))
        elif visit.cut_at is not None:
            self._waits.rerouted_s.append(self._timeline.now - visit.cut_at)
            self._timeline.after(0, partial(self.come_back, after.id))

    def _note_end(self, visit: Visit, after: Session) -> None:
        del self._visits[after.id]
        reason = after.end_reason or EndReason.DELETED
        self._counts.ends[reason.value] += 1
        if reason in _FAILURES and self._random.random() < self._habits.returns_after_failure:
            left_s = (
                max((visit.leaves_at or 0) - self._timeline.now, _STAY_LEAST_S) if visit.leaves_at else visit.stay_s
            )
            again = Visit(visit.profile, visit.owner, left_s)
            self._timeline.after(self._random.uniform(*_ASK_AGAIN_S), partial(self._ask, again, 1))

    # Looking on.

    async def _connect(self, session_id: str) -> None:
        visit = self._visits.get(session_id)
        if visit is None or visit.is_connected or visit.has_left:
            return
        if not self._convergence.relays.serves(session_id):
            visit.cut_at = visit.cut_at or self._timeline.now
            return
        if visit.leaves_at is None:
            visit.leaves_at = self._timeline.now + visit.stay_s
            self._timeline.at(visit.leaves_at, partial(self._leave, session_id))
            self._plan_drop(session_id)
        if visit.cut_at is not None:
            self._waits.picture_again_s.append(self._timeline.now - visit.cut_at)
            visit.cut_at = None
        visit.is_connected = True
        await self._convergence.relays.viewer(session_id, present=True)

    async def _be_back(self, session_id: str) -> None:
        visit = self._visits.get(session_id)
        if visit is not None:
            visit.is_back_due = False
            await self._connect(session_id)

    def _plan_drop(self, session_id: str) -> None:
        drop_s = self._random.expovariate(1 / self._habits.drop_every_s)
        self._timeline.after(drop_s, partial(self._drop, session_id))

    async def _drop(self, session_id: str) -> None:
        """The viewer's own network is away for a while."""
        visit = self._visits.get(session_id)
        if visit is None:
            return
        if visit.is_connected:
            visit.is_connected = False
            await self._convergence.relays.viewer(session_id, present=False)
            away_s = self._habits.drop_s * self._random.lognormvariate(0, 1)
            self._timeline.after(away_s, partial(self._connect, session_id))
        self._plan_drop(session_id)

    async def _leave(self, session_id: str) -> None:
        visit = self._visits.get(session_id)
        if visit is None:
            return
        how = self._random.random()
        if how < self._habits.deletes:
            await self._delete(session_id)
        elif how < self._habits.deletes + self._habits.closes:
            visit.is_connected, visit.has_left = False, True
            await self._convergence.relays.viewer(session_id, present=False)
        else:
            visit.input_until = self._timeline.now
