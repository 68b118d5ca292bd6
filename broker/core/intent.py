"""What callers want of a session, written into it: that it stops, starts anew, or lasts longer."""

from __future__ import annotations

from broker.core.clocks import next_alarm
from broker.core.session import EndReason, Handled, Phase, Session, State, Wanted, evolved
from broker.errors import Conflict, Forbidden

HANDLED_MOST = 32
"""So many requests with a key are remembered for each session."""

BUSY = "Another operation is in progress."


def stopped(session: Session, by: str, now: float, *, message: str = "Session is being stopped") -> Session:
    """The session wanting neither backend nor ports; one that is stopped or has ended stays as it is."""
    if session.state in (State.STOPPED, State.ENDED):
        return session
    if session.slot is None and session.ports is None:
        message = "Session is stopped"
    return evolved(
        session,
        state=State.STOPPED,
        phase=None,
        wanted=Wanted.STOPPED,
        message=message,
        stopped_at=now,
        stopped_by=by,
        backend=None,
        ready_at=None,
        placed_at=None,
        expires_at=None,
        kept_until=None,
        extended_s=0,
        last_input_at=None,
        viewer_present=False,
        first_viewer_at=None,
        last_viewer_at=None,
        relay_missing_since=None,
        route_attempts=0,
        warning=None,
    )


def stop(session: Session, by: str, now: float, *, only_settled: bool) -> Session:
    """As `stopped`. Raises Conflict where its profile lets no session stop; with `only_settled`, unless it is ready."""
    if session.clocks.max_stopped_s == 0:
        raise Conflict(f"Sessions of profile {session.profile!r} cannot be stopped. Delete it instead.")
    if only_settled and session.state is not State.READY:
        raise Conflict("Session is stopped already." if session.is_settled else BUSY)
    return stopped(session, by, now)


def start(session: Session, by: str, now: float, *, secret: str, only_settled: bool) -> Session:
    """A stopped session, to be placed anew; one that runs already stays. Raises Conflict while it is being stopped."""
    if session.state is not State.STOPPED:
        if only_settled:
            raise Conflict("Session runs already." if session.is_settled else BUSY)
        return session
    if not session.is_settled:
        raise Conflict(BUSY)
    return evolved(
        session,
        state=State.PENDING,
        phase=Phase.QUEUED,
        wanted=Wanted.RUNNING,
        message="Session is being prepared",
        pending_since=now,
        started_at=now,
        started_by=by,
        run=session.run + 1,
        backend_secret=secret,
        warning=None,
    )


def extend(session: Session, seconds: float | None, now: float) -> Session:
    """The session lasting longer than its clocks say now, by these seconds, at most one step of its profile's.

    Whichever clock would end it before that is put off. Raises Forbidden where the profile allows none, or no more;
    Conflict where no alarm is to be put off.
    """
    step_s, most_s = session.clocks.extend_s, session.clocks.extend_most_s
    if step_s is None:
        raise Forbidden(f"Profile {session.profile!r} lets no session be extended.")
    alarm = next_alarm(session)
    if session.state is not State.READY or alarm is None or alarm.reason is EndReason.RELAY_LOST:
        raise Conflict("No clock runs that could be put off: only those of a ready session are.")
    granted_s = min(step_s, step_s if seconds is None else seconds)
    if most_s is not None:
        granted_s = min(granted_s, most_s - session.extended_s)
    if granted_s <= 0:
        raise Forbidden(f"Session was extended by {session.extended_s:g} s already, as much as its profile allows.")
    until = alarm.at + granted_s
    return evolved(
        session,
        extended_s=session.extended_s + granted_s,
        kept_until=until,
        expires_at=None if session.expires_at is None else max(session.expires_at, until),
    )


def was_handled(session: Session, request: Handled) -> bool:
    """Whether this request was carried out before. Raises Conflict where its key was, for another request."""
    known = next((earlier for earlier in session.handled if earlier.key == request.key), None)
    if known is not None and known != request:
        raise Conflict("This idempotency key or client token was used for another request. Take a new one.")
    return known is not None


def with_handled(session: Session, request: Handled) -> Session:
    """The session with this request remembered; the oldest ones are forgotten."""
    return evolved(session, handled=(*session.handled, request)[-HANDLED_MOST:])
