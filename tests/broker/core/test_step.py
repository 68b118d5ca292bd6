from dataclasses import replace

import pytest

from broker.core.clocks import REPORT_LAG_S, next_alarm
from broker.core.commands import Activate, Launch, Publish, Release, Warn, Withdraw
from broker.core.ledger import Claim, port_claims
from broker.core.pauses import Pause
from broker.core.session import EndReason, Phase, Session, State, Wanted, ended
from broker.core.slot import Activity, Backend, BackendState
from broker.core.step import ROUTE_ATTEMPTS, Facts, next_deadline, step
from signaling.routes import Endpoint, PortRange, RelayInfo, RouteError
from tests.broker.samples import (
    CLOCKS,
    ENDPOINT,
    RELAY,
    SLOT,
    claimed_backend,
    make_facts,
    make_report,
    make_session,
    with_ports,
)


def ready_session() -> Session:
    return step(with_ports(make_session()), facts_of_ready(with_ports(make_session())), 1010.0)[0]


def facts_of_ready(session: Session, *, signaling_open: int = 0) -> Facts:
    assert session.ports is not None
    return make_facts(
        backend=claimed_backend(),
        published=session.route,
        report=make_report(session.ports, signaling_open=signaling_open),
    )


def test_a_new_session_takes_ports_and_launches_its_backend_at_once() -> None:
    session, commands = step(make_session(), make_facts(), 1001.0)
    assert session.ports is not None and session.ports.relay_id == "relay-a"
    assert (session.state, session.phase) == (State.PENDING, Phase.STARTING)
    assert commands == (Launch(SLOT),)
    assert session.updated_at == 1001.0


def test_a_backend_is_launched_while_no_relay_is_there() -> None:
    session, commands = step(make_session(), make_facts(relays=()), 1001.0)
    assert (session.ports, session.phase) == (None, Phase.PLACING)
    assert commands == (Launch(SLOT),)


def test_a_session_without_slot_is_queued() -> None:
    session, commands = step(replace(make_session(), slot=None), make_facts(backends_known=False), 1001.0)
    assert (session.phase, commands) == (Phase.QUEUED, ())


def test_nothing_is_launched_before_the_provider_has_spoken() -> None:
    _, commands = step(make_session(), make_facts(backends_known=False), 1001.0)
    assert commands == ()


def test_the_route_is_published_as_soon_as_the_backends_ports_are_known() -> None:
    facts = make_facts(backend=Backend(BackendState.STARTING, ENDPOINT))
    session, commands = step(replace(with_ports(make_session()), backend=None), facts, 1001.0)
    assert session.backend == ENDPOINT
    assert session.route is not None
    assert commands == (Publish(session.route),)


def test_a_route_follows_a_backend_that_took_other_ports() -> None:
    before = with_ports(make_session())
    elsewhere = Endpoint("127.0.0.2", 47010, 47011)
    facts = make_facts(backend=Backend(BackendState.STARTING, elsewhere), published=before.route)
    session, commands = step(before, facts, 1001.0)
    assert session.route is not None and session.route.backend == elsewhere
    assert commands == (Publish(session.route),)


def test_an_idle_backend_is_given_its_session() -> None:
    session = with_ports(make_session())
    facts = make_facts(backend=Backend(BackendState.IDLE, ENDPOINT), published=session.route)
    after, commands = step(session, facts, 1001.0)
    assert commands == (Activate(SLOT),)
    assert after.phase is Phase.STARTING


def test_a_claimed_backend_waits_for_its_route() -> None:
    session = with_ports(make_session())
    after, commands = step(session, make_facts(backend=claimed_backend(), published=session.route), 1001.0)
    assert (after.state, after.phase, commands) == (State.PENDING, Phase.ROUTING, ())


def test_a_session_is_ready_when_backend_and_relay_said_so() -> None:
    session = ready_session()
    assert (session.state, session.phase, session.ready_at) == (State.READY, None, 1010.0)
    assert session.message == "Session is active"


@pytest.mark.parametrize("state", [BackendState.STARTING, BackendState.IDLE])
def test_an_active_route_alone_does_not_make_a_session_ready(state: BackendState) -> None:
    session = with_ports(make_session())
    facts = replace(facts_of_ready(session), backend=Backend(state, ENDPOINT))
    assert step(session, facts, 1010.0)[0].state is State.PENDING


