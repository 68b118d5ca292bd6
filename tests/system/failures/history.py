"""What happened while parts failed: calls with their answers, outages, flows, and what is held in the end.

Plain data, written by the harness and judged by `checker`. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class CallKind(StrEnum):
    """What was asked of a broker."""

    CREATE = "create"
    GET = "get"
    DELETE = "delete"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its answer. `status` is None where none came: refused, or cut off.

    `key` is the idempotency key of a create, `session` whom the call was about or what it made. `ready` is whether the
    answer said so, `reason` an ended session's. `wait_s` was asked for by `Prefer: wait`.
    """

    kind: CallKind
    broker: str
    began: float
    ended: float
    status: int | None
    session: str | None = None
    key: str | None = None
    ready: bool = False
    queued: bool = False
    reason: str | None = None
    wait_s: float = 0
    retry_after: bool = False


class Part(StrEnum):
    """What may fail."""

    STORE = "store"
    BROKER = "broker"
    BROKERS_WAY = "broker's way to the store"
    RELAY = "relay"
    RELAYS_WAY = "relay's way to the store"
    NODE = "node"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that could not do its work from `began` until `ended`, when it was seen to do it again.

    A backend goes by the session that it served.
    """

    part: Part
    name: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class DataLoss:
    """The store came back at `at` without what was written in the `window_s` before it went.

    `queue_too`: sessions that were not ready may be lost whenever they came.
    """

    went: float
    at: float
    window_s: float
    queue_too: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """A time in which a flow's datagrams stayed without their echo; `lost` of them in a row."""

    began: float
    ended: float
    lost: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A viewer's datagrams on one path: through a relay to a backend and back, until it `left` or lost that path."""

    session: str
    relay: str
    node: str
    began: float
    ended: float
    sent: int
    echoed: int
    left: bool = True
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A session as the store has it in the end. `key` is the create's, carried in its arguments.

    `slot` is the claim of its slot, `slot_pools` are those in which that counts.
    """

    id: str
    key: str
    state: str
    share: str
    profile: str
    reason: str | None = None
    slot: str | None = None
    slot_pools: tuple[str, ...] = ()
    relay: str | None = None
    ports: tuple[int, ...] = ()
    idempotency: str | None = None
    waits_for_ports: bool = False


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything that is held in the end, by who says so.

    `claims` are those of the store by key, with their session (None: they linger), `pools` its counts. `backends` are
    the sessions that backends say they serve, by slot, `bound` the ports that each relay has bound.
    """

    sessions: tuple[Held, ...]
    claims: Mapping[str, str | None]
    pools: Mapping[str, int]
    backends: tuple[tuple[str, str], ...] = ()
    bound: Mapping[str, frozenset[int]] = field(default_factory=dict)
    refused_activations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """One run, whole."""

    calls: tuple[Call, ...]
    holdings: Holdings
    outages: tuple[Outage, ...] = ()
    losses: tuple[DataLoss, ...] = ()
    flows: tuple[Flow, ...] = ()


def as_json(history: History) -> str:
    """For people who look into a run that failed."""
    return json.dumps(asdict(history), indent=1, default=sorted)
