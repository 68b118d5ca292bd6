"""The clocks of a session: when each of them ends it, and when a viewer counts as present."""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.session import EndReason, Session, State
from broker.core.slot import Backend
from signaling.routes import RouteReport

MEDIA_IS_PRESENCE_S = 15.0
"""Media of a client within so many seconds is a viewer, though its signaling connection is gone."""


REPORT_LAG_S = 2.0
"""A relay looks at its routes once a second, so a viewer who came in time is waited for a little longer."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A clock of a session: when it ends the session, and why."""

    at: float
    reason: EndReason
    message: str


def viewer_is_present(report: RouteReport, now: float) -> bool:
    """Whether signaling is open or the client's media came lately."""
    if report.signaling_open > 0:
        return True
    return report.last_client_packet_at is not None and now < report.last_client_packet_at + MEDIA_IS_PRESENCE_S


def first_alarm(session: Session, backend: Backend | None) -> Alarm | None:
    """The clock that ends the session first, if nothing changes; None where none runs."""
    alarms = _pending_alarms(session) if session.state is State.PENDING else _ready_alarms(session, backend)
    if session.expires_at is not None:
        alarms.append(Alarm(session.expires_at, EndReason.MAX_LENGTH, "Session reached its maximum length"))
    return min(alarms, key=lambda alarm: alarm.at, default=None)


def next_look(session: Session, report: RouteReport | None, backend: Backend | None) -> float | None:
    """When time alone may change a session that has not ended; None once it has."""
    if session.state is State.ENDED:
        return None
    alarm = first_alarm(session, backend)
    times = [] if alarm is None else [alarm.at]
    if session.viewer_present and report is not None and report.last_client_packet_at is not None:
        if report.signaling_open == 0:
            times.append(report.last_client_packet_at + MEDIA_IS_PRESENCE_S)
    return min(times, default=None)


def _pending_alarms(session: Session) -> list[Alarm]:
    clocks, since = session.clocks, session.pending_since
    message = f"Session was not ready within {clocks.start_s:g} s, its phase was still {session.phase}"
    alarms = [Alarm(since + clocks.start_s, EndReason.START_TIMEOUT, message)]
    if session.slot is None:
        message = f"No slot became free within {clocks.placement_s:g} s"
        alarms.append(Alarm(since + clocks.placement_s, EndReason.QUEUE_TIMEOUT, message))
    elif session.ports is None:
        message = f"No relay had two free ports within {clocks.placement_s:g} s"
        alarms.append(Alarm(since + clocks.placement_s, EndReason.NO_CAPACITY, message))
    return alarms


def _ready_alarms(session: Session, backend: Backend | None) -> list[Alarm]:
    clocks, ready_at = session.clocks, session.ready_at or session.created_at
    alarms: list[Alarm] = []
    if session.relay_missing_since is not None:
        at = session.relay_missing_since + clocks.reconnect_grace_s
        alarms.append(Alarm(at, EndReason.RELAY_LOST, "The relay of this session is gone"))
    if session.first_viewer_at is None:
        message = f"No viewer connected within {clocks.first_connection_s:g} s"
        at = ready_at + clocks.first_connection_s + REPORT_LAG_S
        alarms.append(Alarm(at, EndReason.NEVER_CONNECTED, message))
    elif not session.viewer_present and session.last_viewer_at is not None:
        message = f"No viewer came back within {clocks.reconnect_grace_s:g} s"
        at = session.last_viewer_at + clocks.reconnect_grace_s + REPORT_LAG_S
        alarms.append(Alarm(at, EndReason.DISCONNECTED, message))
    if clocks.idle_s is not None and backend is not None and backend.activity is not None:
        last = max(filter(None, (ready_at, session.first_viewer_at, backend.activity.last_input_at)))
        alarms.append(Alarm(last + clocks.idle_s, EndReason.IDLE, f"No input came for {clocks.idle_s:g} s"))
    return alarms