def test_a_backend_claimed_by_another_session_does_not_make_this_one_ready() -> None:
    session = with_ports(make_session())
    facts = replace(facts_of_ready(session), backend=replace(claimed_backend(), session_id="another"))
    assert step(session, facts, 1010.0)[0].state is State.PENDING


def test_a_report_of_other_ports_does_not_make_a_session_ready() -> None:
    session = with_ports(make_session())
    facts = facts_of_ready(session)
    assert facts.report is not None
    facts = replace(facts, report=replace(facts.report, media_port=31009))
    assert step(session, facts, 1010.0)[0].phase is Phase.ROUTING


def test_a_route_published_for_another_backend_does_not_make_a_session_ready() -> None:
    session = with_ports(make_session())
    assert session.route is not None
    stale = replace(session.route, backend=Endpoint("127.0.0.2", 47500, 47501))
    assert step(session, replace(facts_of_ready(session), published=stale), 1010.0)[0].phase is Phase.ROUTING


def test_a_taken_port_is_replaced_for_the_same_session() -> None:
    session = with_ports(make_session())
    assert session.ports is not None
    facts = replace(facts_of_ready(session), report=make_report(session.ports, error=RouteError.PORT_TAKEN))
    after, commands = step(session, facts, 1010.0)
    assert after.ports is not None and after.ports.signaling_port != session.ports.signaling_port
    assert after.route is not None and commands == (Publish(after.route),)
    assert after.state is State.PENDING


def test_a_session_ends_when_no_other_port_is_left() -> None:
    session = with_ports(make_session())
    assert session.ports is not None
    relay = replace(RELAY, ports=PortRange(31000, 31001))
    report = make_report(session.ports, error=RouteError.PORT_TAKEN)
    after, _ = step(session, make_facts(backend=claimed_backend(), report=report, relays=(relay,)), 1010.0)
    assert after.end_reason is EndReason.NO_CAPACITY
    assert "port_taken" in after.message


def test_ports_that_others_hold_are_tried_as_long_as_there_are_others() -> None:
    session = replace(with_ports(make_session()), route_attempts=ROUTE_ATTEMPTS)
    assert session.ports is not None
    report = make_report(session.ports, error=RouteError.PORT_TAKEN)
    after, _ = step(session, make_facts(backend=claimed_backend(), report=report), 1010.0)
    assert after.state is State.PENDING and after.ports != session.ports


def test_a_session_ends_when_the_relay_can_bind_nothing() -> None:
    session = replace(with_ports(make_session()), route_attempts=ROUTE_ATTEMPTS)
    assert session.ports is not None
    report = replace(make_report(session.ports, error=RouteError.BIND_REFUSED), error=None)
    after, _ = step(session, make_facts(backend=claimed_backend(), report=report), 1010.0)
    assert after.end_reason is EndReason.ROUTE_FAILED


def test_a_ready_session_whose_route_failed_is_pending_again_with_a_start_clock_of_its_own() -> None:
    session = ready_session()
    assert session.ports is not None
    failed = make_facts(
        backend=claimed_backend(),
        published=session.route,
        report=make_report(session.ports, error=RouteError.PORT_TAKEN),
    )
    after, _ = step(session, failed, 1100.0)
    assert (after.state, after.phase, after.pending_since) == (State.PENDING, Phase.ROUTING, 1100.0)
    again, _ = step(after, facts_of_ready(after), 1101.0)
    assert (again.state, again.ready_at) == (State.READY, 1010.0)


def test_a_pending_session_leaves_a_relay_that_went_away() -> None:
    other = replace(RELAY, id="relay-b")
    session, _ = step(with_ports(make_session()), make_facts(backend=claimed_backend(), relays=(other,)), 1001.0)
    assert session.ports is not None and session.ports.relay_id == "relay-b"


def test_a_pending_session_keeps_its_ports_while_no_other_relay_is_there() -> None:
    before = with_ports(make_session())
    assert step(before, make_facts(backend=claimed_backend(), relays=()), 1001.0)[0].ports == before.ports


def test_a_ready_session_outlives_a_short_absence_of_its_relay() -> None:
    session = ready_session()
    away = replace(facts_of_ready(session, signaling_open=1), relays={})
    gone, _ = step(session, away, 1020.0)
    assert (gone.state, gone.relay_missing_since) == (State.READY, 1020.0)
    assert next_deadline(gone, away) == 1020.0 + CLOCKS.reconnect_grace_s * 2 / 3, "when it is warned of"
    back, _ = step(gone, facts_of_ready(session, signaling_open=1), 1030.0)
    assert back.relay_missing_since is None
    lost, _ = step(gone, away, 1020.0 + CLOCKS.reconnect_grace_s)
    assert lost.end_reason is EndReason.RELAY_LOST


