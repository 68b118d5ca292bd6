"""One step of a session: from what is written and what is seen to what shall be written and done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from broker.core.clocks import (
    REPORT_LAG_S,
    input_grain_s,
    input_heard,
    lead_s,
    next_alarm,
    next_look,
    viewer_is_present,
)
from broker.core.commands import Activate, Command, Launch, Publish, Release, Warn, Withdraw
from broker.core.intent import stopped
from broker.core.ledger import Ledger
from broker.core.pauses import Pause
from broker.core.placement import choose_ports
from broker.core.principal import ITSELF
from broker.core.session import TELLS, EndReason, Phase, Session, State, Wanted, ended, evolved
from broker.core.slot import Backend, BackendState, SlotRef
from signaling.routes import RelayInfo, Route, RouteError, RouteReport, RouteState

ROUTE_ATTEMPTS = 16
"""So many pairs of ports are tried for one session before it ends: then not a port is at fault but the relay.

Ports that others hold do not count: they are set aside, so that the search ends by itself.
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen around one session.

    `backend` is the provider's word on its slot: None where the provider does not list it, or, while
    `backends_known` is False, has not said anything yet. `slot_released`: the provider confirmed the slot's release.
    `published` is the route that is wanted of relays now, `report` the relay's word on it. `offer` is a slot that the
    session may have, where it waits for one and its turn has come. Of relays that are not announced, `answering_relays`
    live all the same and `lost_relays` are gone for good. `pauses`: when no clock ran.
    """

    backend: Backend | None
    backends_known: bool
    slot_released: bool
    published: Route | None
    report: RouteReport | None
    relays: Mapping[str, RelayInfo]
    ledger: Ledger
    offer: SlotRef | None = None
    answering_relays: frozenset[str] = frozenset()
    lost_relays: frozenset[str] = frozenset()
    pauses: tuple[Pause, ...] = ()


def step(session: Session, facts: Facts, now: float) -> tuple[Session, tuple[Command, ...]]:
    """The session as these facts make it, and what is to be done once it is written.

    Asked again with the same facts, it changes nothing more and gives the same commands; all of them are idempotent.
    """
    after = _advance(session, facts, now)
    if after is not session:
        after = session if after == session else evolved(after, updated_at=now)
    return after, tuple(_commands(after, facts))


def next_deadline(session: Session, facts: Facts) -> float | None:
    """When to step again though nothing was heard; None where only news can move the session."""
    return next_look(session, _own_report(session, facts), _input_heard(session, facts), facts.pauses)


def _advance(session: Session, facts: Facts, now: float) -> Session:
    if session.state is not State.ENDED and session.wanted is Wanted.ENDED:
        session = ended(session, EndReason.DELETED, "Session was deleted", now)
    if session.state not in _AT_REST and session.wanted is Wanted.STOPPED:
        session = stopped(session, session.updated_by, now)
    for move in _MOVES:
        if session.state in _AT_REST:
            break
        session = move(session, facts, now)
    session = _obey_clocks(session, facts, now)
    return _give_back(session, facts) if session.state in _AT_REST else session


def _take_slot(session: Session, facts: Facts, now: float) -> Session:
    """Take the slot offered, and with it ports, once a relay that is there has some."""
    if session.slot is not None or facts.offer is None:
        return session
    ports = choose_ports(facts.relays, facts.ledger, session.id, zone=facts.offer.zone)
    if ports is None and facts.relays:
        return session
    return evolved(session, slot=facts.offer, ports=ports, placed_at=now if ports is not None else None)


_AT_REST = (State.STOPPED, State.ENDED)


def _give_back(session: Session, facts: Facts) -> Session:
    was_settled = session.is_settled
    if session.slot is not None and facts.slot_released:
        session = evolved(session, slot=None)
    if session.ports is not None and facts.published is None:
        session = evolved(session, ports=None)
    return evolved(session, message="Session is stopped") if session.is_settled and not was_settled else session


def _hear_backend(session: Session, facts: Facts, now: float) -> Session:
    backend = facts.backend
    if backend is None:
        if facts.backends_known and session.backend is not None:
            return ended(session, EndReason.BACKEND_FAILED, "The streaming backend is gone", now)
        return session
    if backend.state is BackendState.FAILED:
        return ended(session, EndReason.BACKEND_FAILED, backend.message or "The streaming backend failed", now)
    if backend.state is BackendState.LOST:
        return ended(session, EndReason.NODE_LOST, backend.message or "The node of the streaming backend is lost", now)
    if backend.endpoint is not None and backend.endpoint != session.backend:
        return evolved(session, backend=backend.endpoint)
    return session


def _place(session: Session, facts: Facts, now: float) -> Session:
    """Take ports of a relay; other ones while pending if the relay of the first went away and another is there."""
    stranded = session.ports is not None and session.ports.relay_id not in facts.relays
    if session.slot is None or (session.ports is not None and not (stranded and session.state is State.PENDING)):
        return session
    attempt, zone = session.route_attempts, session.slot.zone
    ports = choose_ports(facts.relays, facts.ledger, session.id, attempt=attempt, zone=zone)
    if ports is None:
        return session
    return evolved(session, ports=ports, placed_at=session.placed_at if session.placed_at is not None else now)


def _reroute(session: Session, facts: Facts, now: float) -> Session:
    """Take another pair of ports when the relay could not bind the first."""
    report = facts.report
    if report is None or report.state is not RouteState.FAILED or not _concerns(report, session):
        return session
    why = report.error.value if report.error is not None else "no reason given"
    if session.route_attempts >= ROUTE_ATTEMPTS and report.error is not RouteError.PORT_TAKEN:
        return ended(session, EndReason.ROUTE_FAILED, f"The relay could bind none of the ports tried ({why})", now)
    attempt, zone = session.route_attempts + 1, _zone_of(session)
    ports = choose_ports(facts.relays, facts.ledger, session.id, attempt=attempt, avoid=session.ports, zone=zone)
    if ports is None:
        return ended(session, EndReason.NO_CAPACITY, f"The relay could not bind its ports ({why}), none is left", now)
    since = now if session.state is State.READY else session.pending_since
    at = now if session.state is State.READY else session.placed_at
    return evolved(session, state=State.PENDING, pending_since=since, placed_at=at, ports=ports, route_attempts=attempt)


def _leave_lost_relay(session: Session, facts: Facts, now: float) -> Session:
    """Have a ready session routed anew once its relay is lost; while no other has room, its clock runs."""
    if session.state is not State.READY or session.ports is None or session.ports.relay_id not in facts.lost_relays:
        return session
    ports = choose_ports(facts.relays, facts.ledger, session.id, zone=_zone_of(session))
    if ports is None:
        return session
    return evolved(
        session,
        state=State.PENDING,
        pending_since=now,
        placed_at=now,
        ports=ports,
        route_attempts=0,
        relay_missing_since=None,
        unheard_since=None,
        kept_until=_heard_again(session, now),
    )


def _zone_of(session: Session) -> str:
    return session.slot.zone if session.slot is not None else ""


def _concerns(report: RouteReport, session: Session) -> bool:
    """As `RouteReport.is_about` of the session's route, which need not be made for it."""
    ports = session.ports
    if ports is None or session.backend is None or report.session_id != session.id:
        return False
    said = (report.relay_id, report.signaling_port, report.media_port, report.backend)
    return said == (ports.relay_id, ports.signaling_port, ports.media_port, session.backend)


