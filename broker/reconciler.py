"""Makes true what is wanted: in its turn, each session's facts are gathered, it is stepped, commands are carried out.

There is no other path: a create, a delete, a restart of the broker and a lost backend are all "facts changed".
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import assert_never

from broker.core.catalog import Catalog, Profile
from broker.core.clocks import warning_text
from broker.core.commands import Activate, Command, Launch, Publish, Release, Warn, Withdraw
from broker.core.ledger import Ledger, is_waiting, lingering
from broker.core.node import Fleet
from broker.core.placement import choose_slot
from broker.core.session import EndReason, Session, State
from broker.core.slot import Backend, BackendState, SlotRef
from broker.core.step import Facts, next_deadline, step
from broker.errors import NotFound
from broker.leadership import ALONE, Term
from broker.outages import pause_s, through_outages
from broker.providers.base import Activation, LaunchOrder, Provider
from broker.queue_moves import tell_queue_moves
from broker.relay_probe import RelayProbe
from broker.route_record import durable_part, recorded
from broker.session_log import tell_of_move, tell_of_trouble
from broker.stores.base import Store, WriteRace
from broker.turns import Turns
from broker.waiting_room import WaitingRoom
from signaling.errors import Deposed
from signaling.routes import RelayInfo, Route
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

_RETRY_MOST_S = 5.0
_PORTS_EVERY_S = 1.0
"""Ports become free as time goes by, which nobody tells; so often they are looked for."""

_NODES_EVERY_S = 0.5
"""Nodes come, and are steady again after a silence, which nobody tells; so often whoever is next looks at them."""

_LONGEST_SLEEP_S = 30.0
"""A session is looked at so often at least, so that a clock set anew is noticed."""


@dataclass(eq=False, slots=True)
class _Work:
    """What is remembered of a session between its turns.

    Without news, at the revision that was seen last and before the deadline there is nothing to do: it was woken by its
    own write.
    """

    has_news: bool = True
    revision: int = -1
    deadline: float | None = None
    slot_id: str | None = None
    released: str | None = None
    recorded: tuple[object, ...] | None = None
    warned: EndReason | None = None
    failures: int = 0


class Reconciler:
    """Follows sessions, backends and routes. `providers` are keyed as profiles name them; others run them.

    Sessions that wait for a slot are served in the order of `room`.
    `fleet` and `catalog` return the nodes and the catalog of this moment. Of a session the catalog is asked for the
    profile alone: a version or an application that was deleted by now does not touch sessions that were made before.
    """

    def __init__(
        self,
        store: Store,
        routes: RouteTable,
        providers: Mapping[str, Provider],
        catalog: Callable[[], Catalog],
        *,
        room: WaitingRoom | None = None,
        term: Term = ALONE,
        records: bool = False,
        fleet: Callable[[], Fleet] = Fleet,
        troubled: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._store = store
        self._troubled = troubled
        self._room = room or WaitingRoom()
        self._room.on_turn(lambda session_id: self._wake((session_id,)))
        self._term = term
        self._records = records
        self._routes = routes
        self._probe = RelayProbe(store, lambda: self._wake(self._work))
        self._providers = providers
        self._catalog = catalog
        self._fleet = fleet
        self._work: dict[str, _Work] = {}
        self._turns = Turns(self._turn)
        self._session_of_slot: dict[str, str] = {}
        self._backends: dict[str, Mapping[str, Backend]] = {}
        self._relays: Mapping[str, RelayInfo] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, provider in self._providers.items():
                group.create_task(self._follow_backends(name, provider), name=f"backends of {name}")
            group.create_task(through_outages(self._follow_routes), name="routes")
            group.create_task(self._probe.run(), name="relay probe")
            group.create_task(tell_queue_moves(self._store, self._room), name="queue moves")
            group.create_task(through_outages(self._follow_sessions), name="sessions")
            group.create_task(self._turns.run(), name="turns of sessions")

    async def _follow_sessions(self) -> None:
        async with aclosing(self._store.changes()) as changes:
            async for session_ids in changes:
                self._wake(session_ids, with_news=False)
                newcomers = [session_id for session_id in session_ids if session_id not in self._work]
                await self._see_who_waits(newcomers)
                for session_id in newcomers:
                    self._work[session_id] = _Work()
                    self._turns.wake(session_id)

    async def _see_who_waits(self, newcomers: Iterable[str]) -> None:
        """Those who were written by others, or before this broker began, wait in the order in which they came."""
        found = [session for session_id in newcomers if (session := await self._read(session_id)) is not None]
        for session in sorted(found, key=lambda session: session.pending_since):
            self._room.see(None, session)

    async def _follow_backends(self, name: str, provider: Provider) -> None:
        async for backends in provider.observe():
            before = self._backends.get(name)
            self._backends[name] = backends
            if before is None:
                self._wake(self._work)
            else:
                changed = [slot for slot, backend in backends.items() if before.get(slot) is not backend]
                changed += [slot for slot in before if slot not in backends]
                self._wake(self._session_of_slot[slot] for slot in changed if slot in self._session_of_slot)

    async def _follow_routes(self) -> None:
        async for session_ids in self._routes.changes():
            relays_before, self._relays = self._relays, await self._routes.relays()
            await self._probe.see(self._relays)
            self._wake(self._work if self._relays != relays_before else session_ids)

    def _wake(self, session_ids: Iterable[str], *, with_news: bool = True) -> None:
        for session_id in session_ids:
            work = self._work.get(session_id)
            if work is not None:
                work.has_news |= with_news
                self._turns.wake(session_id)

    async def _turn(self, session_id: str, is_due: bool) -> float | None:
        """A session's turn: converges; in how many seconds it is due again, None once nothing is left to do."""
        work = self._work.get(session_id)
        if work is None:
            return None
        work.has_news |= is_due
        try:
            deadline = await self._converge(session_id, work)
            work.failures = 0
            return _LONGEST_SLEEP_S if deadline is None else min(deadline - await self._store.now(), _LONGEST_SLEEP_S)
        except _Finished:
            del self._work[session_id]
            if work.slot_id is not None:
                self._session_of_slot.pop(work.slot_id, None)
            return None
        except WriteRace:
            return 0
        except Exception as error:
            if isinstance(error, Deposed):
                self._term.deposed()
            tell_of_trouble(session_id, error)
            self._troubled(error)
            work.failures += 1
            return pause_s(work.failures, most_s=_RETRY_MOST_S)

    async def _converge(self, session_id: str, work: _Work) -> float | None:
        """Gather facts, step, write, carry out; returns the next deadline. Raises _Finished, WriteRace."""
        session = await self._read(session_id)
        if session is None or session.forget_at is not None:
            raise _Finished
        if session.revision == work.revision and not work.has_news:
            return work.deadline
        work.has_news, work.revision = False, -1
        self._note_slot(session, work)
        facts = await self._facts(session, work)
        now = await self._store.now()
        self._term.check(now)
        after, commands = step(session, facts, now)
        if after is not session:
            after = await self._store.write(after, linger=lingering(session, after, now), fence=self._term.fence)
            self._note_slot(after, work)
            tell_of_move(session, after)
        if after.warning is None:
            work.warned = None
        for command in commands:
            await self._carry_out(command, after, work)
        await self._keep_record(after, facts, work)
        work.revision, work.deadline = after.revision, self._deadline(after, facts, now)
        if after.slot is not session.slot and after.slot is not None:
            self._wake((session_id,))
        return work.deadline

    def _deadline(self, session: Session, facts: Facts, now: float) -> float | None:
        """When to look again though nothing was heard."""
        deadline = next_deadline(session, facts)
        lacks_ports = session.state is State.PENDING and session.ports is None and (session.slot or facts.offer)
        if lacks_ports and facts.relays:
            deadline = min(deadline or math.inf, now + _PORTS_EVERY_S)
        profile = self._catalog().profiles.get(session.profile)
        if profile is not None and profile.on_nodes and is_waiting(session) and self._room.is_next(session):
            deadline = min(deadline or math.inf, now + _NODES_EVERY_S)
        return deadline

    def _note_slot(self, session: Session, work: _Work) -> None:
        """Know whom to wake when the provider speaks of this slot."""
        slot_id = session.slot.id if session.slot is not None else None
        if slot_id == work.slot_id:
            return
        if work.slot_id is not None:
            self._session_of_slot.pop(work.slot_id, None)
        if slot_id is not None:
            self._session_of_slot[slot_id] = session.id
        work.slot_id = slot_id

    async def _facts(self, session: Session, work: _Work) -> Facts:
        ledger = await self._store.ledger()
        backend, known, offer = None, False, None
        if is_waiting(session):
            backend = self._why_never(session)
            if backend is None and self._room.is_next(session):
                offer = await self._offer(session, ledger)
        elif session.slot is not None and session.slot.provider in self._backends:
            known = True
            backend = self._backends[session.slot.provider].get(session.slot.id)
            if backend is None and session.state not in (State.STOPPED, State.ENDED):
                backend = self._why_never(session)
                if backend is None and session.backend is not None:
                    known = not await self._adopts(session, session.slot)
        return Facts(
            backend=backend,
            backends_known=known,
            slot_released=work.released is not None and work.released == work.slot_id,
            published=await self._routes.route(session.id),
            report=await self._routes.report_on(session.id),
            relays=await self._routes.relays(),
            ledger=ledger,
            offer=offer,
            answering_relays=self._probe.answering,
            lost_relays=self._probe.lost,
            pauses=self._term.pauses(),
        )

    async def _read(self, session_id: str) -> Session | None:
        """As this broker's own picture has it: a write of what is old by now is refused, and the news comes."""
        return await self._store.read(session_id, fresh=False)

    async def _offer(self, session: Session, ledger: Ledger) -> SlotRef | None:
        now, profile = await self._store.now(), self._profile(session)
        return choose_slot(profile, session.id, ledger, run=session.run, fleet=self._fleet(), now=now)

    async def _adopts(self, session: Session, slot: SlotRef) -> bool:
        """Whether the provider looks for a backend that it does not know, as another broker launched it."""
        order = LaunchOrder(self._profile(session), session.application, session.version, session.arguments)
        activation = Activation(session.id, session.arguments, session.backend_secret)
        was_ready = session.ready_at is not None
        return await self._providers[slot.provider].adopt(slot, order, activation, was_ready=was_ready)

    def _why_never(self, session: Session) -> Backend | None:
        """A failed backend in the place of one that can never be launched, since the catalog has changed."""
        try:
            self._profile(session)
        except NotFound as error:
            return Backend(BackendState.FAILED, message=str(error))
        return None

    def _profile(self, session: Session) -> Profile:
        profile = self._catalog().profiles.get(session.profile)
        if profile is None:
            raise NotFound("profile", session.profile)
        return profile

    async def _carry_out(self, command: Command, session: Session, work: _Work) -> None:
        match command:
            case Launch(slot):
                order = LaunchOrder(self._profile(session), session.application, session.version, session.arguments)
                await self._providers[slot.provider].launch(slot, order)
            case Activate(slot):
                activation = Activation(session.id, session.arguments, session.backend_secret)
                await self._providers[slot.provider].activate(slot, activation)
            case Publish(route):
                await self._publish(route, session, work)
            case Withdraw(session_id):
                await self._routes.withdraw(session_id, fence=self._term.fence)
                self._wake((session_id,))
            case Release(slot):
                if slot.provider in self._providers:
                    await self._providers[slot.provider].release(slot)
                work.released = slot.id
                self._wake((session.id,))
            case Warn(slot, alarm):
                if work.warned is not alarm.reason:
                    work.warned = alarm.reason
                    await self._providers[slot.provider].notify(slot, warning_text(alarm, await self._store.now()))
            case _:
                assert_never(command)

    async def _publish(self, route: Route, session: Session, work: _Work) -> None:
        if self._records:
            route, work.recorded = recorded(route, session), durable_part(session)
        await self._routes.publish(route, fence=self._term.fence)

    async def _keep_record(self, session: Session, facts: Facts, work: _Work) -> None:
        """Have the route's record follow the session, where records are kept."""
        if not self._records or session.state in (State.STOPPED, State.ENDED):
            return
        route = session.route
        if route is None or facts.published != route:
            return
        if work.recorded is None:
            work.recorded = durable_part(session)
        elif work.recorded != durable_part(session):
            await self._publish(route, session, work)


class _Finished(Exception):
    """The session has ended and holds nothing any more, or is not there."""
