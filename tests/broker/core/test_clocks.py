from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.clocks import (
    CLIENT_STEP_S,
    REPORT_LAG_S,
    foretold,
    input_heard,
    lead_s,
    next_alarm,
    next_look,
    viewer_is_present,
    warning_text,
)
from broker.core.pauses import Pause
from broker.core.session import Alarm, EndReason, Phase, Session, State, ended
from broker.core.slot import Activity
from tests.broker.samples import CLOCKS, make_report, make_session, with_ports


def ready_session() -> Session:
    return replace(with_ports(make_session()), state=State.READY, phase=None, ready_at=1010.0)


def reason_and_time(session: Session, heard: float | None = None) -> tuple[EndReason, float] | None:
    alarm = next_alarm(session, heard)
    return None if alarm is None else (alarm.reason, alarm.at)


def test_open_signaling_is_a_viewer() -> None:
    ports = with_ports(make_session()).ports
    assert ports is not None
    assert viewer_is_present(make_report(ports, signaling_open=1), 1e9)
    assert not viewer_is_present(make_report(ports), 1000.0)


def test_media_is_a_viewer_for_fifteen_seconds() -> None:
    ports = with_ports(make_session()).ports
    assert ports is not None
    report = make_report(ports, last_client_packet_at=1000.0)
    assert viewer_is_present(report, 1014.9)
    assert not viewer_is_present(report, 1015.0)


def test_a_session_without_ports_waits_for_its_placement_only() -> None:
    assert reason_and_time(make_session()) == (EndReason.NO_CAPACITY, 1005.0)


def test_a_session_without_slot_waits_in_the_queue() -> None:
    queued = replace(make_session(), slot=None, phase=Phase.QUEUED)
    assert reason_and_time(queued) == (EndReason.QUEUE_TIMEOUT, 1005.0)
    assert reason_and_time(replace(queued, phase=Phase.PLACING)) == (EndReason.NO_CAPACITY, 1005.0)


def test_the_time_in_the_queue_is_not_taken_from_the_time_to_start() -> None:
    placed = replace(with_ports(make_session()), placed_at=1300.0)
    assert reason_and_time(placed) == (EndReason.START_TIMEOUT, 1360.0)


def test_a_stopped_session_may_stay_so_for_its_time_or_for_ever() -> None:
    stopped = replace(make_session(), slot=None, state=State.STOPPED, phase=None, stopped_at=2000.0)
    assert next_alarm(stopped) is None
    bounded = replace(stopped, clocks=replace(CLOCKS, max_stopped_s=3600.0))
    assert reason_and_time(bounded) == (EndReason.MAX_STOPPED, 5600.0)


def test_the_longest_length_stops_a_session_where_its_profile_says_so_and_it_may_be_stopped() -> None:
    clocks = replace(CLOCKS, max_length_s=60.0, at_max_length="stop")
    alarm = next_alarm(replace(ready_session(), expires_at=1020.0, clocks=clocks))
    assert alarm is not None and alarm.stops
    alarm = next_alarm(replace(ready_session(), expires_at=1020.0, clocks=replace(clocks, max_stopped_s=0)))
    assert alarm is not None and not alarm.stops


def test_an_extension_puts_off_what_waits_for_viewers_and_input_but_not_the_longest_length() -> None:
    clocks = replace(CLOCKS, max_length_s=3600.0, idle_s=100.0)
    session = replace(ready_session(), expires_at=4000.0, kept_until=3000.0, clocks=clocks, last_input_at=1050.0)
    assert reason_and_time(session) == (EndReason.NEVER_CONNECTED, 3000.0)
    assert reason_and_time(replace(session, expires_at=2000.0)) == (EndReason.MAX_LENGTH, 2000.0)