OTHER_RELAY = replace(RELAY, id="relay-b")


def facts_of_lost(session: Session, *relays: RelayInfo) -> Facts:
    return make_facts(backend=claimed_backend(), published=session.route, relays=relays, lost=("relay-a",))


def test_a_ready_session_of_a_lost_relay_is_routed_anew_and_ready_again_with_its_new_ports() -> None:
    session, _ = step(ready_session(), facts_of_ready(ready_session(), signaling_open=1), 1015.0)
    after, commands = step(session, facts_of_lost(session, OTHER_RELAY), 1100.0)
    assert (after.state, after.phase, after.pending_since) == (State.PENDING, Phase.ROUTING, 1100.0)
    assert after.ports is not None and after.ports.relay_id == "relay-b"
    assert after.route is not None and commands == (Publish(after.route),)
    facts = replace(facts_of_ready(after), relays={"relay-b": OTHER_RELAY}, lost_relays=frozenset({"relay-a"}))
    again, _ = step(after, facts, 1101.0)
    assert (again.state, again.ready_at, again.unheard_since) == (State.READY, 1010.0, None)
    alarm = next_alarm(again)
    assert alarm is not None and alarm.at >= 1101.0 + CLOCKS.reconnect_grace_s, "its viewer has time to come back"


def test_a_session_that_nobody_has_watched_yet_has_time_for_its_first_viewer_after_a_reroute() -> None:
    session = ready_session()
    late = 1010.0 + CLOCKS.first_connection_s
    after, _ = step(session, facts_of_lost(session, OTHER_RELAY), late)
    facts = replace(facts_of_ready(after), relays={"relay-b": OTHER_RELAY}, lost_relays=frozenset({"relay-a"}))
    assert step(after, facts, late + 5)[0].state is State.READY


def test_a_session_of_a_lost_relay_waits_for_room_on_another_as_long_as_a_relay_may_be_away() -> None:
    session = ready_session()
    full = replace(OTHER_RELAY, capacity=0)
    waiting, commands = step(session, facts_of_lost(session, full), 1100.0)
    assert (waiting.state, waiting.ports, commands) == (State.READY, session.ports, ())
    over, _ = step(waiting, facts_of_lost(session, full), 1100.0 + CLOCKS.reconnect_grace_s)
    assert over.end_reason is EndReason.RELAY_LOST


def test_a_session_whose_relay_answers_though_unannounced_lives_on_and_misses_nobody() -> None:
    session, _ = step(ready_session(), facts_of_ready(ready_session(), signaling_open=1), 1015.0)
    left, _ = step(session, facts_of_ready(session), 1016.0)
    unheard = make_facts(
        backend=claimed_backend(), published=session.route, report=facts_of_ready(session).report, relays=()
    )
    answering = replace(unheard, answering_relays=frozenset({"relay-a"}))
    suspect, _ = step(left, unheard, 1020.0)
    assert (suspect.unheard_since, suspect.relay_missing_since) == (1020.0, 1020.0)
    living, _ = step(suspect, answering, 1021.0)
    assert (living.unheard_since, living.relay_missing_since) == (1020.0, None)
    assert step(living, answering, 9000.0)[0].state is State.READY
    back, _ = step(living, facts_of_ready(session), 9001.0)
    assert back.unheard_since is None
    alarm = next_alarm(back)
    assert alarm is not None and alarm.at == 9001.0 + CLOCKS.reconnect_grace_s + REPORT_LAG_S


def test_clocks_that_paused_end_a_session_later() -> None:
    session = ready_session()
    facts = replace(facts_of_ready(session), pauses=(Pause(1050.0, 2000.0),))
    deadline = 1010.0 + CLOCKS.first_connection_s + REPORT_LAG_S + 950.0
    assert next_deadline(session, facts) == deadline - 40.0, "when it is warned of"
    warned, _ = step(session, facts, deadline - 1)
    assert (warned.state, next_deadline(warned, facts)) == (State.READY, deadline)
    assert step(warned, facts, deadline)[0].end_reason is EndReason.NEVER_CONNECTED


