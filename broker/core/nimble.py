"""A session in Nimble Studio's words: which of its states, codes and times ours stand for, and its streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from broker.core.clocks import next_alarm
from broker.core.intent import BUSY
from broker.core.session import EndReason, Grant, Session, State
from broker.errors import Conflict, QuotaExceeded

MOST_STREAMS = 64
"""So many streams of a session are kept; expired ones make room for new ones."""

DELETED_LABEL = "nimble.deleted"
"""Set on a session that failed and whose failure was then deleted by its caller."""


class SessionState(StrEnum):
    """StreamingSessionState."""

    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    READY = "READY"
    START_IN_PROGRESS = "START_IN_PROGRESS"
    STOP_IN_PROGRESS = "STOP_IN_PROGRESS"
    STOPPED = "STOPPED"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    DELETED = "DELETED"
    CREATE_FAILED = "CREATE_FAILED"
    START_FAILED = "START_FAILED"


FAILED_STATES = (SessionState.CREATE_FAILED, SessionState.START_FAILED)


class FailureCode(StrEnum):
    """The StreamingSessionStatusCodes of failures that happen here."""

    INTERNAL_ERROR = "INTERNAL_ERROR"
    INSUFFICIENT_CAPACITY = "INSUFFICIENT_CAPACITY"
    NETWORK_CONNECTION_ERROR = "NETWORK_CONNECTION_ERROR"


_FAILURES = {
    EndReason.QUEUE_TIMEOUT: FailureCode.INSUFFICIENT_CAPACITY,
    EndReason.NO_CAPACITY: FailureCode.INSUFFICIENT_CAPACITY,
    EndReason.START_TIMEOUT: FailureCode.INTERNAL_ERROR,
    EndReason.BACKEND_FAILED: FailureCode.INTERNAL_ERROR,
    EndReason.NODE_LOST: FailureCode.INTERNAL_ERROR,
    EndReason.RELAY_LOST: FailureCode.NETWORK_CONNECTION_ERROR,
    EndReason.ROUTE_FAILED: FailureCode.NETWORK_CONNECTION_ERROR,
}


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """State and status code of a session."""

    state: SessionState
    code: str

    @property
    def under_way(self) -> SessionStatus:
        """The same right after it was asked for: what needed no time was under way all the same."""
        match self.state:
            case SessionState.STOPPED:
                return _by_name(SessionState.STOP_IN_PROGRESS)
            case SessionState.DELETED:
                return _by_name(SessionState.DELETE_IN_PROGRESS)
            case _:
                return self


def session_status(session: Session) -> SessionStatus:
    """Where a session is. One that ended by itself after it was ready is deleted; before that, it failed.

    A session whose route moves to other ports starts anew, as far as anybody can tell.
    """
    match session.state:
        case State.PENDING:
            first = session.run == 0 and session.ready_at is None
            return _by_name(SessionState.CREATE_IN_PROGRESS if first else SessionState.START_IN_PROGRESS)
        case State.READY:
            code = "STARTED" if session.run > 0 else "READY"
            return SessionStatus(SessionState.READY, f"STREAMING_SESSION_{code}")
        case State.STOPPED:
            return _by_name(SessionState.STOPPED if session.is_settled else SessionState.STOP_IN_PROGRESS)
        case State.ENDED:
            return _ended_status(session)


def with_failure_deleted(session: Session, now: float) -> Session:
    """A session that failed, as its caller need not see it any more. Raises Conflict for all others."""
    if session_status(session).state not in FAILED_STATES:
        raise Conflict(f"Session is {session_status(session).state}: {session.message}")
    return replace(session, labels={**session.labels, DELETED_LABEL: "true"}, message="Session was deleted")


def stop_and_terminate_at(session: Session) -> tuple[float | None, float | None]:
    """When its clocks will stop it, and when they will end it, as far as is known; for settled sessions alone."""
    alarm = next_alarm(session) if session.is_settled else None
    if alarm is None:
        return None, None
    return (alarm.at, None) if alarm.stops else (None, alarm.at)


class StreamState(StrEnum):
    """StreamingSessionStreamState, as far as it happens here."""

    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    READY = "READY"
    DELETED = "DELETED"


def stream_state(session: Session, grant: Grant, now: float) -> StreamState:
    """Ready exactly while the stream's address opens a connection; deleted for good once it expired."""
    if session.state is State.ENDED or now >= grant.expires_at:
        return StreamState.DELETED
    return StreamState.READY if session.state is State.READY else StreamState.CREATE_IN_PROGRESS


def with_stream(session: Session, grant: Grant, now: float) -> Session:
    """The session with this stream; one of its id that is there already stays.

    Raises Conflict unless the session is ready, StreamsExceeded while all that are kept can be connected by.
    """
    if any(known.id == grant.id for known in session.grants):
        return session
    if session.state is not State.READY:
        raise Conflict("Session is stopped. Start it first." if session.is_settled else BUSY)
    kept = list(session.grants)
    while len(kept) >= MOST_STREAMS:
        expired = next((known for known in kept if known.expires_at <= now), None)
        if expired is None:
            raise StreamsExceeded(session.owner, MOST_STREAMS)
        kept.remove(expired)
    return replace(session, grants=(*kept, grant))


class StreamsExceeded(QuotaExceeded):
    """The session has as many streams as can be at once."""

    def __str__(self) -> str:
        return f"The session has {self.limit} streams that have not expired, as many as can be. Wait for one to expire."


def _ended_status(session: Session) -> SessionStatus:
    failure = None if session.end_reason is None else _FAILURES.get(session.end_reason)
    if failure is not None and session.ready_at is None and DELETED_LABEL not in session.labels:
        return SessionStatus(SessionState.CREATE_FAILED if session.run == 0 else SessionState.START_FAILED, failure)
    holds = session.slot is not None or session.ports is not None
    return _by_name(SessionState.DELETE_IN_PROGRESS if holds else SessionState.DELETED)


def _by_name(state: SessionState) -> SessionStatus:
    return SessionStatus(state, f"STREAMING_SESSION_{state}")
