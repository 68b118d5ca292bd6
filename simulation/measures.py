"""What a run is judged by: counts, samples of the whole fleet, times that people waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.core.ledger import Ledger, claims_of, pools_of, port_claim, relay_pool, slots_pool
from broker.core.session import Session, State
from signaling.routes import RelayInfo
from simulation.scenario import PROVIDER, Scenario


@dataclass(slots=True)
class Counts:
    """What happened, how often."""

    asked: int = 0
    refused: int = 0
    gave_up_asking: int = 0
    unanswered: int = 0
    created: int = 0
    deleted: int = 0
    looks: int = 0
    writes: int = 0
    events: int = 0
    cut_by_relays: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Waits:
    """Times in seconds. `told_s` pairs the estimate that one who queued was first told with the wait that it had."""

    to_ready_s: dict[str, list[float]] = field(default_factory=dict)
    queued_s: dict[str, list[float]] = field(default_factory=dict)
    of_others_s: list[float] = field(default_factory=list)
    of_burst_s: list[float] = field(default_factory=list)
    told_s: list[tuple[float, float]] = field(default_factory=list)
    rerouted_s: list[float] = field(default_factory=list)
    picture_again_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment.

    `stranded`: slots that are free while as many wait for slots of other classes. `relay_fill`: least, mean and most
    loaded relay, of capacity. `lone_ports`: the share of free ports whose partner is not free.
    """

    at_s: float
    ready: int
    pending: int
    queued: int
    slots_used: Mapping[str, int]
    slots_up: Mapping[str, int]
    stranded: int
    relay_fill: tuple[float, float, float]
    ports_used: float
    lone_ports: float

    @property
    def used(self) -> float:
        """The share of the slots that are up which are occupied."""
        up = sum(self.slots_up.values())
        return sum(self.slots_used.values()) / up if up else 1.0


def fleet_sample(
    at_s: float,
    sessions: Iterable[Session],
    ledger: Ledger,
    relays: Mapping[str, RelayInfo],
    slots_up: Mapping[str, int],
) -> Sample:
    """How everything stands."""
    states: Counter[State] = Counter()
    queued: Counter[str] = Counter()
    for session in sessions:
        states[session.state] += 1
        if session.state is State.PENDING and session.slot is None:
            queued[session.profile] += 1
    used = {name: ledger.count(slots_pool(PROVIDER, name)) for name in slots_up}
    free = {name: max(slots_up[name] - used[name], 0) for name in slots_up}
    fills = [ledger.count(relay_pool(relay.id)) / relay.capacity for relay in relays.values()] or [1.0]
    ports_used, lone_ports = _ports(ledger, relays)
    return Sample(
        at_s,
        states[State.READY],
        states[State.PENDING],
        queued.total(),
        used,
        slots_up,
        sum(min(queued[name], sum(free.values()) - free[name]) for name in queued),
        (min(fills), sum(fills) / len(fills), max(fills)),
        ports_used,
        lone_ports,
    )


_LOOKED_AT_RELAYS = 20
"""Ports are counted on so many relays: all are alike."""


def _ports(ledger: Ledger, relays: Mapping[str, RelayInfo]) -> tuple[float, float]:
    ports = used = lone = 0
    for relay in list(relays.values())[:_LOOKED_AT_RELAYS]:
        for low in range(relay.ports.lo, relay.ports.hi, 2):
            free = [ledger.is_free(port_claim(relay.id, port)) for port in (low, low + 1)]
            ports, used, lone = ports + 2, used + 2 - sum(free), lone + (sum(free) == 1)
    return (used / ports, lone / max(ports - used, 1)) if ports else (1.0, 0.0)


def faults_of_books(sessions: Iterable[Session], claims: Mapping[str, str | None], ledger: Ledger) -> list[str]:
    """What does not add up: claims without their session, sessions without their claims, pools that count wrongly.

    `claims` maps each key to its owner, None for what lingers.
    """
    faults: list[str] = []
    pools: Counter[str] = Counter()
    held = 0
    for session in sessions:
        for key in claims_of(session):
            held += 1
            if claims.get(key) != session.id:
                faults.append(f"{key} of session {session.id} belongs to {claims.get(key)}")
        pools.update(pools_of(session))
    owned = sum(1 for owner in claims.values() if owner is not None)
    if owned != held:
        faults.append(f"{owned} claims have an owner, sessions hold {held}")
    faults += [f"{pool} counts {ledger.count(pool)}, not {count}" for pool, count in pools.items()
               if ledger.count(pool) != count]  # fmt: skip
    return faults


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run gave. `faults` is what must be empty: of the books, and two backends in one slot."""

    scenario: Scenario
    counts: Counts
    waits: Waits
    samples: Sequence[Sample]
    faults: Sequence[str]
    took_s: float = 0.0
