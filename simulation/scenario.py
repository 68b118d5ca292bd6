"""What is simulated: the fleet, who comes to it, what fails."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.core.catalog import ANY, ApplicationPattern, Clocks, Profile
from signaling.routes import Admission, SignalingKind

PROVIDER = "static"


@dataclass(frozen=True, slots=True)
class NodeClass:
    """Nodes of one kind, which serve one profile. `weight` is their share of those who come.

    `start_s` is how long a backend takes to be idle again after a session, `stay_s` how long people stay: medians, both
    are log-normal.
    """

    id: str
    nodes: int
    slots_per_node: int
    weight: float
    start_s: float = 6.0
    stay_s: float = 1500.0

    @property
    def slots(self) -> int:
        """How many backends there may be at once, while all nodes are up."""
        return self.nodes * self.slots_per_node

    def profile(self, clocks: Clocks, queue: int) -> Profile:
        """The profile that is served."""
        return Profile(
            id=self.id,
            name=self.id,
            description="",
            applications=(ApplicationPattern(ANY),),
            provider=PROVIDER,
            command=(),
            environment={},
            arguments={},
            protocol="pixelferry",
            signaling=SignalingKind.READABLE,
            admission=Admission.SESSION_ID,
            clocks=clocks,
            slots=1,
            queue=queue,
            labels={"class": self.id},
        )


@dataclass(frozen=True, slots=True)
class Habits:
    """What people do. Probabilities are of one session; the rest are medians or means, in seconds.

    Who waits gives up after `patience_s` (mean, exponential). Who has a picture loses the network every
    `drop_every_s` (mean) for `drop_s` (median). At the end one deletes the session, closes the tab, or leaves it alone.
    """

    owners: int = 20_000
    never_connects: float = 0.02
    connect_s: float = 2.0
    patience_s: float = 900.0
    drop_every_s: float = 7200.0
    drop_s: float = 6.0
    deletes: float = 0.55
    closes: float = 0.25
    returns_after_failure: float = 0.9


@dataclass(frozen=True, slots=True)
class NodesFail:
    """So many nodes at once, for so long: a rack. Unless they crash, only their network is away."""

    at_s: float
    count: int
    lasts_s: float
    crash: bool = True


@dataclass(frozen=True, slots=True)
class RelaysFail:
    """So many relays at once, back with the same ids after so long. `hosts_gone`: nothing refuses connects."""

    at_s: float
    count: int
    lasts_s: float
    hosts_gone: bool = False


@dataclass(frozen=True, slots=True)
class StoreAway:
    """Nobody reaches the store for so long."""

    at_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Burst:
    """One owner asks for so many sessions of one class within a second."""

    at_s: float
    count: int
    node_class: str


Fault = NodesFail | RelaysFail | StoreAway | Burst


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. `sessions` is how many come in all; `curve` weighs equal parts of the run, cyclically.

    `node_mtbf_s` and its like are means of exponential times between failures of one; 0: none fails by itself.
    """

    id: str
    title: str
    seconds: float
    sessions: int
    classes: tuple[NodeClass, ...]
    relays: int
    relay_capacity: int
    curve: tuple[float, ...] = (1.0,)
    zones: int = 4
    queue: int = 500
    clocks: Clocks = field(
        default_factory=lambda: Clocks(
            placement_s=1800, first_connection_s=120, reconnect_grace_s=60, idle_s=900, max_length_s=4 * 3600
        )
    )
    habits: Habits = field(default_factory=Habits)
    faults: tuple[Fault, ...] = ()
    node_mtbf_s: float = 0
    node_repair_s: float = 1800
    relay_mtbf_s: float = 0
    relay_repair_s: float = 60
    backend_mtbf_s: float = 0
    port_taken: float = 0.0002
    sample_s: float = 60
    seed: int = 1

    @property
    def nodes(self) -> int:
        """How many nodes there are, of all classes."""
        return sum(kind.nodes for kind in self.classes)

    @property
    def slots(self) -> int:
        """How many slots there are, of all classes."""
        return sum(kind.slots for kind in self.classes)


_DAY = 86400.0
_WEEKDAY = (
    0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.7, 1.1, 1.6, 2.0, 2.1, 1.9,
    1.6, 1.8, 2.05, 2.0, 1.8, 1.5, 1.2, 1.1, 1.1, 0.95, 0.7, 0.5,
)  # fmt: skip
"""How many come in each hour of a working day: two peaks, and a quiet night."""


def a_day() -> Scenario:
    """100,000 sessions come to 1,000 nodes and 200 relays in the course of a day, and things fail."""
    hour = 3600.0
    return Scenario(
        id="day",
        title="A day: 100,000 sessions on 1,000 nodes and 200 relays",
        seconds=_DAY,
        sessions=100_000,
        classes=(
            NodeClass("shared", nodes=700, slots_per_node=8, weight=0.76, stay_s=1500),
            NodeClass("large", nodes=220, slots_per_node=4, weight=0.18, start_s=12, stay_s=1200),
            NodeClass("whole", nodes=80, slots_per_node=1, weight=0.022, start_s=25, stay_s=1200),
        ),
        relays=200,
        relay_capacity=40,
        curve=_WEEKDAY,
        faults=(
            RelaysFail(3 * hour, 1, 60),
            NodesFail(9.5 * hour, 40, 1800),
            Burst(10.25 * hour, 400, "large"),
            NodesFail(11 * hour, 100, 12, crash=False),
            RelaysFail(12 * hour, 50, 300, hosts_gone=True),
            StoreAway(14.5 * hour, 420),
            RelaysFail(16 * hour, 10, 60),
        ),
        node_mtbf_s=30 * _DAY,
        relay_mtbf_s=60 * _DAY,
        backend_mtbf_s=500 * hour,
        sample_s=300,
    )


def full_house() -> Scenario:
    """100,000 sessions live at once, while nodes and relays fail."""
    minute = 60.0
    return Scenario(
        id="full-house",
        title="A full house: 100,000 sessions live at once on 1,000 nodes and 200 relays",
        seconds=30 * minute,
        sessions=104_000,
        classes=(NodeClass("shared", nodes=1000, slots_per_node=104, weight=1, stay_s=20_000),),
        relays=200,
        relay_capacity=600,
        curve=(1.0, 1.0, 0.01),
        habits=Habits(drop_every_s=14_400),
        faults=(NodesFail(21 * minute, 20, 600), RelaysFail(24 * minute, 10, 60)),
        sample_s=30,
    )


def a_village() -> Scenario:
    """Small, and quickly over: every kind of trouble on a handful of nodes."""
    return Scenario(
        id="village",
        title="A village: what the tests run",
        seconds=7200,
        sessions=300,
        classes=(
            NodeClass("shared", nodes=6, slots_per_node=4, weight=0.8, stay_s=300),
            NodeClass("whole", nodes=2, slots_per_node=1, weight=0.2, stay_s=200),
        ),
        relays=4,
        relay_capacity=12,
        curve=(0.5, 2.0, 1.0),
        queue=40,
        faults=(
            NodesFail(1800, 2, 600),
            NodesFail(2400, 4, 12, crash=False),
            RelaysFail(2700, 1, 60),
            Burst(3000, 30, "shared"),
            StoreAway(3600, 120),
            RelaysFail(4500, 2, 60, hosts_gone=True),
        ),
        backend_mtbf_s=20_000,
        port_taken=0.05,
    )


SCENARIOS = {scenario.id: scenario for scenario in (a_day(), full_house(), a_village())}
PUBLISHED = ("day", "full-house")
