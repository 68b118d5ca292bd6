"""Runs a scenario: puts the pieces together, lets people come and things fail, and takes the samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

from broker.core.ledger import is_waiting
from broker.core.session import State
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from simulation.convergence import Convergence
from simulation.machines import Machines
from simulation.measures import Counts, Outcome, Sample, Waits, faults_of_books, fleet_sample
from simulation.relays import Relays
from simulation.scenario import Burst, Fault, NodesFail, RelaysFail, Scenario, StoreAway
from simulation.timeline import Timeline
from simulation.visitors import Visitors

BEGIN = 1_700_000_000.0
_KEPT_ENDED = 1000
_BOOKS_EVERY = 20
"""The books are gone through at each so manieth sample."""

_DRAIN_S = 60.0


def simulate(scenario: Scenario) -> Outcome:
    """Run it to its end; the same scenario always gives the same outcome."""
    begun = time.process_time()
    outcome = asyncio.run(_Run(scenario).outcome())
    return replace(outcome, took_s=time.process_time() - begun)


class _Run:
    """All pieces of one run."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._timeline = Timeline(BEGIN)
        self._random = _random(scenario, "faults")
        self._store = MemoryStore(lambda: self._timeline.now, kept_ended=_KEPT_ENDED)
        self._counts, self._waits = Counts(), Waits()
        self._samples: list[Sample] = []
        self._faults: list[str] = []
        room = WaitingRoom()
        self._room = room
        profiles = {kind.id: kind.profile(scenario.clocks, scenario.queue) for kind in scenario.classes}
        self._visitors = Visitors(
            scenario,
            self._timeline,
            _random(scenario, "people"),
            self._store,
            room,
            profiles,
            self._counts,
            self._waits,
        )
        self._convergence = Convergence(
            self._timeline, self._store, room, profiles, self._counts, last_input=self._visitors.last_input
        )
        self._machines = Machines(
            scenario, self._timeline, _random(scenario, "machines"), tell=self._convergence.look, freed=self._call_next
        )
        self._relays = Relays(scenario, self._timeline, _random(scenario, "relays"), tell=self._hear_relay)
        self._convergence.begin(self._machines, self._relays)
        self._visitors.begin(self._convergence)

    async def outcome(self) -> Outcome:
        """Everybody comes, everything fails, all leave; then the books have to be empty."""
        first_event = await self._store.last_event_id()
        arrivals = iter(self._arrivals())
        self._timeline.at(next(arrivals), partial(self._arrive, arrivals))
        for fault in self._scenario.faults:
            self._timeline.at(BEGIN + fault.at_s, partial(self._befall, fault))
        self._plan_failures()
        self._timeline.after(0, partial(self._sample, 0))
        await self._timeline.run(BEGIN + self._scenario.seconds)
        await self._close()
        self._counts.events = await self._store.last_event_id() - first_event
        return Outcome(self._scenario, self._counts, self._waits, self._samples, self._faults)

    def _arrivals(self) -> list[float]:
        curve, parts = self._scenario.curve, len(self._scenario.curve)
        part_s = self._scenario.seconds / parts
        random = _random(self._scenario, "arrivals")
        chosen = random.choices(range(parts), curve, k=self._scenario.sessions)
        return sorted(BEGIN + (part + random.random()) * part_s for part in chosen)

    async def _arrive(self, arrivals: Iterator[float]) -> None:
        following = next(arrivals, None)
        if following is not None:
            self._timeline.at(following, partial(self._arrive, arrivals))
        await self._visitors.arrive()

    async def _hear_relay(self, session_id: str) -> None:
        await self._convergence.look(session_id)
        await self._visitors.come_back(session_id)

    # Failures.

    async def _befall(self, fault: Fault) -> None:
        match fault:
            case NodesFail():
                for name in self._random.sample(self._machines.names, fault.count):
                    self._machines.fail(name, fault.lasts_s, crashes=fault.crash)
            case RelaysFail():
                relay_ids = self._random.sample(self._relays.ids, fault.count)
                await self._visitors.cut_off(self._relays.kill(relay_ids, fault.lasts_s, hosts_gone=fault.hosts_gone))
            case StoreAway():
                self._convergence.go_away(fault.lasts_s)
            case Burst():
                await self._visitors.burst(fault)

    def _plan_failures(self) -> None:
        """Nodes and relays that fail by themselves, now and then."""
        scenario = self._scenario
        if scenario.node_mtbf_s:
            self._plan_next(scenario.node_mtbf_s / scenario.nodes, self._some_node_fails)
        if scenario.relay_mtbf_s:
            self._plan_next(scenario.relay_mtbf_s / scenario.relays, self._some_relay_fails)

    def _plan_next(self, every_s: float, fail: Callable[[], Awaitable[None]]) -> None:
        async def befall() -> None:
            await fail()
            self._plan_next(every_s, fail)

        self._timeline.after(self._random.expovariate(1 / every_s), befall)

    async def _some_node_fails(self) -> None:
        self._machines.fail(self._random.choice(self._machines.names), self._scenario.node_repair_s)

    async def _some_relay_fails(self) -> None:
        relay_ids = [self._random.choice(self._relays.ids)]
        cut = self._relays.kill(relay_ids, self._scenario.relay_repair_s, hosts_gone=False)
        await self._visitors.cut_off(cut)

    async def _call_next(self, profile: str) -> None:
        """Slots of this profile became free with no session giving them back."""
        sessions = (await self._store.sessions()).values()
        waiting = [session for session in sessions if session.profile == profile and is_waiting(session)]
        for session in waiting:
            if self._room.is_next(session):
                await self._convergence.look(session.id)
                break

    # Judging.

    async def _sample(self, number: int) -> None:
        at_s = self._timeline.now - BEGIN
        if at_s > self._scenario.seconds:
            return
        sessions, ledger = (await self._store.sessions()).values(), await self._store.ledger()
        slots_up = {kind.id: self._machines.slots_up(kind.id) for kind in self._scenario.classes}
        self._samples.append(fleet_sample(at_s, sessions, ledger, self._relays.announced, slots_up))
        if number % _BOOKS_EVERY == 0:
            await self._check_books()
        self._timeline.after(self._scenario.sample_s, partial(self._sample, number + 1))

    async def _check_books(self) -> None:
        claims = {key: claim.owner for key, claim in (await self._store.claims()).items()}
        ledger, sessions = await self._store.ledger(), (await self._store.sessions()).values()
        self._faults += faults_of_books(sessions, claims, ledger)
        if self._machines.shared_slots:
            self._faults.append(f"{self._machines.shared_slots} times, two backends were to run in one slot")

    async def _close(self) -> None:
        """All leave; then nobody holds anything, and everything that came has ended."""
        await self._check_books()
        await self._visitors.close()
        await self._timeline.run(self._timeline.now + _DRAIN_S)
        sessions = (await self._store.sessions()).values()
        self._faults += [f"session {one.id} is still {one.state}" for one in sessions if one.state is not State.ENDED]
        self._faults += [f"{key} still belongs to {claim.owner}" for key, claim in (await self._store.claims()).items()
                         if claim.owner is not None]  # fmt: skip
        if sum(self._counts.ends.values()) != self._counts.created:
            self._faults.append(f"{self._counts.created} sessions came, {sum(self._counts.ends.values())} ended")


def _random(scenario: Scenario, purpose: str) -> Random:
    """Chance of its own for each piece, so that a change of one leaves the others as they were."""
    return Random(f"{scenario.seed} {purpose}")  # noqa: S311