def test_a_failed_backend_ends_the_session_with_its_words() -> None:
    failed = Backend(BackendState.FAILED, ENDPOINT, message="exited with status 1")
    session, commands = step(make_session(), make_facts(backend=failed), 1001.0)
    assert (session.end_reason, session.message) == (EndReason.BACKEND_FAILED, "exited with status 1")
    assert commands == (Release(SLOT),)


def test_a_failed_backend_without_words_ends_the_session_too() -> None:
    session, _ = step(make_session(), make_facts(backend=Backend(BackendState.FAILED)), 1001.0)
    assert session.message == "The streaming backend failed"


def test_a_backend_that_was_seen_and_is_listed_no_more_ends_the_session() -> None:
    session, _ = step(ready_session(), make_facts(), 1020.0)
    assert session.end_reason is EndReason.BACKEND_FAILED


def test_a_silent_provider_ends_nothing() -> None:
    before = ready_session()
    facts = replace(facts_of_ready(before), backend=None, backends_known=False)
    assert step(before, facts, 1020.0)[0] == before


def test_a_missing_report_ends_nothing_and_moves_no_viewer() -> None:
    before, _ = step(ready_session(), facts_of_ready(ready_session(), signaling_open=1), 1020.0)
    assert step(before, replace(facts_of_ready(before), report=None), 9999.0)[0] == before


def test_the_first_viewer_and_the_last_ones_leaving_are_written_down() -> None:
    session = ready_session()
    watched, _ = step(session, facts_of_ready(session, signaling_open=1), 1020.0)
    assert (watched.viewer_present, watched.first_viewer_at, watched.last_viewer_at) == (True, 1020.0, 1020.0)
    left, _ = step(watched, facts_of_ready(session), 1050.0)
    assert (left.viewer_present, left.first_viewer_at, left.last_viewer_at) == (False, 1020.0, 1050.0)
    back, _ = step(left, facts_of_ready(session, signaling_open=2), 1060.0)
    assert (back.viewer_present, back.first_viewer_at, back.last_viewer_at) == (True, 1020.0, 1060.0)
    gone, _ = step(left, facts_of_ready(session), 1050.0 + CLOCKS.reconnect_grace_s + REPORT_LAG_S)
    assert gone.end_reason is EndReason.DISCONNECTED


def test_a_session_that_never_had_a_viewer_ends() -> None:
    session = ready_session()
    facts = facts_of_ready(session)
    deadline = 1010.0 + CLOCKS.first_connection_s + REPORT_LAG_S
    warned, _ = step(session, facts, deadline - 0.1)
    assert (warned.state, next_deadline(warned, facts)) == (State.READY, deadline)
    assert step(session, facts, deadline)[0].end_reason is EndReason.NEVER_CONNECTED


def test_a_viewer_who_came_in_time_is_not_missed_though_the_relay_says_so_a_second_later() -> None:
    session = ready_session()
    late = 1010.0 + CLOCKS.first_connection_s + 1.0
    waiting, _ = step(session, facts_of_ready(session), late)
    watched, _ = step(waiting, facts_of_ready(session, signaling_open=1), late)
    assert (watched.state, watched.first_viewer_at) == (State.READY, late)


def test_a_session_without_input_ends_where_the_backend_tells() -> None:
    session = replace(ready_session(), clocks=replace(CLOCKS, idle_s=60.0))
    facts = facts_of_ready(session, signaling_open=1)
    facts = replace(facts, backend=replace(claimed_backend(), activity=Activity(1040.0)))
    watched, _ = step(step(session, facts, 1020.0)[0], facts, 1090.0)
    assert next_deadline(watched, facts) == 1100.0
    assert step(watched, facts, 1100.0)[0].end_reason is EndReason.IDLE


def test_a_session_of_a_foreign_backend_ends_by_what_its_relay_saw_pass() -> None:
    session = replace(ready_session(), clocks=replace(CLOCKS, idle_s=60.0))
    assert session.ports is not None
    facts = facts_of_ready(session, signaling_open=1)
    report = make_report(session.ports, signaling_open=1, last_client_input_at=1020.0)
    heard = replace(facts, report=report)
    watched, _ = step(step(session, facts, 1020.0)[0], heard, 1021.0)
    assert (watched.last_input_at, next_deadline(watched, heard)) == (1032.0, 1072.0)
    assert step(watched, heard, 1092.0)[0].end_reason is EndReason.IDLE
    later = replace(facts, report=replace(report, last_client_input_at=1080.0))
    assert step(watched, later, 1092.0)[0].state is State.READY
    stale = replace(facts, report=replace(report, media_port=31009, last_client_input_at=1080.0))
    assert step(watched, stale, 1092.0)[0].end_reason is EndReason.IDLE


