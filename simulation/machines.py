"""The machines and the backends on them: what a provider would find, see and give back."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from broker.core.node import Fleet, Node, NodeClocks, NodeSlot, SlotState, Tenant, Verdict, heard, presence, verdict
from broker.core.slot import Activity, Backend, BackendState, SlotRef
from signaling.routes import Endpoint
from simulation.scenario import NodeClass, Scenario
from simulation.timeline import Timeline

_FOUND_S = 0.1
_ACTIVATION_S = 0.05
_GIVEN_BACK_S = 0.2
_ASK_AGAIN_S = 0.5
_SPREAD = 0.5
"""Of the log-normal times in which backends start again for the next session."""

_ALWAYS = math.inf
"""When a node was heard that is up: it is heard all the time, so nobody need simulate each heartbeat."""


@dataclass(slots=True)
class _Place:
    """One occupied slot: its session, on which run of its node, what is seen of it."""

    slot: SlotRef
    session_id: str
    tenant: Tenant
    backend: Backend


class Machines:
    """All nodes, as `broker.core.node` knows them, and what runs there.

    `tell` is called with a session's id whenever its backend is seen to have changed, `freed` with a profile's id when
    a node of its takes sessions again.
    """

    def __init__(
        self,
        scenario: Scenario,
        timeline: Timeline,
        random: Random,
        *,
        tell: Callable[[str], Awaitable[None]],
        freed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._scenario = scenario
        self._timeline = timeline
        self._random = random
        self._tell = tell
        self._freed = freed
        self._clocks = NodeClocks()
        self._kinds: dict[str, NodeClass] = {}
        self._nodes: dict[str, Node] = {}
        everything = [(kind, number) for kind in scenario.classes for number in range(kind.nodes)]
        for kind, number in random.sample(everything, len(everything)):
            node = _node(kind, number, scenario.zones)
            self._kinds[node.name], self._nodes[node.name] = kind, node
        self.fleet = Fleet(self._nodes, self._clocks, listening_since=0)
        self._places: dict[str, dict[str, _Place]] = {name: {} for name in self._nodes}
        # Those that are silent, and whether they crashed.
        self._down: dict[str, bool] = {}
        self._released: set[str] = set()
        self.shared_slots = 0
        """How often two backends were to run in one slot: never, if claims are worth anything."""

    @property
    def names(self) -> list[str]:
        """Every node there is, up or down."""
        return list(self._nodes)

    def slots_up(self, class_id: str) -> int:
        """How many slots of this class are on nodes that are up."""
        down = sum(1 for name in self._down if self._kinds[name].id == class_id)
        kind = next(kind for kind in self._scenario.classes if kind.id == class_id)
        return kind.slots - down * kind.slots_per_node

    def seen(self, slot: SlotRef, last_input_at: float | None) -> Backend | None:
        """The provider's word on this slot."""
        place = self._places[slot.node].get(slot.id)
        if place is None or place.backend.state is not BackendState.CLAIMED:
            return None if place is None else place.backend
        return replace(place.backend, activity=Activity(last_input_at))

    def was_released(self, slot: SlotRef) -> bool:
        """Whether it was confirmed that this slot was given back."""
        return slot.id in self._released

    def forget(self, slot: SlotRef) -> None:
        """Nobody asks for this slot any more."""
        self._released.discard(slot.id)

    def launch(self, slot: SlotRef, session_id: str) -> None:
        """Look for the slot's backend, which may have to start again after the session before."""
        places, node = self._places[slot.node], self._nodes[slot.node]
        if slot.id in places:
            return
        self.shared_slots += any(other.slot.number == slot.number for other in places.values())
        place = _Place(slot, session_id, Tenant(slot.number, session_id, node.boot, node.boot), _STARTING)
        places[slot.id] = place
        if node.slots[slot.number].state is SlotState.IDLE:
            self._timeline.after(_FOUND_S, partial(self._enter, place, _idle(node)))

    def activate(self, slot: SlotRef, session_id: str) -> None:
        """Give its session to a backend that is idle; it may fail at some time from then on."""
        place = self._places[slot.node].get(slot.id)
        if place is None or place.backend.state is not BackendState.IDLE:
            return
        claimed = replace(place.backend, state=BackendState.CLAIMED, session_id=session_id)
        self._timeline.after(_ACTIVATION_S, partial(self._enter, place, claimed))
        if self._scenario.backend_mtbf_s:
            fails_s = self._random.expovariate(1 / self._scenario.backend_mtbf_s)
            if fails_s < self._scenario.seconds:
                self._timeline.after(fails_s, partial(self._enter, place, _FAILED))

    def release(self, slot: SlotRef) -> None:
        """Take the session from a backend."""
        if slot.id not in self._released:
            self._timeline.after(_GIVEN_BACK_S, partial(self._given_back, slot))

    def fail(self, name: str, lasts_s: float, *, crashes: bool = True) -> None:
        """The node is silent for so long. If it `crashes`, what runs there ends; else only its network is away."""
        if name in self._down:
            return
        now, clocks = self._timeline.now, self._clocks
        self._down[name] = crashes
        self._nodes[name] = replace(self._nodes[name], heard_at=now)
        believed_s = clocks.grace_s + clocks.probes * clocks.probe_every_s
        self._timeline.after(believed_s, partial(self._judge, name, now, clocks.probes))
        self._timeline.after(lasts_s, partial(self._return, name))

    async def _enter(self, place: _Place, backend: Backend) -> None:
        """A backend tells of itself, if it is still there."""
        slot, state = place.slot, place.backend.state
        if self._places[slot.node].get(slot.id) is not place or self._down.get(slot.node):
            return
        if slot.node in self._down:
            return self._timeline.after(_ASK_AGAIN_S, partial(self._enter, place, backend))
        expected = {BackendState.IDLE: BackendState.STARTING, BackendState.CLAIMED: BackendState.IDLE}
        if state is expected.get(backend.state, BackendState.CLAIMED):
            place.backend = backend
            await self._tell(place.session_id)

    async def _given_back(self, slot: SlotRef) -> None:
        self._released.add(slot.id)
        place = self._places[slot.node].pop(slot.id, None)
        if place is None:
            return
        if not self._down.get(slot.node):
            self._set_state(slot.node, slot.number, SlotState.STARTING)
            start_s = self._kinds[slot.node].start_s * self._random.lognormvariate(0, _SPREAD)
            self._timeline.after(start_s, partial(self._started, slot.node, slot.number, self._nodes[slot.node].boot))
        await self._tell(place.session_id)

    async def _started(self, name: str, number: int, boot: str) -> None:
        if self._down.get(name) or self._nodes[name].boot != boot:
            return
        self._set_state(name, number, SlotState.IDLE)
        for place in [place for place in self._places[name].values() if place.slot.number == number]:
            await self._enter(place, _idle(self._nodes[name]))

    async def _judge(self, name: str, since: float, failed_probes: int) -> None:
        """Whose node was silent for the grace, and whose backend did not answer either, loses it."""
        if name in self._down and self._nodes[name].heard_at == since:
            await self._lose(name, failed_probes)

    async def _return(self, name: str) -> None:
        """The node is heard again; after a crash it is another run of it."""
        node, now, crashed = self._nodes[name], self._timeline.now, self._down.pop(name)
        said = node
        if crashed:
            boot = f"{now}"
            said = replace(node, boot=boot, slots=tuple(_slot(slot.number, boot) for slot in node.slots))
        self._nodes[name] = replace(heard(node, said, now, self._clocks), heard_at=_ALWAYS)
        await self._lose(name, 0)
        self._timeline.after(self._clocks.settle_s, partial(self._freed, self._kinds[name].id))

    async def _lose(self, name: str, failed_probes: int) -> None:
        node, clocks = self._nodes[name], self._clocks
        seen = presence(node, self._timeline.now, clocks)
        for place in list(self._places[name].values()):
            if verdict(place.tenant, node, seen, failed_probes, clocks) is Verdict.LOST:
                place.backend = _LOST
                await self._tell(place.session_id)

    def _set_state(self, name: str, number: int, state: SlotState) -> None:
        node = self._nodes[name]
        slots = (*node.slots[:number], replace(node.slots[number], state=state), *node.slots[number + 1 :])
        self._nodes[name] = replace(node, slots=slots)


_STARTING = Backend(BackendState.STARTING)
_FAILED = Backend(BackendState.FAILED, message="crashed")
_LOST = Backend(BackendState.LOST)


def _idle(node: Node) -> Backend:
    return Backend(BackendState.IDLE, Endpoint(node.host, 47000, 47001))


def _slot(number: int, boot: str) -> NodeSlot:
    return NodeSlot(number, 47000, 47001, 47002, "token", instance=boot)


def _node(kind: NodeClass, number: int, zones: int) -> Node:
    return Node(
        f"{kind.id}-{number}",
        f"10.{number >> 8}.{number & 255}.2",
        tuple(_slot(slot, "first") for slot in range(kind.slots_per_node)),
        zone=f"zone-{number % zones}",
        labels={"class": kind.id},
        boot="first",
        heard_at=_ALWAYS,
    )