def test_a_warning_comes_a_minute_before_or_a_third_of_the_clock_or_as_the_profile_says() -> None:
    session = ready_session()
    long, short = (Alarm(5000.0, EndReason.IDLE, "", clock_s) for clock_s in (3600.0, 30.0))
    assert (lead_s(session, long), lead_s(session, short)) == (60.0, 10.0)
    told = replace(session, clocks=replace(CLOCKS, warn_s=20.0))
    assert (lead_s(told, long), lead_s(told, short)) == (20.0, 20.0)
    never = replace(session, clocks=replace(CLOCKS, warn_s=0))
    assert lead_s(never, long) == 0


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (EndReason.IDLE, "Are you still there? Without input the session ends in 60 s."),
        (EndReason.MAX_LENGTH, "The session reaches its longest time in 60 s."),
        (EndReason.RELAY_LOST, "The relay is gone. If it does not come back, the session ends in 60 s."),
        (EndReason.DISCONNECTED, "The session ends in 60 s."),
    ],
)
def test_a_viewer_is_told_which_clock_it_is_and_how_long_it_runs(reason: EndReason, told: str) -> None:
    assert warning_text(Alarm(1060.0, reason, "", 600.0), 1000.4) == told
    assert warning_text(Alarm(1060.0, reason, "", 600.0), 1061.0) == told.replace("60 s", "0 s")


def test_each_clock_that_can_ring_is_foretold_in_its_own_words_none_as_if_it_had_rung() -> None:
    told = {reason: foretold(Alarm(1060.0, reason, "It rang", 600.0)) for reason in EndReason}
    clocks = [told[reason] for reason in EndReason if told[reason] != told[EndReason.DELETED]]
    assert len(set(clocks)) == len(clocks) == 9
    assert "It rang" not in told.values()


def test_a_placed_session_has_time_to_start() -> None:
    assert reason_and_time(with_ports(make_session())) == (EndReason.START_TIMEOUT, 1060.0)


def test_the_start_clock_runs_anew_when_a_session_is_pending_again() -> None:
    session = replace(with_ports(make_session()), pending_since=1500.0)
    assert reason_and_time(session) == (EndReason.START_TIMEOUT, 1560.0)


def test_a_ready_session_waits_for_its_first_viewer() -> None:
    assert reason_and_time(ready_session()) == (EndReason.NEVER_CONNECTED, 1130.0 + REPORT_LAG_S)


def test_no_clock_runs_while_a_viewer_is_present() -> None:
    assert next_alarm(replace(ready_session(), first_viewer_at=1020.0, viewer_present=True)) is None


def test_a_viewer_who_left_may_come_back_for_a_while() -> None:
    session = replace(ready_session(), first_viewer_at=1020.0, last_viewer_at=1100.0)
    assert reason_and_time(session) == (EndReason.DISCONNECTED, 1130.0 + REPORT_LAG_S)


def test_the_longest_length_ends_a_session_in_any_state() -> None:
    clocks = replace(CLOCKS, max_length_s=60.0)
    pending = make_session(clocks=clocks)
    assert reason_and_time(replace(pending, expires_at=1001.0)) == (EndReason.MAX_LENGTH, 1001.0)
    watched = replace(ready_session(), first_viewer_at=1020.0, viewer_present=True, expires_at=2000.0, clocks=clocks)
    assert reason_and_time(watched) == (EndReason.MAX_LENGTH, 2000.0)


def test_idle_counts_from_the_last_input_or_the_first_viewer() -> None:
    session = replace(
        ready_session(), first_viewer_at=1020.0, viewer_present=True, clocks=replace(CLOCKS, idle_s=100.0)
    )
    assert reason_and_time(session, 0.0) == (EndReason.IDLE, 1120.0)
    assert reason_and_time(session, 1500.0) == (EndReason.IDLE, 1600.0)


def test_input_is_what_the_backend_tells_else_the_latest_that_the_relay_s_word_allows() -> None:
    ports = with_ports(make_session()).ports
    assert ports is not None
    seen, unseen = make_report(ports, last_client_input_at=1100.0), make_report(ports)
    assert input_heard(Activity(1050.0), seen) == 1050.0
    assert input_heard(Activity(None), seen) == 0.0
    assert input_heard(None, seen) == 1100.0 + CLIENT_STEP_S + REPORT_LAG_S
    assert input_heard(None, unseen) is None
    assert input_heard(None, None) is None


