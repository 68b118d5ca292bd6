from dataclasses import replace

import pytest

from broker.core.catalog import Clocks
from simulation.measures import Outcome
from simulation.run import simulate
from simulation.scenario import Fault, Habits, NodeClass, NodesFail, RelaysFail, Scenario, StoreAway, a_village

QUIET = Scenario(
    id="quiet",
    title="People who come and stay",
    seconds=900,
    sessions=20,
    classes=(NodeClass("shared", nodes=4, slots_per_node=8, weight=1, start_s=2, stay_s=50_000),),
    relays=3,
    relay_capacity=40,
    curve=(1, 0, 0),
    zones=1,
    clocks=Clocks(placement_s=300, reconnect_grace_s=60, idle_s=None),
    habits=Habits(never_connects=0, drop_every_s=1e9, returns_after_failure=1),
    port_taken=0,
)


def with_fault(fault: Fault) -> Outcome:
    return simulate(replace(QUIET, faults=(fault,)))


@pytest.fixture(scope="module")
def village() -> Outcome:
    return simulate(a_village())


def test_whatever_fails_the_books_add_up_and_every_session_ends(village: Outcome) -> None:
    assert village.faults == []
    assert village.counts.ends.total() == village.counts.created > 300


def test_every_kind_of_trouble_comes_to_the_village(village: Outcome) -> None:
    assert village.counts.ends["node_lost"] > 0
    assert village.counts.ends["backend_failed"] > 0
    assert village.counts.unanswered > 0
    assert village.counts.cut_by_relays > 0
    assert village.waits.queued_s["shared"]
    assert village.waits.of_burst_s
    assert max(sample.stranded for sample in village.samples) > 0


def test_the_same_seed_gives_the_same_outcome(village: Outcome) -> None:
    again = simulate(a_village())
    assert replace(again, took_s=village.took_s) == village
    assert simulate(replace(a_village(), seed=2)).counts != village.counts


def test_where_nothing_fails_nothing_ends() -> None:
    outcome = simulate(QUIET)
    assert outcome.counts.ends.keys() == {"deleted"}
    assert outcome.samples[-1].ready == 20


def test_viewers_of_a_killed_relay_have_a_picture_again_within_five_seconds() -> None:
    outcome = with_fault(RelaysFail(600, 1, 200))
    assert 0 < outcome.counts.cut_by_relays == len(outcome.waits.picture_again_s)
    assert max(outcome.waits.picture_again_s) < 5
    assert outcome.counts.ends.keys() == {"deleted"}
    assert outcome.faults == []


def test_a_host_that_is_gone_takes_longer_but_loses_nobody() -> None:
    outcome = with_fault(RelaysFail(600, 1, 200, hosts_gone=True))
    assert 5 < min(outcome.waits.picture_again_s) and max(outcome.waits.picture_again_s) < 20
    assert outcome.counts.ends.keys() == {"deleted"}


def test_nodes_that_are_cut_off_for_a_moment_lose_nothing_and_crashed_ones_what_ran_there() -> None:
    assert with_fault(NodesFail(600, 4, 12, crash=False)).counts.ends.keys() == {"deleted"}
    crashed = with_fault(NodesFail(600, 1, 120))
    assert crashed.counts.ends["node_lost"] == 5
    assert crashed.samples[-1].ready == 20, "those people come again"


def test_while_the_store_is_away_nobody_is_ended_and_nobody_is_ended_for_it() -> None:
    clocks = replace(QUIET.clocks, first_connection_s=30)
    absent = replace(QUIET, clocks=clocks, habits=replace(QUIET.habits, connect_s=0.1), curve=(1, 0, 0))
    outcome = simulate(replace(absent, faults=(StoreAway(250, 400),)))
    assert outcome.counts.ends.keys() == {"deleted"}
    assert outcome.faults == []