def _own_report(session: Session, facts: Facts) -> RouteReport | None:
    return facts.report if facts.report is not None and _concerns(facts.report, session) else None


def _follow_relay(session: Session, facts: Facts, now: float) -> Session:
    """Remember since when a ready session's relay is not announced, and since when nothing shows that it lives."""
    relay_id = session.ports.relay_id if session.state is State.READY and session.ports is not None else None
    unheard = relay_id is not None and relay_id not in facts.relays
    missing = unheard and relay_id not in facts.answering_relays
    if missing != (session.relay_missing_since is not None):
        session = evolved(session, relay_missing_since=now if missing else None)
    if unheard == (session.unheard_since is not None):
        return session
    if unheard:
        return evolved(session, unheard_since=now)
    return evolved(session, unheard_since=None, kept_until=_heard_again(session, now))


def _heard_again(session: Session, now: float) -> float:
    """Until when nobody is judged by what a relay did not tell while nothing was heard of it."""
    return max(session.kept_until or 0.0, now + session.clocks.reconnect_grace_s + REPORT_LAG_S)


def _follow_viewer(session: Session, facts: Facts, now: float) -> Session:
    """Write down when viewers come and when the last one has gone. No report is no news."""
    report = _own_report(session, facts)
    if report is None:
        return session
    present = viewer_is_present(report, now)
    if present == session.viewer_present:
        return session
    first = session.first_viewer_at if session.first_viewer_at is not None else now
    return evolved(session, viewer_present=present, first_viewer_at=first, last_viewer_at=now)


