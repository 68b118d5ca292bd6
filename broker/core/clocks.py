"""The clocks of a session: when each of them ends it, and when a viewer counts as present."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter

from broker.core.pauses import Pause, put_off
from broker.core.session import Alarm, EndReason, Phase, Session, State
from broker.core.slot import Activity
from signaling.routes import RouteReport

MEDIA_IS_PRESENCE_S = 15.0
"""Media of a client within so many seconds is a viewer, though its signaling connection is gone."""

REPORT_LAG_S = 2.0
"""A relay looks at its routes once a second, so a viewer who came in time is waited for a little longer."""

CLIENT_STEP_S = 10.0
"""A relay tells of a client's input in steps of so many seconds, each by its beginning."""

WARN_MOST_S = 60.0
"""A warning comes so long before its alarm, or a third of the clock before where that is shorter."""

INPUT_GRAIN_MOST_S = 10.0
"""The last input is written down in steps of a tenth of the idle clock, at most of this."""


_AT = attrgetter("at")


def viewer_is_present(report: RouteReport, now: float) -> bool:
    """Whether signaling is open or the client's media came lately."""
    if report.signaling_open > 0:
        return True
    return report.last_client_packet_at is not None and now < report.last_client_packet_at + MEDIA_IS_PRESENCE_S


def input_heard(activity: Activity | None, report: RouteReport | None) -> float | None:
    """When a viewer last gave input: 0 for never, None where nobody tells.

    As the backend tells; else by what the relay saw pass, and then the latest that this may mean: nobody who is there
    is to be ended for a step that was not over yet.
    """
    if activity is not None:
        return activity.last_input_at or 0.0
    if report is None or report.last_client_input_at is None:
        return None
    return report.last_client_input_at + CLIENT_STEP_S + REPORT_LAG_S


def next_alarm(session: Session, last_input_at: float | None = None, pauses: Sequence[Pause] = ()) -> Alarm | None:
    """The clock that ends the session first, if nothing changes; None where none runs.

    `last_input_at` is newer than what is written down. In `pauses`, oldest first, no clock ran.
    """
    match session.state:
        case State.PENDING:
            alarms = _pending_alarms(session)
        case State.READY:
            alarms = _ready_alarms(session, last_input_at)
        case State.STOPPED:
            alarms = _stopped_alarms(session)
        case State.ENDED:
            alarms = []
    if pauses:
        # Some alarms come later than their clock by what relays lag behind: none began later than this.
        alarms = [replace(one, at=put_off(one.at, one.at - one.clock_s - REPORT_LAG_S, pauses)) for one in alarms]
    return alarms[0] if len(alarms) == 1 else min(alarms, key=_AT, default=None)


def lead_s(session: Session, alarm: Alarm) -> float:
    """How long before this alarm its warning comes."""
    usual = min(WARN_MOST_S, alarm.clock_s / 3)
    return usual if session.clocks.warn_s is None else min(session.clocks.warn_s, alarm.clock_s)


_FORETOLD = {
    EndReason.NEVER_CONNECTED: "No viewer has connected yet; without one the session ends",
    EndReason.DISCONNECTED: "No viewer is connected; without one the session ends",
    EndReason.IDLE: "No input has come for a while; without any the session ends",
    EndReason.MAX_LENGTH: "The session reaches its maximum length",
    EndReason.MAX_STOPPED: "The session has been stopped for long; it ends unless it is started",
    EndReason.QUEUE_TIMEOUT: "No slot is free yet; without one the session ends",
    EndReason.NO_CAPACITY: "No relay has two free ports yet; without them the session ends",
    EndReason.START_TIMEOUT: "The session is not ready yet; it ends if it takes much longer",
    EndReason.RELAY_LOST: "The relay is gone; if it does not come back, the session ends",
}


def foretold(alarm: Alarm) -> str:
    """What is told of an alarm before it is due: its own message is for afterwards."""
    return _FORETOLD.get(alarm.reason, "The session ends")


def warning_text(alarm: Alarm, now: float) -> str:
    """What a viewer is told of an alarm that is near."""
    match alarm.reason:
        case EndReason.IDLE:
            begin = "Are you still there? Without input the session ends"
        case EndReason.MAX_LENGTH:
            begin = "The session reaches its longest time"
        case EndReason.RELAY_LOST:
            begin = "The relay is gone. If it does not come back, the session ends"
        case _:
            begin = "The session ends"
    return f"{begin} in {max(math.ceil(alarm.at - now), 0)} s."


def input_grain_s(idle_s: float) -> float:
    """The least by which the written time of the last input moves."""
    return min(INPUT_GRAIN_MOST_S, idle_s / 10)


