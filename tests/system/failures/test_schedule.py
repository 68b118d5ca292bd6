"""Faults are drawn so that a seed tells them all, and so that what must live on has a chance to."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.system.failures.schedule import HABITS, Cast, FaultKind, plan

CAST = Cast(("b1", "b2"), ("r1", "r2", "r3"), ("n1", "n2"))
SEEDS = st.integers(0, 2**32)


@settings(max_examples=20)
@given(SEEDS)
def test_a_seed_tells_all_faults(seed: int) -> None:
    assert plan(seed, 50, CAST, every_s=0.3) == plan(seed, 50, CAST, every_s=0.3)
    assert plan(seed, 50, CAST, every_s=0.3) != plan(seed + 1, 50, CAST, every_s=0.3)


@settings(max_examples=20)
@given(SEEDS)
def test_faults_come_in_order_to_whom_they_can_meet_and_last_as_is_their_habit(seed: int) -> None:
    faults = plan(seed, 200, CAST, every_s=0.3)
    assert [fault.number for fault in faults] == list(range(200))
    assert all(earlier.at <= later.at for earlier, later in pairwise(faults))
    for fault in faults:
        assert fault.target in CAST.of(fault.kind)
        assert HABITS[fault.kind].shortest_s <= fault.lasts_s <= HABITS[fault.kind].longest_s


@settings(max_examples=20)
@given(SEEDS)
def test_nothing_happens_twice_to_one_part_at_a_time_and_relays_die_one_after_another(seed: int) -> None:
    faults = plan(seed, 100, CAST, every_s=0.3)
    for index, fault in enumerate(faults):
        for later in faults[index + 1 :]:
            both_kill_relays = fault.kind is later.kind is FaultKind.KILL_RELAY
            if later.target == fault.target or both_kill_relays:
                assert later.at >= fault.at + fault.lasts_s + HABITS[fault.kind].rest_s - 0.002


def test_every_kind_comes_in_three_hundred_faults_in_about_the_time_asked_for() -> None:
    faults = plan(1, 300, CAST, every_s=0.3)
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert 60 < faults[-1].at < 160
