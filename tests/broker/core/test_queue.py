from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.queue import FairQueue, Pace

SHARES = ("ann", "ben", "cleo", "dan")


def filled(*joins: tuple[str, str]) -> FairQueue:
    queue = FairQueue()
    for since, (session_id, share) in enumerate(joins):
        queue.join(session_id, share, float(since))
    return queue


def served_in_turn(queue: FairQueue) -> list[str]:
    served = []
    while (head := queue.head) is not None:
        served.append(head)
        queue.serve(head)
    return served


def test_those_of_one_share_are_served_as_they_came() -> None:
    queue = FairQueue()
    for session_id, since in (("second", 2.0), ("third", 3.0), ("first", 1.0)):
        queue.join(session_id, "ann", since)
    assert served_in_turn(queue) == ["first", "second", "third"]


def test_those_who_come_at_the_same_time_are_served_as_they_joined() -> None:
    queue = FairQueue()
    for session_id in ("z", "a", "m"):
        queue.join(session_id, "ann", 1.0)
    assert served_in_turn(queue) == ["z", "a", "m"]


def test_shares_take_turns_however_many_wait_for_each() -> None:
    queue = filled(*((f"a{number}", "ann") for number in range(5)), ("b0", "ben"), ("b1", "ben"), ("c0", "cleo"))
    assert served_in_turn(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]


def test_a_share_that_was_just_served_goes_behind_the_others() -> None:
    queue = filled(("a0", "ann"), ("a1", "ann"), ("b0", "ben"))
    queue.serve("a0")
    queue.join("c0", "cleo", 9.0)
    assert list(queue.positions()) == ["b0", "a1", "c0"]


def test_who_leaves_is_not_served_and_takes_no_turn() -> None:
    queue = filled(("a0", "ann"), ("a1", "ann"), ("b0", "ben"))
    queue.leave("a0")
    assert (queue.head, len(queue), "a0" in queue, "a1" in queue) == ("a1", 2, False, True)


def test_to_join_twice_or_to_leave_unknown_changes_nothing() -> None:
    queue = filled(("a0", "ann"), ("a1", "ann"))
    queue.join("a1", "ann", -5.0)
    queue.leave("nobody")
    queue.serve("nobody")
    assert served_in_turn(queue) == ["a0", "a1"]


def test_nobody_is_next_where_nobody_waits() -> None:
    assert FairQueue().head is None
    with pytest.raises(KeyError):
        FairQueue().position("nobody")


class Queueing(RuleBasedStateMachine):
    """A queue against the plainest model: lists in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue()
        self.lines: list[tuple[str, list[str]]] = []
        self.made = 0
        self.passed_over: Counter[str] = Counter()
        self.shares_when_first: dict[str, int] = {}

    @rule(share=st.sampled_from(SHARES))
    def join(self, share: str) -> None:
        self.made += 1
        session_id = f"{share} {self.made}"
        self.queue.join(session_id, share, float(self.made))
        line = next((line for known, line in self.lines if known == share), None)
        if line is None:
            self.lines.append((share, [session_id]))
        else:
            line.append(session_id)

    @precondition(lambda self: self.lines)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        session_id = data.draw(st.sampled_from([session_id for _, line in self.lines for session_id in line]))
        self.queue.leave(session_id)
        for _, line in self.lines:
            if session_id in line:
                line.remove(session_id)
        self.lines = [(share, line) for share, line in self.lines if line]

    @precondition(lambda self: self.lines)
    @rule()
    def serve(self) -> None:
        share, line = self.lines.pop(0)
        assert self.queue.head == line[0]
        others = {waiting[0]: len(self.lines) for _, waiting in self.lines}
        for first, count in others.items():
            self.passed_over[first] += 1
            most = self.shares_when_first.setdefault(first, count)
            assert self.passed_over[first] <= max(most, len(SHARES)), "one waited longer than a round"
        self.queue.serve(line.pop(0))
        if line:
            self.lines.append((share, line))

    @invariant()
    def the_order_is_that_of_the_model(self) -> None:
        expected: list[str] = []
        lines = [list(line) for _, line in self.lines]
        while lines:
            expected += [line.pop(0) for line in lines]
            lines = [line for line in lines if line]
        assert [self.queue.position(session_id) for session_id in expected] == list(range(1, len(expected) + 1))
        assert list(self.queue.positions()) == expected
        assert [self.queue.position(session_id) for session_id in expected] == list(range(1, len(expected) + 1))
        assert len(self.queue) == len(expected)


Queueing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueueing = Queueing.TestCase


@given(st.lists(st.sampled_from(SHARES), min_size=1, max_size=40))
def test_who_is_first_of_its_share_is_served_within_one_round(shares: list[str]) -> None:
    queue = filled(*((f"{share} {number}", share) for number, share in enumerate(shares)))
    firsts = {share: next(f"{share} {n}" for n, other in enumerate(shares) if other == share) for share in shares}
    order = served_in_turn(queue)
    assert all(order.index(first) < len(firsts) for first in firsts.values())
    assert sorted(order) == sorted(f"{share} {number}" for number, share in enumerate(shares)), "each one, once"


def test_nothing_is_estimated_before_it_was_measured() -> None:
    pace = Pace()
    pace.served(5.0)
    assert pace.estimate_s(1, 0.0) is None
    pace.someone_waits(10.0)
    assert pace.estimate_s(1, 20.0) is None
    pace.served(30.0)
    assert pace.estimate_s(1, 30.0) == 20.0


def test_each_place_takes_as_long_as_slots_took_to_become_free() -> None:
    pace = Pace()
    pace.someone_waits(0.0)
    for now in (10.0, 30.0):
        pace.served(now)
    assert [pace.estimate_s(position, 30.0) for position in (1, 2, 3)] == [15.0, 30.0, 45.0]
    assert pace.estimate_s(2, 40.0) == 20.0, "what has passed is behind one"
    assert pace.estimate_s(1, 60.0) == 20.0, "a wait that is longer than usual counts as one"


def test_time_in_which_nobody_waits_is_no_measure() -> None:
    pace = Pace()
    pace.someone_waits(0.0)
    pace.served(10.0)
    pace.nobody_waits()
    pace.someone_waits(5000.0)
    pace.someone_waits(5005.0)
    pace.served(5010.0)
    assert pace.estimate_s(1, 5010.0) == 10.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 1000), st.floats(0, 1e7))
def test_an_estimate_is_never_before_now(gaps: list[float], position: int, ahead: float) -> None:
    pace, now = Pace(), 0.0
    pace.someone_waits(now)
    for gap in gaps:
        now += gap
        pace.served(now)
    estimate = pace.estimate_s(position, now + ahead)
    assert estimate is not None and estimate >= 0
