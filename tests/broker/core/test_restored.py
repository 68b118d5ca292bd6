from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.clocks import REPORT_LAG_S, next_alarm
from broker.core.restored import is_worth_restoring, newest, restored
from broker.core.session import READABLE_AFTER_END_S, EndReason, Phase, Session, State, ended
from tests.broker.samples import CLOCKS, make_session, session_id, with_ports


def test_of_what_is_known_of_a_session_the_latest_counts_and_who_came_first_comes_first() -> None:
    old, new = replace(make_session(at=5.0), revision=3), replace(make_session(at=5.0), revision=4)
    other = replace(make_session(at=1.0), id=session_id(1))
    assert newest([new, other], [old]) == newest([old], [other, new]) == [other, new]


def test_who_ended_is_worth_restoring_as_long_as_it_could_be_read() -> None:
    over = ended(make_session(), EndReason.DELETED, "", 2000.0)
    assert is_worth_restoring(over, 2000.0 + READABLE_AFTER_END_S - 1)
    assert not is_worth_restoring(over, 2000.0 + READABLE_AFTER_END_S)
    assert is_worth_restoring(make_session(), 1e9)
    assert restored(over, 9000.0) is over


def test_a_viewer_has_time_to_be_seen_again() -> None:
    left = replace(with_ports(make_session()), state=State.READY, phase=None, ready_at=1010.0, first_viewer_at=1020.0)
    left = replace(left, last_viewer_at=1030.0, unheard_since=1031.0, relay_missing_since=1032.0)
    alarm = next_alarm(restored(left, 5000.0))
    assert alarm is not None
    assert (alarm.reason, alarm.at) == (EndReason.DISCONNECTED, 5000.0 + CLOCKS.reconnect_grace_s + REPORT_LAG_S)


def test_who_waits_waits_from_now_on_and_keeps_its_place_before_those_who_come() -> None:
    queued = replace(make_session(), slot=None, phase=Phase.QUEUED)
    assert restored(queued, 5000.0).pending_since == 5000.0
    starting = replace(with_ports(make_session()), placed_at=1001.0)
    assert restored(starting, 5000.0).placed_at == 5000.0


@given(st.sampled_from(State), st.floats(1000, 9000))
def test_nobody_is_ended_by_being_restored(state: State, now: float) -> None:
    session: Session = replace(with_ports(make_session()), state=state, ready_at=1010.0, stopped_at=1010.0)
    alarm = next_alarm(restored(session, now))
    assert alarm is None or alarm.at > now
