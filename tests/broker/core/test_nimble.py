"""Each state of a session, in the words of Nimble Studio."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.intent import stop, stopped
from broker.core.nimble import (
    MOST_STREAMS,
    SessionState,
    SessionStatus,
    StreamsExceeded,
    StreamState,
    session_status,
    stop_and_terminate_at,
    stream_state,
    with_failure_deleted,
    with_stream,
)
from broker.core.session import EndReason, Grant, Session, State, ended
from broker.errors import Conflict
from tests.broker.samples import CLOCKS, make_session, with_ports

NOW = 2000.0
PENDING = with_ports(make_session())
READY = replace(PENDING, state=State.READY, phase=None, ready_at=1010.0)
STOPPING = stopped(READY, "me", 1500.0)
STOPPED = replace(STOPPING, slot=None, ports=None)
RESTARTING = replace(STOPPED, state=State.PENDING, run=1, started_at=1600.0)
RESTARTED = replace(PENDING, state=State.READY, phase=None, ready_at=1610.0, run=1, started_at=1600.0)
REROUTING = replace(READY, state=State.PENDING)
GRANT = Grant("stream-1", 1900.0, "me", 2100.0)

BEFORE_READY = {
    EndReason.QUEUE_TIMEOUT: "INSUFFICIENT_CAPACITY",
    EndReason.NO_CAPACITY: "INSUFFICIENT_CAPACITY",
    EndReason.START_TIMEOUT: "INTERNAL_ERROR",
    EndReason.BACKEND_FAILED: "INTERNAL_ERROR",
    EndReason.NODE_LOST: "INTERNAL_ERROR",
    EndReason.RELAY_LOST: "NETWORK_CONNECTION_ERROR",
    EndReason.ROUTE_FAILED: "NETWORK_CONNECTION_ERROR",
}


def over(session: Session, reason: EndReason, *, released: bool = True) -> Session:
    session = ended(session, reason, "Because.", NOW)
    return replace(session, slot=None, ports=None) if released else session


@pytest.mark.parametrize(
    ("session", "state", "code"),
    [
        (PENDING, "CREATE_IN_PROGRESS", "STREAMING_SESSION_CREATE_IN_PROGRESS"),
        (READY, "READY", "STREAMING_SESSION_READY"),
        (STOPPING, "STOP_IN_PROGRESS", "STREAMING_SESSION_STOP_IN_PROGRESS"),
        (STOPPED, "STOPPED", "STREAMING_SESSION_STOPPED"),
        (RESTARTING, "START_IN_PROGRESS", "STREAMING_SESSION_START_IN_PROGRESS"),
        (RESTARTED, "READY", "STREAMING_SESSION_STARTED"),
        (REROUTING, "START_IN_PROGRESS", "STREAMING_SESSION_START_IN_PROGRESS"),
    ],
)
def test_a_session_that_has_not_ended_is_told_by_its_state(session: Session, state: str, code: str) -> None:
    assert session_status(session) == SessionStatus(SessionState(state), code)


@pytest.mark.parametrize("session", [PENDING, READY, STOPPED, RESTARTING, RESTARTED])
def test_a_deleted_session_is_deleted_once_it_holds_nothing(session: Session) -> None:
    after = session_status(over(session, EndReason.DELETED))
    assert after == SessionStatus(SessionState.DELETED, "STREAMING_SESSION_DELETED")


@pytest.mark.parametrize("session", [PENDING, READY, RESTARTED])
def test_until_then_it_is_being_deleted(session: Session) -> None:
    whole = over(session, EndReason.DELETED, released=False)
    for holding in (whole, replace(whole, slot=None), replace(whole, ports=None)):
        assert session_status(holding).state is SessionState.DELETE_IN_PROGRESS


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize(("session", "failed"), [(PENDING, "CREATE_FAILED"), (RESTARTING, "START_FAILED")])
def test_what_ends_before_it_is_ready_has_failed(session: Session, failed: str, reason: EndReason) -> None:
    status = session_status(over(session, reason))
    if reason in BEFORE_READY:
        assert (status.state.value, str(status.code)) == (failed, BEFORE_READY[reason])
    else:
        assert status.state is SessionState.DELETED


@pytest.mark.parametrize("reason", EndReason)
@pytest.mark.parametrize("session", [READY, RESTARTED, REROUTING])
def test_what_ends_by_itself_later_is_deleted(session: Session, reason: EndReason) -> None:
    assert session_status(over(session, reason)).state is SessionState.DELETED


def test_what_needed_no_time_was_under_way_in_the_first_answer() -> None:
    assert session_status(STOPPED).under_way.state is SessionState.STOP_IN_PROGRESS
    deleted = session_status(over(PENDING, EndReason.DELETED)).under_way
    assert deleted == SessionStatus(SessionState.DELETE_IN_PROGRESS, "STREAMING_SESSION_DELETE_IN_PROGRESS")
    for session in (PENDING, READY, STOPPING):
        assert session_status(session).under_way == session_status(session)


def test_a_failure_is_deleted_by_its_caller() -> None:
    failed = over(PENDING, EndReason.BACKEND_FAILED, released=False)
    deleted = with_failure_deleted(failed, NOW)
    assert session_status(deleted).state is SessionState.DELETE_IN_PROGRESS
    gone = replace(deleted, slot=None, ports=None)
    assert session_status(gone).state is SessionState.DELETED
    with pytest.raises(Conflict):
        with_failure_deleted(gone, NOW)


def test_the_clocks_of_settled_sessions_are_told() -> None:
    bounded = replace(CLOCKS, max_length_s=500, first_connection_s=9000, max_stopped_s=600)
    ready = replace(READY, clocks=bounded, expires_at=1510.0)
    assert stop_and_terminate_at(ready) == (None, 1510.0)
    stops = replace(ready, clocks=replace(bounded, at_max_length="stop"))
    assert stop_and_terminate_at(stops) == (1510.0, None)
    assert stop_and_terminate_at(replace(STOPPED, clocks=bounded)) == (None, 2100.0)
    assert stop_and_terminate_at(replace(STOPPED, clocks=CLOCKS)) == (None, None)
    for moving in (PENDING, STOPPING, RESTARTING, over(READY, EndReason.IDLE)):
        assert stop_and_terminate_at(moving) == (None, None)


def test_a_profile_that_stops_nothing_says_so() -> None:
    with pytest.raises(Conflict, match="cannot be stopped"):
        stop(replace(READY, clocks=replace(CLOCKS, max_stopped_s=0)), "me", NOW, only_settled=True)


@settings(deadline=None)
@given(st.sampled_from([PENDING, READY, STOPPING, STOPPED, RESTARTING, RESTARTED]), st.floats(0, 4000))
def test_a_stream_is_ready_exactly_while_it_opens_a_connection(session: Session, now: float) -> None:
    state = stream_state(session, GRANT, now)
    assert (state is StreamState.READY) == (session.state is State.READY and now < GRANT.expires_at)
    assert (state is StreamState.DELETED) == (now >= GRANT.expires_at)


def test_streams_end_with_their_session() -> None:
    assert stream_state(over(READY, EndReason.DELETED), GRANT, 0) is StreamState.DELETED


def test_a_stream_is_granted_once_and_to_ready_sessions_alone() -> None:
    after = with_stream(READY, GRANT, NOW)
    assert after.grants == (GRANT,)
    assert with_stream(after, replace(GRANT, expires_at=9999.0), NOW) is after
    for session in (PENDING, STOPPING, STOPPED, RESTARTING):
        with pytest.raises(Conflict):
            with_stream(session, GRANT, NOW)


def test_expired_streams_make_room_the_oldest_first_and_live_ones_stay() -> None:
    expired = [replace(GRANT, id="old-1", expires_at=NOW), replace(GRANT, id="old-2", expires_at=NOW - 1)]
    live = [replace(GRANT, id=f"live-{number}") for number in range(MOST_STREAMS - 2)]
    session = replace(READY, grants=(*live, *expired))
    for number in (1, 2):
        session = with_stream(session, replace(GRANT, id=f"new-{number}"), NOW)
        assert len(session.grants) == MOST_STREAMS
        assert "old-1" not in {grant.id for grant in session.grants}
    with pytest.raises(StreamsExceeded, match="64 streams"):
        with_stream(session, replace(GRANT, id="one-more"), NOW)
