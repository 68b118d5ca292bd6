"""What a session is: its states, its claims, why it ended. Pure data; `broker.core.step` moves it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from broker.core.catalog import Clocks
from broker.core.slot import SlotRef
from signaling.routes import Admission, Endpoint, Route, SignalingKind

READABLE_AFTER_END_S = 3600.0


class State(StrEnum):
    """Where a session is. `READY`: its backend answered its readiness call and its relay bound both ports."""

    PENDING = "pending"
    READY = "ready"
    STOPPED = "stopped"
    ENDED = "ended"


class Phase(StrEnum):
    """What a pending session waits for: a slot, relay ports, its backend, its route."""

    QUEUED = "queued"
    PLACING = "placing"
    STARTING = "starting"
    ROUTING = "routing"


TELLS = {
    Phase.QUEUED: "Session is being prepared: waiting for a free slot",
    Phase.PLACING: "Session is being prepared: waiting for a relay with free ports",
    Phase.STARTING: "Session is being prepared: starting the streaming backend",
    Phase.ROUTING: "Session is being prepared: opening the route",
}
"""The message of a pending session."""


class Wanted(StrEnum):
    """What the caller wants of a session."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why a session ended."""

    DELETED = "deleted"
    NEVER_CONNECTED = "never_connected"
    DISCONNECTED = "disconnected"
    IDLE = "idle"
    MAX_LENGTH = "max_length"
    MAX_STOPPED = "max_stopped"
    QUEUE_TIMEOUT = "queue_timeout"
    START_TIMEOUT = "start_timeout"
    BACKEND_FAILED = "backend_failed"
    NODE_LOST = "node_lost"
    RELAY_LOST = "relay_lost"
    ROUTE_FAILED = "route_failed"
    NO_CAPACITY = "no_capacity"


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """The pair of a relay's ports that one session holds; `host` is what clients connect to."""

    relay_id: str
    host: str
    signaling_port: int
    media_port: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A clock of a session: when it ends the session (or, where it `stops`, stops it), and why.

    `clock_s` is the clock's setting.
    """

    at: float
    reason: EndReason
    message: str
    clock_s: float
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to connect to a session until `expires_at`, as one of the APIs hands it out."""

    id: str
    created_at: float
    created_by: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Handled:
    """A request on a session that was carried out: a digest of its key, and what it asked for."""

    key: str
    asked: str


@dataclass(frozen=True)
class Session:
    """One streaming session. Times: seconds since the epoch, on the store's clock.

    It holds `slot` and `ports` until they are known to be free, so an ended or stopped session may hold them for a
    moment more. `share` is what fairness and quotas count it under. `labels` are notes of an API's own, opaque here.
    `idempotency` is the claim of the request that made it, `handled` the latest requests with a key that changed it.
    Its relay is not announced since `unheard_since`, nor known to live since `relay_missing_since`.
    `run` counts its starts after the first. `revision` counts up with every write to the store.
    It has no slots: a dictionary is copied at once, and sessions are copied far more often than kept.
    """

    id: str
    application: str
    version: str
    profile: str
    arguments: Mapping[str, str]
    owner: str
    created_at: float
    updated_at: float
    pending_since: float
    clocks: Clocks
    slot: SlotRef | None
    backend_secret: str = field(repr=False)
    signaling: SignalingKind = SignalingKind.READABLE
    admission: Admission = Admission.SESSION_ID
    allowed_origins: tuple[str, ...] = ("*",)
    expires_at: float | None = None
    state: State = State.PENDING
    phase: Phase | None = Phase.PLACING
    message: str = "Session is being prepared"
    wanted: Wanted = Wanted.RUNNING
    backend: Endpoint | None = None
    ports: RelayPorts | None = None
    route_attempts: int = 0
    ready_at: float | None = None
    viewer_present: bool = False
    first_viewer_at: float | None = None
    last_viewer_at: float | None = None
    relay_missing_since: float | None = None
    unheard_since: float | None = None
    end_reason: EndReason | None = None
    ended_at: float | None = None
    idempotency: str | None = None
    revision: int = 0
    share: str = ""
    created_by: str = ""
    updated_by: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    handled: tuple[Handled, ...] = ()
    run: int = 0
    started_at: float | None = None
    started_by: str | None = None
    stopped_at: float | None = None
    stopped_by: str | None = None
    placed_at: float | None = None
    last_input_at: float | None = None
    kept_until: float | None = None
    extended_s: float = 0
    warning: Alarm | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way with it: ready, or stopped and all given back."""
        return self.state is State.READY or (self.state is State.STOPPED and self.slot is None and self.ports is None)

    @property
    def route(self) -> Route | None:
        """The route that a relay should serve, once relay ports and the backend's address are known."""
        if self.ports is None or self.backend is None:
            return None
        return Route(
            session_id=self.id,
            relay_id=self.ports.relay_id,
            signaling_port=self.ports.signaling_port,
            media_port=self.ports.media_port,
            backend=self.backend,
            backend_secret=self.backend_secret,
            signaling=self.signaling,
            admission=self.admission,
            allowed_origins=self.allowed_origins,
        )

    @property
    def relay_host(self) -> str | None:
        """What clients connect to: an IP address or a DNS name."""
        return self.ports.host if self.ports is not None else None

    @property
    def forget_at(self) -> float | None:
        """When nobody needs to know of it any more; None while it lives or still holds anything."""
        if self.ended_at is None or self.slot is not None or self.ports is not None:
            return None
        return self.ended_at + READABLE_AFTER_END_S


def _evolved(session: Session, /, **changes: object) -> Session:
    """As `dataclasses.replace`, at a twentieth of its cost: sessions are copied at every step."""
    values = {**session.__dict__, **changes}
    if len(values) != len(session.__dict__):
        raise TypeError(f"a session has no such field: {changes.keys() - session.__dict__.keys()}")
    copy = object.__new__(Session)
    object.__setattr__(copy, "__dict__", values)
    return copy


evolved = replace if TYPE_CHECKING else _evolved
"""The session with these fields changed."""


def ended(session: Session, reason: EndReason, message: str, now: float) -> Session:
    """The session with its end written down; an end that is there already stays."""
    if session.state is State.ENDED:
        return session
    return evolved(
        session,
        state=State.ENDED,
        phase=None,
        wanted=Wanted.ENDED,
        end_reason=reason,
        message=message,
        ended_at=now,
        updated_at=now,
        viewer_present=False,
    )