@given(st.floats(0, 1e9), st.floats(0.001, 1e6), st.floats(0, CLIENT_STEP_S, exclude_max=True))
def test_nobody_is_ended_sooner_than_the_idle_clock_after_input_that_a_relay_saw(
    step_at: float, idle_s: float, within_s: float
) -> None:
    session = replace(ready_session(), first_viewer_at=1020.0, viewer_present=True)
    session = replace(session, clocks=replace(CLOCKS, idle_s=idle_s))
    assert session.ports is not None
    alarm = next_alarm(session, input_heard(None, make_report(session.ports, last_client_input_at=step_at)))
    assert alarm is not None and alarm.reason is EndReason.IDLE
    assert alarm.at > max(1020.0, step_at + within_s) + idle_s - 1e-6


def test_idle_is_not_judged_where_neither_backend_nor_relay_tells() -> None:
    session = replace(ready_session(), first_viewer_at=1020.0, viewer_present=True, clocks=replace(CLOCKS, idle_s=1.0))
    assert next_alarm(session) is None


def test_a_relay_may_be_away_for_the_reconnect_grace() -> None:
    session = replace(ready_session(), unheard_since=1195.0, relay_missing_since=1200.0)
    assert reason_and_time(session) == (EndReason.RELAY_LOST, 1230.0)


def test_of_a_relay_that_lives_unheard_viewers_are_not_missed_but_the_longest_length_counts() -> None:
    clocks = replace(CLOCKS, idle_s=10.0, max_length_s=3600.0)
    session = replace(ready_session(), clocks=clocks, unheard_since=1195.0, last_input_at=1020.0, expires_at=4610.0)
    assert reason_and_time(session) == (EndReason.MAX_LENGTH, 4610.0)


def test_a_pause_puts_every_clock_off() -> None:
    session = replace(ready_session(), clocks=replace(CLOCKS, max_length_s=60.0), expires_at=1070.0)
    pauses = (Pause(1020.0, 1320.0),)
    alarm = next_alarm(session, None, pauses)
    assert alarm is not None and (alarm.reason, alarm.at) == (EndReason.MAX_LENGTH, 1370.0)
    assert next_look(session, None, None, pauses) == 1350.0
    at_once = next_alarm(ready_session(), None, (Pause(1010.0, 1013.0),))
    assert at_once is not None and at_once.at == 1130.0 + REPORT_LAG_S + 3.0
    waiting = next_alarm(replace(make_session(), slot=None, phase=Phase.QUEUED), None, (Pause(1001.0, 1101.0),))
    assert waiting is not None and (waiting.reason, waiting.at) == (EndReason.QUEUE_TIMEOUT, 1105.0)


def test_media_without_signaling_is_looked_at_again_when_it_would_count_no_more() -> None:
    session = replace(ready_session(), first_viewer_at=1020.0, viewer_present=True)
    assert session.ports is not None
    assert next_look(session, make_report(session.ports, last_client_packet_at=1100.0), None) == 1115.0
    with_signaling = make_report(session.ports, last_client_packet_at=1100.0, signaling_open=1)
    assert next_look(session, with_signaling, None) is None


def test_the_next_look_is_at_the_first_alarm() -> None:
    session = ready_session()
    alarm = next_alarm(session)
    assert alarm is not None and next_look(session, None) == alarm.at - 40.0, "a third of its clock before, it warns"
    assert next_look(replace(session, warning=alarm), None) == alarm.at == 1130.0 + REPORT_LAG_S


def test_nobody_looks_at_an_ended_session() -> None:
    assert next_look(ended(make_session(), EndReason.DELETED, "", 1.0), None) is None