def next_look(
    session: Session,
    report: RouteReport | None,
    last_input_at: float | None = None,
    pauses: Sequence[Pause] = (),
) -> float | None:
    """When time alone may change a session that has not ended; None once it has."""
    if session.state is State.ENDED:
        return None
    times: list[float] = []
    alarm = next_alarm(session, last_input_at, pauses)
    if alarm is not None:
        warned = session.warning is not None and session.warning == alarm
        times.append(alarm.at if warned else alarm.at - lead_s(session, alarm))
    if session.viewer_present and report is not None and report.last_client_packet_at is not None:
        if report.signaling_open == 0:
            times.append(report.last_client_packet_at + MEDIA_IS_PRESENCE_S)
    return min(times, default=None)


def _pending_alarms(session: Session) -> list[Alarm]:
    clocks, since = session.clocks, session.pending_since
    alarms: list[Alarm] = []
    if session.slot is None or session.ports is None:
        reason, message = EndReason.NO_CAPACITY, f"No relay had two free ports within {clocks.placement_s:g} s"
        if session.slot is None and session.phase is not Phase.PLACING:
            reason, message = EndReason.QUEUE_TIMEOUT, f"No slot became free within {clocks.placement_s:g} s"
        alarms.append(Alarm(since + clocks.placement_s, reason, message, clocks.placement_s))
    else:
        message = _late_start(clocks.start_s, session.phase)
        since = session.placed_at if session.placed_at is not None else since
        alarms.append(Alarm(since + clocks.start_s, EndReason.START_TIMEOUT, message, clocks.start_s))
    return alarms + _longest(session)


def _ready_alarms(session: Session, last_input_at: float | None) -> list[Alarm]:
    if session.unheard_since is not None:
        return _lost_relay(session) + _longest(session)
    clocks, ready_at = session.clocks, session.ready_at or session.created_at
    alarms: list[Alarm] = []
    if session.first_viewer_at is None:
        message = _never_connected(clocks.first_connection_s)
        at = ready_at + clocks.first_connection_s + REPORT_LAG_S
        alarms.append(Alarm(at, EndReason.NEVER_CONNECTED, message, clocks.first_connection_s))
    elif not session.viewer_present and session.last_viewer_at is not None:
        message = f"No viewer came back within {clocks.reconnect_grace_s:g} s"
        at = session.last_viewer_at + clocks.reconnect_grace_s + REPORT_LAG_S
        alarms.append(Alarm(at, EndReason.DISCONNECTED, message, clocks.reconnect_grace_s))
    heard = [at for at in (session.last_input_at, last_input_at) if at is not None]
    if clocks.idle_s is not None and heard:
        last = max(ready_at, session.first_viewer_at or 0, *heard)
        message = f"No input came for {clocks.idle_s:g} s"
        alarms.append(Alarm(last + clocks.idle_s, EndReason.IDLE, message, clocks.idle_s))
    if session.kept_until is not None:
        alarms = [replace(alarm, at=max(alarm.at, session.kept_until)) for alarm in alarms]
    return alarms + _longest(session)


def _lost_relay(session: Session) -> list[Alarm]:
    """While nothing is heard of a relay, its viewers are not missed: it may serve them all the same."""
    if session.relay_missing_since is None:
        return []
    grace_s = session.clocks.reconnect_grace_s
    message = "The relay of this session is gone"
    return [Alarm(session.relay_missing_since + grace_s, EndReason.RELAY_LOST, message, grace_s)]


@lru_cache(256)
def _late_start(start_s: float, phase: Phase | None) -> str:
    return f"Session was not ready within {start_s:g} s, its phase was still {phase}"


@lru_cache(256)
def _never_connected(first_connection_s: float) -> str:
    return f"No viewer connected within {first_connection_s:g} s"


def _longest(session: Session) -> list[Alarm]:
    clocks = session.clocks
    if session.expires_at is None or clocks.max_length_s is None:
        return []
    stops = clocks.at_max_length == "stop" and clocks.max_stopped_s != 0
    message = "Session reached its maximum length" + (" and was stopped" if stops else "")
    return [Alarm(session.expires_at, EndReason.MAX_LENGTH, message, clocks.max_length_s, stops)]


def _stopped_alarms(session: Session) -> list[Alarm]:
    most_s = session.clocks.max_stopped_s
    if most_s is None or session.stopped_at is None:
        return []
    message = f"Session was stopped for {most_s:g} s"
    return [Alarm(session.stopped_at + most_s, EndReason.MAX_STOPPED, message, most_s)]
