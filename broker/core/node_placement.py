"""Which slot of which node a session gets: of the nodes that suit its profile the least loaded, so that GPUs share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from operator import itemgetter

from broker.core.catalog import Profile
from broker.core.ledger import Ledger, node_pool
from broker.core.node import Fleet, Node, NodeSlot, SlotState
from broker.core.slot import SlotRef, node_slot_claim

_PREFERENCE = {SlotState.IDLE: 0, SlotState.CLAIMED: 1, SlotState.STARTING: 2}
"""A node that calls a free slot claimed has not noticed yet that it was given back; it will."""


_COMPARED = 16
"""So many nodes with room are compared at a time, so that placing among thousands costs no more than among these."""


def choose_node_slot(
    profile: Profile, session_id: str, ledger: Ledger, fleet: Fleet, now: float, *, name: str
) -> SlotRef | None:
    """A free slot whose backend stays up; None when there is none. `name` tells this occupation from others.

    The search begins at a place given by the session's id, so that brokers seldom collide and nodes share alike.
    """
    roomy = _with_room(profile, number_of(session_id), ledger, fleet, now)
    while compared := list(islice(roomy, _COMPARED)):
        for _, node in sorted(compared, key=itemgetter(0)):
            slot = _free_slot(node, ledger)
            if slot is not None:
                slot_id = f"{node.name}-{slot.number}-{name}"
                return SlotRef(profile.provider, profile.id, slot.number, slot_id, node.name, node.zone)
    return None


def _with_room(profile: Profile, seed: int, ledger: Ledger, fleet: Fleet, now: float) -> Iterator[tuple[float, Node]]:
    """The nodes that suit and are not full, with their loads, once around from the seed's place on."""
    nodes = list(fleet.nodes.values())
    start = seed % max(len(nodes), 1)
    for node in chain(islice(nodes, start, None), islice(nodes, start)):
        taken = ledger.count(node_pool(node.name))
        if taken < len(node.slots) and fleet.is_candidate(node, profile, now):
            yield taken / len(node.slots), node


def slots_of(profile: Profile, fleet: Fleet, now: float) -> int:
    """How many sessions of this profile there may be at once, were all other profiles idle."""
    return sum(slot.state is not SlotState.FAILED for node in fleet.candidates(profile, now) for slot in node.slots)


def capacity(profile: Profile, fleet: Fleet, now: float) -> int:
    """The same for any profile, on nodes or not."""
    return slots_of(profile, fleet, now) if profile.on_nodes else profile.slots


def number_of(session_id: str) -> int:
    """Its UUID as a number."""
    return int(session_id.replace("-", ""), 16)


def _free_slot(node: Node, ledger: Ledger) -> NodeSlot | None:
    free = (
        slot
        for slot in node.slots
        if slot.state is not SlotState.FAILED and ledger.is_free(node_slot_claim(node.name, slot.number))
    )
    return min(free, key=lambda slot: (_PREFERENCE[slot.state], slot.number), default=None)
