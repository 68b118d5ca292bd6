from dataclasses import replace

import pytest

from broker.core.clocks import next_alarm
from broker.core.intent import HANDLED_MOST, extend, start, stop, stopped, was_handled, with_handled
from broker.core.session import EndReason, Handled, Phase, Session, State, Wanted, ended
from broker.errors import Conflict, Forbidden
from tests.broker.samples import CLOCKS, make_session, with_ports


def ready_session(**clocks: float) -> Session:
    watched = replace(with_ports(make_session()), first_viewer_at=1020.0, viewer_present=True, ready_at=1010.0)
    return replace(watched, state=State.READY, phase=None, clocks=replace(CLOCKS, **clocks))  # type: ignore[arg-type]


def at_rest() -> Session:
    return replace(stopped(ready_session(), "me", 2000.0), slot=None, ports=None)


def test_a_stopped_session_wants_nothing_and_forgets_its_run() -> None:
    session = stopped(replace(ready_session(), expires_at=9.0, extended_s=5, kept_until=8.0), "me", 2000.0)
    assert (session.state, session.phase, session.wanted) == (State.STOPPED, None, Wanted.STOPPED)
    assert (session.stopped_at, session.stopped_by, session.message) == (2000.0, "me", "Session is being stopped")
    assert (session.ready_at, session.expires_at, session.kept_until, session.extended_s) == (None, None, None, 0)
    assert not session.viewer_present and session.first_viewer_at is None and session.backend is None
    assert session.slot is not None and session.ports is not None, "they are given back once they are free"


def test_one_that_held_nothing_is_stopped_at_once() -> None:
    session = stopped(replace(make_session(), slot=None, phase=Phase.QUEUED), "me", 2000.0)
    assert (session.is_settled, session.message) == (True, "Session is stopped")


def test_what_is_stopped_or_ended_stays_so() -> None:
    assert stopped(at_rest(), "you", 3000.0) == at_rest()
    over = ended(make_session(), EndReason.DELETED, "", 1.0)
    assert stopped(over, "you", 3000.0) == over


def test_a_profile_may_let_nothing_stop() -> None:
    with pytest.raises(Conflict, match="cannot be stopped"):
        stop(ready_session(max_stopped_s=0), "me", 2000.0, only_settled=False)


def test_a_start_begins_a_new_run_with_a_secret_of_its_own() -> None:
    session = start(at_rest(), "me", 3000.0, secret="new", only_settled=True)
    assert (session.state, session.phase, session.wanted) == (State.PENDING, Phase.QUEUED, Wanted.RUNNING)
    assert (session.run, session.backend_secret, session.pending_since) == (1, "new", 3000.0)
    assert (session.started_at, session.started_by) == (3000.0, "me")


def test_a_start_waits_for_the_stop() -> None:
    with pytest.raises(Conflict, match="in progress"):
        start(stopped(ready_session(), "me", 2000.0), "me", 3000.0, secret="new", only_settled=False)


def test_an_extension_puts_off_the_alarm_that_is_next() -> None:
    session = replace(ready_session(max_length_s=60, extend_s=30), expires_at=2000.0)
    assert extend(session, None, 1500.0).expires_at == 2030.0
    assert extend(session, 10, 1500.0).expires_at == 2010.0
    assert extend(session, 1000, 1500.0).expires_at == 2030.0, "a step at a time"


def test_an_extension_keeps_a_session_that_nobody_uses() -> None:
    session = replace(ready_session(idle_s=100, extend_s=30), last_input_at=1100.0)
    kept = extend(session, None, 1190.0)
    alarm = next_alarm(kept)
    assert alarm is not None and (alarm.reason, alarm.at) == (EndReason.IDLE, 1230.0)
    assert extend(kept, None, 1190.0).kept_until == 1260.0


def test_an_extension_puts_off_every_clock_that_would_end_the_session_before_it_is_over() -> None:
    session = replace(ready_session(idle_s=100, max_length_s=60, extend_s=30), last_input_at=1100.0, expires_at=1210.0)
    extended = extend(session, None, 1190.0)
    alarm = next_alarm(extended)
    assert alarm is not None and alarm.at == 1230.0
    far = extend(replace(session, expires_at=5000.0), None, 1190.0)
    assert far.expires_at == 5000.0


def test_a_session_whose_relay_is_lost_is_not_extended() -> None:
    with pytest.raises(Conflict):
        extend(replace(ready_session(extend_s=30), relay_missing_since=1000.0), None, 1010.0)


def test_extensions_have_a_bound_in_all() -> None:
    session = replace(ready_session(max_length_s=60, extend_s=30, extend_most_s=50), expires_at=2000.0)
    session = extend(session, None, 1500.0)
    session = extend(session, None, 1500.0)
    assert (session.expires_at, session.extended_s) == (2050.0, 50)
    with pytest.raises(Forbidden, match="50 s already"):
        extend(session, None, 1500.0)


def test_not_every_profile_lets_a_session_be_extended() -> None:
    with pytest.raises(Forbidden, match="'default' lets no session be extended"):
        extend(replace(ready_session(max_length_s=60), expires_at=2000.0), None, 1500.0)


def test_where_no_clock_runs_nothing_is_extended() -> None:
    with pytest.raises(Conflict):
        extend(ready_session(extend_s=30), None, 1500.0)
    with pytest.raises(Conflict):
        extend(replace(make_session(), clocks=replace(CLOCKS, extend_s=30)), None, 1500.0)


def test_a_request_is_known_again_and_another_with_its_key_refused() -> None:
    session = with_handled(make_session(), Handled("k", "stop"))
    assert was_handled(session, Handled("k", "stop"))
    assert not was_handled(session, Handled("l", "stop"))
    with pytest.raises(Conflict):
        was_handled(session, Handled("k", "start"))


def test_only_the_latest_requests_are_remembered() -> None:
    session = make_session()
    for number in range(HANDLED_MOST + 1):
        session = with_handled(session, Handled(str(number), ""))
    assert len(session.handled) == HANDLED_MOST
    assert not was_handled(session, Handled("0", "")) and was_handled(session, Handled("1", ""))


def test_who_is_strict_stops_only_what_is_ready_and_starts_only_what_is_stopped() -> None:
    with pytest.raises(Conflict, match="in progress"):
        stop(make_session(), "me", 2000.0, only_settled=True)
    with pytest.raises(Conflict, match="stopped already"):
        stop(at_rest(), "me", 2000.0, only_settled=True)
    with pytest.raises(Conflict, match="in progress"):
        start(make_session(), "me", 2000.0, secret="new", only_settled=True)
    with pytest.raises(Conflict, match="runs already"):
        start(ready_session(), "me", 2000.0, secret="new", only_settled=True)
    assert stop(ready_session(), "me", 2000.0, only_settled=True).state is State.STOPPED
    assert start(ready_session(), "me", 2000.0, secret="new", only_settled=False) == ready_session()
