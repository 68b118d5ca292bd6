"""Gathers facts of a session, has the core step it, writes that and carries out what it commands, in simulated time.

It stands where `broker.reconciler` stands, and does what that does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import assert_never

from broker.core.catalog import Profile
from broker.core.commands import Activate, Command, Launch, Publish, Release, Warn, Withdraw
from broker.core.ledger import is_waiting, lingering
from broker.core.pauses import Pause
from broker.core.placement import choose_slot
from broker.core.session import Session, State
from broker.core.step import Facts, next_deadline, step
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from simulation.machines import Machines
from simulation.measures import Counts
from simulation.relays import Relays
from simulation.timeline import Timeline

_PORTS_EVERY_S = 1.0


class Convergence:
    """Follows every session that it is shown. Beside `store`, nothing is known of a session but when to look again.

    `last_input` tells when the session's viewer last gave input.
    """

    def __init__(
        self,
        timeline: Timeline,
        store: MemoryStore,
        room: WaitingRoom,
        profiles: Mapping[str, Profile],
        counts: Counts,
        *,
        last_input: Callable[[str], float | None],
    ) -> None:
        self._timeline = timeline
        self._store = store
        self._room = room
        self._profiles = profiles
        self._counts = counts
        self._last_input = last_input
        self._looks: dict[str, float] = {}
        self._away_until = 0.0
        self._pauses: tuple[Pause, ...] = ()
        room.on_turn(self._turn_has_come)
        store.listen(room.see)

    def begin(self, machines: Machines, relays: Relays) -> None:
        """Know whom to ask and to command."""
        self.machines = machines
        self.relays = relays

    @property
    def is_away(self) -> bool:
        """Whether the store cannot be reached: nothing is decided then."""
        return self._timeline.now < self._away_until

    def go_away(self, lasts_s: float) -> None:
        """Nobody reaches the store for so long."""
        self._away_until = self._timeline.now + lasts_s
        self._pauses = (*self._pauses, Pause(self._timeline.now, self._away_until))

    async def look(self, session_id: str) -> None:
        """Have a session converge, as far as it can now."""
        if self.is_away:
            self._timeline.at(self._away_until, partial(self.look, session_id))
            return
        while await self._converge(session_id):
            pass

    async def _converge(self, session_id: str) -> bool:
        """One step; whether another may follow at once."""
        session = await self._store.read(session_id)
        if session is None or session.forget_at is not None:
            self._looks.pop(session_id, None)
            return False
        self._counts.looks += 1
        facts, now = await self._facts(session), self._timeline.now
        after, commands = step(session, facts, now)
        if after is not session:
            after = await self.write(session, after)
        for command in commands:
            self._carry_out(command, after)
        deadline = next_deadline(after, facts)
        if after.state is State.PENDING and after.ports is None and (after.slot or facts.offer) and facts.relays:
            deadline = min(deadline or math.inf, now + _PORTS_EVERY_S)
        self._look_at(session_id, deadline)
        took_slot = after.slot is not session.slot and after.slot is not None
        return took_slot or any(isinstance(command, Withdraw) for command in commands)

    async def write(self, before: Session, after: Session) -> Session:
        """Write a session as the broker does: what it gives up of ports lingers."""
        self._counts.writes += 1
        if before.slot is not None and after.slot is None:
            self.machines.forget(before.slot)
        return await self._store.write(after, linger=lingering(before, after, self._timeline.now))

    async def _facts(self, session: Session) -> Facts:
        ledger = await self._store.ledger()
        backend = offer = None
        if is_waiting(session):
            if self._room.is_next(session):
                profile, now = self._profiles[session.profile], self._timeline.now
                offer = choose_slot(profile, session.id, ledger, fleet=self.machines.fleet, now=now)
        elif session.slot is not None:
            backend = self.machines.seen(session.slot, self._last_input(session.id))
        return Facts(
            backend=backend,
            backends_known=session.slot is not None,
            slot_released=session.slot is not None and self.machines.was_released(session.slot),
            published=self.relays.routes.get(session.id),
            report=self.relays.reports.get(session.id),
            relays=self.relays.announced,
            ledger=ledger,
            offer=offer,
            answering_relays=self.relays.answering,
            lost_relays=self.relays.lost,
            pauses=self._pauses,
        )

    def _carry_out(self, command: Command, session: Session) -> None:
        self._counts.commands[type(command).__name__] += 1
        match command:
            case Launch(slot):
                self.machines.launch(slot, session.id)
            case Activate(slot):
                self.machines.activate(slot, session.id)
            case Publish(route):
                self.relays.publish(route)
            case Withdraw(session_id):
                self.relays.withdraw(session_id)
            case Release(slot):
                self.machines.release(slot)
            case Warn():
                pass
            case _:
                assert_never(command)

    def _look_at(self, session_id: str, when: float | None) -> None:
        """Look again then, unless another time is set meanwhile."""
        if when is None:
            self._looks.pop(session_id, None)
        elif self._looks.get(session_id) != when:
            self._looks[session_id] = when
            self._timeline.at(when, partial(self._look_if_due, session_id, when))

    async def _look_if_due(self, session_id: str, when: float) -> None:
        if self._looks.get(session_id) == when:
            del self._looks[session_id]
            await self.look(session_id)

    def _turn_has_come(self, session_id: str) -> None:
        self._timeline.after(0, partial(self.look, session_id))
