from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.events import EventType, events_between, present_events, queue_event, waited_in_queue_s
from broker.core.session import Alarm, EndReason, Phase, Session, State, ended
from tests.broker.samples import make_session, with_ports

PENDING = make_session()
READY = replace(with_ports(PENDING), state=State.READY, phase=None, message="Session is active", ready_at=1001.0)
OVER = ended(READY, EndReason.IDLE, "No input came for 60 s", 1100.0)
IDLE_SOON = Alarm(1060.0, EndReason.IDLE, "No input came for 60 s", 60)
SESSIONS = [
    PENDING,
    replace(PENDING, phase=Phase.STARTING),
    replace(PENDING, slot=None, phase=Phase.QUEUED),
    with_ports(PENDING),
    READY,
    replace(READY, viewer_present=True),
    replace(READY, expires_at=4000.0),
    replace(READY, state=State.STOPPED),
    replace(READY, warning=IDLE_SOON),
    OVER,
]


def types(before: Session | None, after: Session) -> list[EventType]:
    return [event.type for event in events_between(before, after)]


def test_a_new_session_tells_its_state_and_nothing_it_has_not() -> None:
    (event,) = present_events(PENDING)
    assert event.type is EventType.STATE
    assert (event.session_id, event.owner, event.at) == (PENDING.id, "someone", 1000.0)
    assert event.data["state"] == "pending" and event.data["phase"] == "placing"
    assert event.data["application"] == "app" and event.data["created_at"] == 1000.0


def test_becoming_ready_tells_state_first_and_then_the_route() -> None:
    state, route = events_between(with_ports(PENDING), READY)
    assert (state.type, state.data["state"], state.data["phase"]) == (EventType.STATE, "ready", None)
    assert route.type is EventType.ROUTE
    assert route.data == {"host": "127.0.0.1", "signaling_port": 31000, "media_port": 31001}


def test_a_route_is_told_again_only_when_it_changed() -> None:
    assert READY.ports is not None
    moved = replace(READY, ports=replace(READY.ports, media_port=31009))
    assert types(READY, moved) == [EventType.ROUTE]
    assert types(moved, replace(moved, last_viewer_at=1.0)) == []


def test_ports_of_a_session_that_is_not_ready_are_told_to_nobody() -> None:
    assert types(PENDING, with_ports(PENDING)) == []


def test_viewers_coming_and_going_are_told() -> None:
    watched = replace(READY, viewer_present=True)
    (came,) = events_between(READY, watched)
    (left,) = events_between(watched, READY)
    assert (came.type, came.data, left.data) == (EventType.VIEWER, {"present": True}, {"present": False})
    assert types(None, watched) == [EventType.STATE, EventType.ROUTE, EventType.VIEWER]


def test_a_warning_is_told_once_and_told_when_it_is_taken_back() -> None:
    warned = replace(READY, warning=IDLE_SOON)
    (warning,) = events_between(READY, warned)
    assert warning.type is EventType.WARNING
    assert warning.data == {
        "reason": "idle",
        "message": "No input has come for a while; without any the session ends",
        "ends_at": 1060.0,
        "stops": False,
        "extendable": False,
    }
    assert types(warned, replace(warned, last_input_at=1.0)) == []
    (taken_back,) = events_between(warned, READY)
    assert taken_back.data["reason"] is None and taken_back.data["ends_at"] is None


@pytest.mark.parametrize(("most_s", "extended_s", "extendable"), [(None, 900, True), (60, 30, True), (60, 60, False)])
def test_a_warning_says_whether_the_session_can_be_extended(
    most_s: float | None, extended_s: float, extendable: bool
) -> None:
    clocks = replace(READY.clocks, extend_s=30, extend_most_s=most_s)
    session = replace(READY, clocks=clocks, warning=IDLE_SOON, extended_s=extended_s)
    assert events_between(READY, session)[-1].data["extendable"] is extendable


def test_a_session_extended_tells_when_it_expires_now() -> None:
    (event,) = events_between(READY, replace(READY, expires_at=2000.0))
    assert (event.type, event.data["expires_at"]) == (EventType.STATE, 2000.0)


@pytest.mark.parametrize("before", [None, PENDING, READY])
def test_an_end_tells_its_reason_and_nothing_else(before: Session | None) -> None:
    (event,) = events_between(before, OVER)
    assert event.type is EventType.ENDED
    assert event.data == {
        "state": "ended",
        "end_reason": "idle",
        "message": "No input came for 60 s",
        "ended_at": 1100.0,
    }


def test_what_is_given_back_after_the_end_is_not_told() -> None:
    assert types(OVER, replace(OVER, slot=None, ports=None)) == []


def test_an_end_without_a_reason_tells_none() -> None:
    (event,) = events_between(None, replace(OVER, end_reason=None))
    assert event.data["end_reason"] is None


def test_a_long_message_is_cut() -> None:
    (event,) = events_between(PENDING, ended(PENDING, EndReason.BACKEND_FAILED, "x" * 9000, 1001.0))
    assert len(str(event.data["message"])) == 500


def test_a_place_in_the_queue_is_told_with_what_was_measured() -> None:
    event = queue_event(PENDING, position=3, eta_s=12.3456, at=1002.0)
    assert (event.type, event.at, event.data) == (EventType.QUEUE, 1002.0, {"position": 3, "eta_s": 12.3})
    assert queue_event(PENDING, position=1, eta_s=None, at=1002.0).data["eta_s"] is None


def test_the_wait_in_the_queue_is_known_when_it_is_left() -> None:
    queued = replace(PENDING, phase=Phase.QUEUED, slot=None)
    placed = replace(PENDING, updated_at=1007.5)
    assert waited_in_queue_s(queued, placed) == 7.5
    assert waited_in_queue_s(queued, replace(queued, updated_at=1003.0)) is None
    assert waited_in_queue_s(PENDING, placed) is None
    assert waited_in_queue_s(queued, ended(queued, EndReason.DELETED, "", 1007.5)) is None
    assert waited_in_queue_s(None, queued) is None


@given(st.one_of(st.none(), st.sampled_from(SESSIONS)), st.sampled_from(SESSIONS))
def test_no_secret_is_ever_told_and_every_event_is_the_sessions_own(before: Session | None, after: Session) -> None:
    for event in events_between(before, after):
        assert after.backend_secret not in repr(event)
        assert (event.session_id, event.owner) == (after.id, after.owner)


@given(st.lists(st.sampled_from(SESSIONS), min_size=1, max_size=8))
def test_who_hears_every_event_knows_as_much_as_who_asks_afresh(history: list[Session]) -> None:
    known: dict[EventType, object] = {}
    before: Session | None = None
    for session in history:
        for event in events_between(before, session):
            known[event.type] = event.data
        before = session
        if session.state is State.ENDED:
            break
    assert before is not None
    for event in present_events(before):
        assert known[event.type] == event.data


@given(st.sampled_from(SESSIONS))
def test_no_change_tells_nothing(session: Session) -> None:
    assert events_between(session, session) == ()
