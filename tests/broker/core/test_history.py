from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from broker.core.history import STEP_S, STEPS, History
from broker.core.session import EndReason, Phase, Session, ended
from tests.broker.samples import make_session, session_id


def made(number: int, at: float) -> Session:
    return replace(make_session(at=at), id=session_id(number))


def test_a_minute_counts_what_was_created_and_ended_in_it() -> None:
    history = History()
    history.session_written(None, made(1, 600.0))
    history.session_written(None, made(2, 659.0))
    history.session_written(made(1, 600.0), ended(made(1, 600.0), EndReason.IDLE, "", 660.0))
    first, second = history.steps(700.0)
    assert (first.begins, first.created, first.most_live) == (600.0, 2, 2)
    assert (second.begins, second.created, second.ended) == (660.0, 0, {EndReason.IDLE: 1})


def test_what_was_there_before_is_neither_created_nor_ended_now_but_lives() -> None:
    history = History()
    history.session_written(None, replace(made(1, 600.0), revision=5))
    history.session_written(None, replace(ended(made(2, 600.0), EndReason.IDLE, "", 610.0), revision=7))
    (step,) = history.steps(620.0)
    assert (step.created, step.most_live, step.ended) == (0, 1, {})


def test_minutes_in_silence_are_as_the_last_one_ended() -> None:
    history = History()
    history.session_written(None, made(1, 600.0))
    assert [(step.begins, step.created, step.most_live) for step in history.steps(780.0)] == [
        (600.0, 1, 1),
        (660.0, 0, 1),
        (720.0, 0, 1),
        (780.0, 0, 1),
    ]


def test_those_who_wait_are_counted_until_they_are_placed_or_gone() -> None:
    history = History()
    queued = replace(made(1, 600.0), slot=None, phase=Phase.QUEUED)
    history.session_written(None, queued)
    history.session_written(queued, made(1, 661.0))
    assert [step.most_queued for step in history.steps(661.0)] == [1, 1]
    assert history.steps(720.0)[-1].most_queued == 0


def test_what_is_given_back_after_an_end_does_not_count_again() -> None:
    history = History()
    over = ended(made(1, 600.0), EndReason.IDLE, "", 601.0)
    history.session_written(made(1, 600.0), over)
    history.session_written(over, replace(over, slot=None, updated_at=602.0))
    history.session_written(over, replace(over, end_reason=None))
    assert history.steps(602.0)[-1].ended == {EndReason.IDLE: 1}


def test_a_long_silence_costs_nothing_and_leaves_an_hour_at_most() -> None:
    history = History()
    history.session_written(None, made(1, 600.0))
    steps = history.steps(1e12)
    assert [step.created for step in steps] == [0]
    assert steps[0].most_live == 1


@given(st.lists(st.floats(0, 4 * STEPS * STEP_S), min_size=1, max_size=40))
def test_minutes_follow_each_other_and_nothing_is_counted_twice(times: list[float]) -> None:
    history = History()
    times.sort()
    for number, at in enumerate(times):
        history.session_written(None, made(number, at))
    steps = history.steps(times[-1])
    assert 1 <= len(steps) <= STEPS
    assert all(later.begins - earlier.begins == STEP_S for earlier, later in pairwise(steps))
    kept = [at for at in times if at >= steps[0].begins]
    assert sum(step.created for step in steps) == len(kept)
    assert steps[-1].most_live == len(times)
