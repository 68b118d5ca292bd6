"""Which faults happen when, drawn from a seed: the same seed makes the same faults. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """What is done to a part."""

    KILL_BROKER = "kill -9 a broker"
    STOP_BROKER = "stop a broker in order"
    FREEZE_BROKER = "freeze a broker"
    CUT_BROKER = "cut a broker from Redis"
    MUTE_BROKER = "lose a broker's packets to Redis"
    SLOW_BROKER = "slow a broker's way to Redis"
    KILL_RELAY = "kill -9 a relay"
    CUT_RELAY = "cut a relay from Redis"
    MUTE_RELAY = "lose a relay's packets to Redis"
    SLOW_RELAY = "slow a relay's way to Redis"
    KILL_REDIS = "kill -9 and restart Redis"
    PAUSE_REDIS = "pause Redis"
    FILL_REDIS = "fill Redis' memory"
    KILL_BACKEND = "kill a backend"


@dataclass(frozen=True, slots=True)
class Habit:
    """How often a kind comes (its share among all), how long it lasts, and how long its target is left alone after."""

    share: float
    shortest_s: float
    longest_s: float
    rest_s: float = 0


HABITS: Mapping[FaultKind, Habit] = {
    FaultKind.KILL_BROKER: Habit(2, 0.1, 1, rest_s=4),
    FaultKind.STOP_BROKER: Habit(1, 0.1, 0.5, rest_s=4),
    FaultKind.FREEZE_BROKER: Habit(4, 0.1, 3),
    FaultKind.CUT_BROKER: Habit(6, 0.05, 1.5),
    FaultKind.MUTE_BROKER: Habit(5, 0.1, 2.5),
    FaultKind.SLOW_BROKER: Habit(4, 0.2, 2),
    FaultKind.KILL_RELAY: Habit(1, 0.1, 5, rest_s=10),
    FaultKind.CUT_RELAY: Habit(6, 0.05, 3),
    FaultKind.MUTE_RELAY: Habit(5, 0.1, 4),
    FaultKind.SLOW_RELAY: Habit(4, 0.2, 2),
    FaultKind.KILL_REDIS: Habit(1, 0.1, 1, rest_s=4),
    FaultKind.PAUSE_REDIS: Habit(2, 0.1, 2, rest_s=2),
    FaultKind.FILL_REDIS: Habit(1, 0.2, 1, rest_s=2),
    FaultKind.KILL_BACKEND: Habit(2, 0, 0, rest_s=3),
}

_TARGETS = {"BROKER": "brokers", "RELAY": "relays", "REDIS": "stores", "BACKEND": "nodes"}


@dataclass(frozen=True, slots=True)
class Cast:
    """The names of those to whom something may happen."""

    brokers: tuple[str, ...]
    relays: tuple[str, ...]
    nodes: tuple[str, ...]
    stores: tuple[str, ...] = ("redis",)

    def of(self, kind: FaultKind) -> tuple[str, ...]:
        """Whom this kind of fault may meet."""
        names: tuple[str, ...] = getattr(self, _TARGETS[kind.name.rpartition("_")[2]])
        return names


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: to whom, when (seconds from the beginning), for how long. `pick` chooses among what the target has."""

    number: int
    kind: FaultKind
    target: str
    at: float
    lasts_s: float
    pick: float = 0


@dataclass
class _Diary:
    """Until when something happens to whom."""

    busy: dict[str, float] = field(default_factory=dict)

    def free(self, kind: FaultKind, cast: Cast, at: float) -> list[str]:
        """To whom this may be done now."""
        return [name for name in cast.of(kind) if all(self.busy.get(one, 0) <= at for one in _involved(kind, name))]

    def write(self, fault: Fault) -> None:
        until = fault.at + fault.lasts_s + HABITS[fault.kind].rest_s
        self.busy |= {name: until for name in _involved(fault.kind, fault.target)}


def plan(seed: int, count: int, cast: Cast, *, every_s: float) -> tuple[Fault, ...]:
    """So many faults in the order of their times, one each `every_s` on average; several go on at once.

    Nothing happens twice to one part at a time, and only one relay is dead or resting at a time: who lost its relay
    then finds another.
    """
    random, diary = Random(seed), _Diary()
    faults: list[Fault] = []
    at = 0.0
    while len(faults) < count:
        at += random.expovariate(1 / every_s)
        chances = {kind: diary.free(kind, cast, at) for kind in HABITS}
        kinds = [kind for kind, targets in chances.items() if targets]
        if not kinds:
            continue
        kind = random.choices(kinds, [HABITS[kind].share for kind in kinds])[0]
        lasts_s = round(random.uniform(HABITS[kind].shortest_s, HABITS[kind].longest_s), 3)
        faults.append(Fault(len(faults), kind, random.choice(chances[kind]), round(at, 3), lasts_s, random.random()))
        diary.write(faults[-1])
    return tuple(faults)


def _involved(kind: FaultKind, target: str) -> tuple[str, ...]:
    """What must have no other fault meanwhile."""
    return (target, "a relay's death") if kind is FaultKind.KILL_RELAY else (target,)