def _settle(session: Session, facts: Facts, now: float) -> Session:
    """Name what a pending session waits for, or find it ready."""
    if session.state is State.READY:
        return session
    phase = _waits_for(session, facts)
    if phase is not None:
        told = (session.phase, session.message) == (phase, TELLS[phase])
        return session if told else evolved(session, phase=phase, message=TELLS[phase])
    return evolved(
        session,
        state=State.READY,
        phase=None,
        message="Session is active",
        ready_at=session.ready_at if session.ready_at is not None else now,
        expires_at=_expiry(session, now),
        last_viewer_at=now if session.first_viewer_at is not None else None,
    )


def _expiry(session: Session, now: float) -> float | None:
    """When the longest length is reached, counted from the first time that this run was ready."""
    longest_s = session.clocks.max_length_s
    return session.expires_at if session.expires_at is not None or longest_s is None else now + longest_s


def _waits_for(session: Session, facts: Facts) -> Phase | None:
    backend, report = facts.backend, facts.report
    if session.slot is None:
        return Phase.QUEUED if facts.offer is None else Phase.PLACING
    if session.ports is None:
        return Phase.PLACING
    if backend is None or backend.state is not BackendState.CLAIMED or backend.session_id != session.id:
        return Phase.STARTING
    active = report is not None and report.state is RouteState.ACTIVE and _concerns(report, session)
    if not active or facts.published != session.route:
        return Phase.ROUTING
    return None


def _input_heard(session: Session, facts: Facts) -> float | None:
    activity = facts.backend.activity if facts.backend is not None else None
    return input_heard(activity, _own_report(session, facts))


def _follow_input(session: Session, facts: Facts, now: float) -> Session:
    """Write down the last input now and then, so that everybody can say when the idle clock ends the session."""
    heard, idle_s = _input_heard(session, facts), session.clocks.idle_s
    if heard is None or idle_s is None or session.state is not State.READY:
        return session
    if session.last_input_at is not None and heard < session.last_input_at + input_grain_s(idle_s):
        return session
    return evolved(session, last_input_at=heard)


def _obey_clocks(session: Session, facts: Facts, now: float) -> Session:
    """End or stop the session in time, warn beforehand, and take a warning back whose alarm has moved away."""
    if session.state is State.ENDED:
        return session
    alarm = next_alarm(session, _input_heard(session, facts), facts.pauses)
    if alarm is not None and now >= alarm.at:
        if alarm.stops:
            return stopped(session, ITSELF.name, now, message=alarm.message)
        return ended(session, alarm.reason, alarm.message, now)
    due = alarm if alarm is not None and now >= alarm.at - lead_s(session, alarm) else None
    return session if session.warning == due else evolved(session, warning=due)


_MOVES = (
    _take_slot,
    _hear_backend,
    _place,
    _reroute,
    _leave_lost_relay,
    _follow_viewer,
    _settle,
    _follow_relay,
    _follow_input,
)


def _commands(session: Session, facts: Facts) -> list[Command]:
    if session.state in _AT_REST:
        return _commands_at_rest(session, facts)
    commands: list[Command] = []
    if session.slot is not None and facts.backends_known:
        if facts.backend is None:
            commands.append(Launch(session.slot))
        elif facts.backend.state is BackendState.IDLE:
            commands.append(Activate(session.slot))
    if session.slot is not None and session.warning is not None and session.viewer_present:
        commands.append(Warn(session.slot, session.warning))
    route = session.route
    if route is not None and route != facts.published:
        commands.append(Publish(route))
    return commands


def _commands_at_rest(session: Session, facts: Facts) -> list[Command]:
    commands: list[Command] = []
    if facts.published is not None:
        commands.append(Withdraw(session.id))
    if session.slot is not None:
        commands.append(Release(session.slot))
    return commands