def test_a_report_of_ports_left_behind_sets_no_deadline() -> None:
    session = replace(ready_session(), viewer_present=True, first_viewer_at=1020.0)
    assert session.ports is not None
    stale = replace(make_report(session.ports, last_client_packet_at=1000.0), media_port=31009)
    assert next_deadline(session, make_facts(backend=claimed_backend(), report=stale)) is None


def test_a_report_of_the_route_to_an_earlier_backend_makes_nothing_ready() -> None:
    session = with_ports(make_session())
    assert session.ports is not None
    old = make_report(session.ports, backend=replace(ENDPOINT, media_port=47009), signaling_open=1)
    after, _ = step(session, replace(facts_of_ready(session), report=old), 1010.0)
    assert (after.state, after.phase, after.viewer_present) == (State.PENDING, Phase.ROUTING, False)


def test_what_is_wanted_ended_ends_as_deleted() -> None:
    session, commands = step(replace(make_session(), wanted=Wanted.ENDED), make_facts(), 1001.0)
    assert session.end_reason is EndReason.DELETED
    assert commands == (Release(SLOT),)


def test_an_ended_session_gives_back_its_route_before_its_ports_and_its_backend_before_its_slot() -> None:
    session = ended(with_ports(make_session()), EndReason.DELETED, "", 1005.0)
    holding, commands = step(session, make_facts(backend=claimed_backend(), published=session.route), 1006.0)
    assert holding == session
    assert commands == (Withdraw(session.id), Release(SLOT))
    withdrawn, commands = step(session, make_facts(backend=claimed_backend()), 1006.0)
    assert (withdrawn.ports, withdrawn.slot) == (None, SLOT)
    assert commands == (Release(SLOT),)
    done, commands = step(withdrawn, make_facts(slot_released=True), 1007.0)
    assert (done.slot, commands) == (None, ())


def test_a_slot_is_kept_until_its_release_is_confirmed_though_nobody_lists_it() -> None:
    session = ended(make_session(), EndReason.DELETED, "", 1005.0)
    assert step(session, make_facts(), 1006.0) == (session, (Release(SLOT),))


def test_ports_chosen_are_not_among_those_claimed() -> None:
    first, _ = step(make_session(), make_facts(), 1001.0)
    assert first.ports is not None
    claims = {key: Claim("another") for key in port_claims(first.ports)}
    second, _ = step(make_session(), make_facts(claims=claims), 1001.0)
    assert second.ports is not None and second.ports != first.ports


def test_the_longest_length_stops_where_the_profile_says_so_and_gives_all_back() -> None:
    clocks = replace(CLOCKS, max_length_s=60.0, at_max_length="stop")
    session = replace(ready_session(), clocks=clocks, expires_at=1070.0)
    facts = facts_of_ready(session, signaling_open=1)
    stopped, commands = step(session, facts, 1070.0)
    assert (stopped.state, stopped.stopped_by, stopped.end_reason) == (State.STOPPED, "pixelferry", None)
    assert commands == (Withdraw(session.id), Release(SLOT))
    released, commands = step(stopped, make_facts(slot_released=True), 1071.0)
    assert (released.is_settled, released.message, commands) == (True, "Session is stopped", ())


def test_the_alarm_is_warned_of_once_and_the_warning_taken_back_when_it_moves_away() -> None:
    session = replace(ready_session(), clocks=replace(CLOCKS, idle_s=60.0))
    facts = facts_of_ready(session, signaling_open=1)

    def heard(at: float) -> Facts:
        return replace(facts, backend=replace(claimed_backend(), activity=Activity(at)))

    watched, _ = step(session, heard(1020.0), 1020.0)
    warned, _ = step(watched, heard(1020.0), 1065.0)
    assert warned.warning is not None and (warned.warning.reason, warned.warning.at) == (EndReason.IDLE, 1080.0)
    assert step(warned, heard(1020.0), 1070.0)[0] == warned
    assert step(warned, heard(1020.0), 1070.0)[1] == (Warn(SLOT, warned.warning),)
    gone, commands = step(warned, replace(heard(1020.0), report=facts_of_ready(session).report), 1070.0)
    assert (gone.viewer_present, commands) == (False, ()), "nobody is there to be told"
    calm, _ = step(warned, heard(1071.0), 1071.0)
    assert (calm.warning, calm.last_input_at) == (None, 1071.0)
