"""What is told of sessions: the events that a change makes, in the order in which they are told. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.core.clocks import foretold
from broker.core.session import Phase, Session, State

KEPT_EVENTS = 10_000
"""So many events are kept for those who come back; older ones are trimmed away."""

_LONGEST_MESSAGE = 500

Scalar = str | int | float | bool | None


class EventType(StrEnum):
    """What an event tells of its session.

    `STATE`: where it is and what it waits for; `QUEUE`: its position; `ROUTE`: what a client connects to; `VIEWER`:
    that viewers came or all have gone; `WARNING`: that a clock is about to end it, or no more; `ENDED`: why it ended,
    told last.
    """

    STATE = "state"
    QUEUE = "queue"
    ROUTE = "route"
    VIEWER = "viewer"
    WARNING = "warning"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event that has no number yet. Whatever is in `data` is shown to the owner; keys in `_at` are times."""

    type: EventType
    session_id: str
    owner: str
    at: float
    data: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is kept. `id` is above that of every event before it, over restarts too."""

    id: int
    draft: EventDraft


def events_between(before: Session | None, after: Session) -> tuple[EventDraft, ...]:
    """What the change from `before` to `after` tells; from None, all that there is to tell of `after`."""
    if after.state is State.ENDED:
        if before is not None and before.state is State.ENDED:
            return ()
        return (_draft(EventType.ENDED, after, _end(after)),)
    events: list[EventDraft] = []
    state = _state(after)
    if before is None or _state(before) != state:
        events.append(_draft(EventType.STATE, after, state))
    route = _route(after)
    if route is not None and (before is None or _route(before) != route):
        events.append(_draft(EventType.ROUTE, after, route))
    if after.viewer_present != (before is not None and before.viewer_present):
        events.append(_draft(EventType.VIEWER, after, {"present": after.viewer_present}))
    if after.warning != (before.warning if before is not None else None):
        events.append(_draft(EventType.WARNING, after, _warning(after)))
    return tuple(events)


def present_events(session: Session) -> tuple[EventDraft, ...]:
    """Where a session stands, as events."""
    return events_between(None, session)


def queue_event(session: Session, *, position: int, eta_s: float | None, at: float) -> EventDraft:
    """That a queued session stands at this position (1: it is next); `eta_s` is None where nothing was measured yet."""
    return EventDraft(EventType.QUEUE, session.id, session.owner, at, {"position": position, "eta_s": _rounded(eta_s)})


def waited_in_queue_s(before: Session | None, after: Session) -> float | None:
    """How long the session waited for the slot that it got by this change; None where it did not wait or got none."""
    if before is None or before.phase is not Phase.QUEUED or after.phase in (None, Phase.QUEUED):
        return None
    return max(after.updated_at - before.pending_since, 0.0)


def _draft(kind: EventType, session: Session, data: Mapping[str, Scalar]) -> EventDraft:
    return EventDraft(kind, session.id, session.owner, session.updated_at, data)


def _state(session: Session) -> dict[str, Scalar]:
    return {
        "state": session.state.value,
        "phase": session.phase.value if session.phase is not None else None,
        "message": session.message[:_LONGEST_MESSAGE],
        "application": session.application,
        "profile": session.profile,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
    }


def _end(session: Session) -> dict[str, Scalar]:
    return {
        "state": session.state.value,
        "end_reason": session.end_reason.value if session.end_reason is not None else None,
        "message": session.message[:_LONGEST_MESSAGE],
        "ended_at": session.ended_at,
    }


def _route(session: Session) -> dict[str, Scalar] | None:
    """What a client connects to; None until the session is ready."""
    if session.state is not State.READY or session.ports is None:
        return None
    ports = session.ports
    return {"host": ports.host, "signaling_port": ports.signaling_port, "media_port": ports.media_port}


def _warning(session: Session) -> dict[str, Scalar]:
    """The clock that is about to end (or stop) the session; without a reason: none is any more."""
    alarm = session.warning
    if alarm is None:
        return {"reason": None, "message": None, "ends_at": None, "stops": False, "extendable": False}
    return {
        "reason": alarm.reason.value,
        "message": foretold(alarm),
        "ends_at": alarm.at,
        "stops": alarm.stops,
        "extendable": _is_extendable(session),
    }


def _is_extendable(session: Session) -> bool:
    clocks = session.clocks
    if session.state is not State.READY or clocks.extend_s is None:
        return False
    return clocks.extend_most_s is None or session.extended_s < clocks.extend_most_s


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
