"""Every metric of the broker, once; label values are there from the start and never name a person or a session.

docs/operations.md lists them; a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from broker.core.catalog import Catalog
from broker.core.events import waited_in_queue_s
from broker.core.node import Fleet, Presence, presence_in
from broker.core.node_placement import capacity
from broker.core.placement import NO_NODES
from broker.core.session import EndReason, Phase, Session, State
from broker.stores.faults import Fault
from signaling.routes import RelayInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_PHASE = "none"
UNKNOWN_ROUTE = "(unknown)"
PAGE_ROUTE = "(page)"
OTHER_METHOD = "(other)"

_READY_S = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
_WAIT_S = (1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 1800)
_ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")


class Trouble(StrEnum):
    """Why a session did not converge and was tried again."""

    STORE = "store"
    ROUTES = "routes"
    UNEXPECTED = "unexpected"


class RelayState(StrEnum):
    """Whether a relay takes new sessions."""

    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class _Answered:
    """The series of one route and method: answers counted by class of status, and the route's times."""

    counts: Sequence[Counter]
    seconds: Histogram


class Metrics:
    """What one broker counts and measures. `collectors` are shown beside: a relay's in the same process.

    `leads` tells whether this broker is the one that converges sessions.
    """

    def __init__(
        self, *, version: str, leads: Callable[[], bool] = lambda: True, collectors: Sequence[Collector] = ()
    ) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        registry = self._registry
        info = Gauge("pixelferry_info", "What runs.", ["version"], registry=registry)
        info.labels(version).set(1)
        leader = Gauge("pixelferry_leader", "1 where this broker converges sessions.", registry=registry)
        leader.set_function(leads)
        self._sessions = Gauge(
            "pixelferry_sessions", "Sessions that live or still hold something.", ["state", "phase"], registry=registry
        )
        self._watched = Gauge("pixelferry_sessions_watched", "Sessions with a viewer present.", registry=registry)
        self._created = Counter("pixelferry_sessions_created_total", "Sessions created.", registry=registry)
        self._ended = Counter(
            "pixelferry_sessions_ended_total", "Sessions ended, by reason.", ["reason"], registry=registry
        )
        self._ready_s = Histogram(
            "pixelferry_session_ready_seconds",
            "From the request, or the start of a stopped session, to readiness.",
            buckets=_READY_S,
            registry=registry,
        )
        self._queued = Gauge("pixelferry_queue_sessions", "Sessions waiting for a slot.", registry=registry)
        self._waited_s = Histogram(
            "pixelferry_queue_wait_seconds",
            "How long sessions that got a slot waited in the queue.",
            buckets=_WAIT_S,
            registry=registry,
        )
        self._slots = Gauge("pixelferry_slots", "Slots there are.", ["profile"], registry=registry)
        self._slots_used = Gauge("pixelferry_slots_used", "Slots that sessions hold.", ["profile"], registry=registry)
        self._nodes = Gauge("pixelferry_nodes", "Nodes that registered.", ["presence"], registry=registry)
        self._relays = Gauge("pixelferry_relays", "Relays announced.", ["state"], registry=registry)
        self._capacity = Gauge(
            "pixelferry_relay_capacity_sessions", "Sessions that serving relays may carry in all.", registry=registry
        )
        self._routed = Gauge("pixelferry_relay_sessions", "Sessions that hold ports of a relay.", registry=registry)
        self._requests = Counter(
            "pixelferry_api_requests_total",
            "Requests answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._answer_s = Histogram(
            "pixelferry_api_request_seconds",
            "Time to answer; streams of events are left out.",
            ["route"],
            buckets=_ANSWER_S,
            registry=registry,
        )
        self._streams = Gauge("pixelferry_event_streams", "Streams of events that are open.", registry=registry)
        self._troubles = Counter(
            "pixelferry_reconciler_failures_total",
            "Times that a session did not converge and was tried again.",
            ["cause"],
            registry=registry,
        )
        self._faults = Counter(
            "pixelferry_store_faults_total",
            "Faults found in the shared store's data, by kind.",
            ["kind"],
            registry=registry,
        )
        self._profiles: set[str] = set()
        self._known: dict[tuple[str, str], _Answered] = {}
        for reason in EndReason:
            self._ended.labels(reason.value)
        for trouble in Trouble:
            self._troubles.labels(trouble.value)
        for fault in Fault:
            self._faults.labels(fault.value)
        ProcessCollector(registry=registry)
        for collector in collectors:
            registry.register(collector)

    def know_routes(self, routes: Iterable[tuple[str, str]]) -> None:
        """Let these routes, each with its method, be counted by name; all others count as one."""
        others = ((route, OTHER_METHOD) for route in (UNKNOWN_ROUTE, PAGE_ROUTE))
        for route, method in (*routes, *others):
            counts = [self._requests.labels(route, method, status) for status in _STATUS_CLASSES]
            self._known[route, method] = _Answered(counts, self._answer_s.labels(route))

    def request_answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """A request was answered; `seconds` is None for a stream of events."""
        known = self._known
        answered = known.get((route, method)) or known.get((route, OTHER_METHOD)) or known[UNKNOWN_ROUTE, OTHER_METHOD]
        answered.counts[min(max(status // 100, 2), 5) - 2].inc()
        if seconds is not None:
            answered.seconds.observe(seconds)

    def session_written(self, before: Session | None, after: Session) -> None:
        """Count what a write did: as `Store.listen` wants it."""
        if before is None:
            self._created.inc()
        if after.state is State.ENDED and (before is None or before.state is not State.ENDED):
            self._ended.labels(after.end_reason.value if after.end_reason is not None else "").inc()
        if after.state is State.READY and after.ready_at is not None and (before is None or before.ready_at is None):
            self._ready_s.observe(max(after.ready_at - (after.started_at or after.created_at), 0))
        waited_s = waited_in_queue_s(before, after)
        if waited_s is not None:
            self._waited_s.observe(waited_s)

    def did_not_converge(self, trouble: Trouble) -> None:
        """Count a session that is tried again."""
        self._troubles.labels(trouble.value).inc()

    def store_is_faulty(self, fault: Fault, count: int) -> None:
        """Count faults that were found in the store's data."""
        self._faults.labels(fault.value).inc(count)

    def shown(
        self,
        sessions: Iterable[Session],
        catalog: Catalog,
        relays: Mapping[str, RelayInfo],
        event_streams: int,
        *,
        fleet: Fleet = NO_NODES,
        now: float = 0,
    ) -> bytes:
        """Everything as text, gauges as these facts have them; `now` is the time that nodes are judged by."""
        held = [session for session in sessions if session.forget_at is None]
        self._show_sessions(held)
        slots = {profile.id: capacity(profile, fleet, now) for profile in catalog.profiles.values()}
        self._show_slots(held, slots)
        self._show_nodes(fleet, now)
        serving = [relay for relay in relays.values() if not relay.draining]
        self._relays.labels(RelayState.SERVING.value).set(len(serving))
        self._relays.labels(RelayState.DRAINING.value).set(len(relays) - len(serving))
        self._capacity.set(sum(relay.capacity for relay in serving))
        self._routed.set(sum(session.ports is not None for session in held))
        self._streams.set(event_streams)
        return generate_latest(_WithoutBirthdays(self._registry))

    def _show_sessions(self, held: Sequence[Session]) -> None:
        counts = {(State.PENDING.value, phase.value): 0 for phase in Phase}
        counts |= {(state.value, NO_PHASE): 0 for state in State if state is not State.PENDING}
        for session in held:
            phase = session.phase.value if session.phase is not None else NO_PHASE
            counts[session.state.value, phase] += 1
        for labels, count in counts.items():
            self._sessions.labels(*labels).set(count)
        self._queued.set(counts[State.PENDING.value, Phase.QUEUED.value])
        self._watched.set(sum(session.viewer_present for session in held))

    def _show_slots(self, held: Sequence[Session], slots: Mapping[str, int]) -> None:
        """`slots` is how many there are, by profile."""
        for gone in self._profiles - slots.keys():
            self._slots.remove(gone)
            self._slots_used.remove(gone)
        self._profiles = set(slots)
        for profile, count in slots.items():
            used = sum(session.slot is not None and session.slot.profile == profile for session in held)
            self._slots.labels(profile).set(count)
            self._slots_used.labels(profile).set(used)

    def _show_nodes(self, fleet: Fleet, now: float) -> None:
        there = [presence_in(fleet, node, now) for node in fleet.nodes.values()]
        for presence in Presence:
            self._nodes.labels(presence.value).set(there.count(presence))


class _WithoutBirthdays(Collector):
    """Leaves out the time at which each series began, which is of no use here and doubles the text."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        for metric in self._inner.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
