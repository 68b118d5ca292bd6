"""Where a session goes: which slot of its profile, which relay and which pair of its ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import itemgetter

from broker.core.catalog import Profile
from broker.core.ledger import (
    WAITING_FOR_PORTS,
    Ledger,
    port_claim,
    queue_pool,
    relay_pool,
    slots_pool,
)
from broker.core.node import Fleet
from broker.core.node_placement import choose_node_slot, number_of
from broker.core.session import TELLS, Phase, RelayPorts, Session, evolved
from broker.core.slot import SlotRef, occupation, slot_claim
from signaling.routes import PortRange, RelayInfo

NO_NODES = Fleet()

_STRIDE = 7919
"""A prime, so that tries after a taken pair do not walk into the same process's next port."""


_STEPS = 20
"""In so many steps relays are told apart by their sessions, and within a step by what they carry.

So newcomers, whose media is not measured yet, cannot all fall upon the relay that was idle a second ago.
"""

_COMPARED = 16
"""So many relays with room are compared at a time, from a place of the session's own on."""

_WALKED_SLOTS = 64
"""Of so many slots the first free one is looked for from the first on; of more, from a place of the session's own."""


def placed_or_waiting(
    session: Session,
    profile: Profile,
    relays: Mapping[str, RelayInfo],
    ledger: Ledger,
    now: float,
    *,
    fleet: Fleet = NO_NODES,
) -> tuple[Session, dict[str, int]]:
    """A newcomer with slot and ports, if nobody waits for them and they are there; else as one who waits.

    Beside it, how many may count in which pools once it is written: nobody is overtaken, and no queue grows too long.
    Without any relay a slot is enough: the backend may start until one comes.
    """
    queue = queue_pool(profile.id)
    if ledger.count(queue) == 0 and ledger.count(WAITING_FOR_PORTS) == 0:
        slot = choose_slot(profile, session.id, ledger, run=session.run, fleet=fleet, now=now)
        ports = choose_ports(relays, ledger, session.id, zone=slot.zone) if slot is not None else None
        if slot is not None and (ports is not None or not relays):
            phase = Phase.STARTING if ports is not None else Phase.PLACING
            placed_at = now if ports is not None else None
            bounds = {queue: 0, WAITING_FOR_PORTS: 0}
            if ports is not None:
                bounds[relay_pool(ports.relay_id)] = relays[ports.relay_id].capacity
            placed = evolved(session, slot=slot, ports=ports, phase=phase, message=TELLS[phase], placed_at=placed_at)
            return placed, bounds
    waiting = evolved(session, slot=None, ports=None, phase=Phase.QUEUED, message=TELLS[Phase.QUEUED])
    return waiting, {queue: profile.queue}


def choose_slot(
    profile: Profile, session_id: str, ledger: Ledger, *, run: int = 0, fleet: Fleet = NO_NODES, now: float = 0
) -> SlotRef | None:
    """The first free slot of a profile, or one of the nodes that suit it; None when all are taken.

    `run` tells the starts of a session apart.
    """
    name = occupation(session_id, run)
    if profile.on_nodes:
        return choose_node_slot(profile, session_id, ledger, fleet, now, name=name)
    if ledger.count(slots_pool(profile.provider, profile.id)) >= profile.slots:
        return None
    start = 0 if profile.slots <= _WALKED_SLOTS else number_of(session_id) % profile.slots
    for number in chain(range(start, profile.slots), range(start)):
        if ledger.is_free(slot_claim(profile.provider, profile.id, number)):
            return SlotRef(profile.provider, profile.id, number, f"{profile.id}-{number}-{name}")
    return None


def choose_ports(
    relays: Mapping[str, RelayInfo],
    ledger: Ledger,
    session_id: str,
    *,
    attempt: int = 0,
    avoid: RelayPorts | None = None,
    zone: str = "",
) -> RelayPorts | None:
    """A free pair of ports on the least loaded relay of the backend's zone, or else of another; None when none is free.

    The search starts at a place given by the session's id, so that ports come back late and brokers seldom collide.
    `avoid` is a pair that was found taken and is not in the ledger yet.
    """
    seed = number_of(session_id) + attempt * _STRIDE
    for relay in _by_preference(relays, ledger, seed, zone):
        pair = _free_pair(relay.id, relay.ports, ledger, seed, avoid)
        if pair is not None:
            return RelayPorts(relay.id, relay.host, *pair)
    return None


def _by_preference(relays: Mapping[str, RelayInfo], ledger: Ledger, seed: int, zone: str) -> Iterator[RelayInfo]:
    """The relays with room: those of the zone first, and of each so many that are compared the least loaded first."""
    everyone = list(relays.values())
    start = seed % max(len(everyone), 1)
    around = everyone[start:] + everyone[:start]
    near = [relay for relay in around if relay.zone == zone] if zone else around
    far = [relay for relay in around if relay.zone != zone] if zone else []
    for group in (near, far):
        roomy = _with_room(group, ledger)
        while compared := list(islice(roomy, _COMPARED)):
            yield from (relay for _, relay in sorted(compared, key=itemgetter(0)))


def _with_room(
    relays: Iterable[RelayInfo], ledger: Ledger
) -> Iterator[tuple[tuple[int, float, float, str], RelayInfo]]:
    """Those that take sessions, with what they are ordered by: of relays that are about as full, what they carry."""
    for relay in relays:
        if not relay.draining and relay.capacity > 0:
            used = ledger.count(relay_pool(relay.id)) / relay.capacity
            if used < 1:
                yield (int(used * _STEPS), relay.load.datagrams_per_s, used, relay.id), relay


def _free_pair(
    relay_id: str, ports: PortRange, ledger: Ledger, seed: int, avoid: RelayPorts | None
) -> tuple[int, int] | None:
    pairs = (ports.hi - ports.lo + 1) // 2
    for offset in range(pairs):
        low = ports.lo + 2 * ((seed + offset) % pairs)
        avoided = avoid is not None and (avoid.relay_id, avoid.signaling_port) == (relay_id, low)
        if avoided or not ledger.is_free(port_claim(relay_id, low)):
            continue
        if ledger.is_free(port_claim(relay_id, low + 1)):
            return low, low + 1
    return None
