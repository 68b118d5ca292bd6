from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.turns import Turns, _adapted
from tests.broker.waiting import eventually

Taking = Callable[[str, bool], Awaitable[float | None]]


@asynccontextmanager
async def running(take: Taking) -> AsyncIterator[Turns]:
    turns = Turns(take)
    task = asyncio.create_task(turns.run())
    try:
        yield turns
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_who_is_woken_has_a_turn_in_the_order_of_waking() -> None:
    taken: list[str] = []

    async def take(key: str, is_due: bool) -> None:
        taken.append(key)

    async with running(take) as turns:
        for key in "cab":
            turns.wake(key)
        turns.wake("c")
        await eventually(lambda: len(taken) == 3)
    assert taken == ["c", "a", "b"]


async def test_turns_of_one_key_never_overlap_and_a_waking_within_one_gives_another() -> None:
    running_now, begun = 0, 0
    may_end = asyncio.Event()

    async def take(key: str, is_due: bool) -> None:
        nonlocal running_now, begun
        running_now += 1
        begun += 1
        assert running_now == 1
        await may_end.wait()
        running_now -= 1

    async with running(take) as turns:
        turns.wake("a")
        await eventually(lambda: begun == 1)
        turns.wake("a")
        turns.wake("a")
        await asyncio.sleep(0)
        assert begun == 1
        may_end.set()
        await eventually(lambda: begun == 2 and running_now == 0)


async def test_a_turn_that_takes_long_holds_up_nobody_else() -> None:
    taken: list[str] = []

    async def take(key: str, is_due: bool) -> None:
        taken.append(key)
        if key == "slow":
            await asyncio.Event().wait()

    async with running(take) as turns:
        turns.wake("slow")
        turns.wake("quick")
        await eventually(lambda: taken == ["slow", "quick"])


async def test_a_key_has_a_turn_when_its_time_comes_and_is_told_that_it_has() -> None:
    due: list[bool] = []

    async def take(key: str, is_due: bool) -> float | None:
        due.append(is_due)
        return 0.01 if len(due) < 3 else None

    async with running(take) as turns:
        turns.wake("a")
        await eventually(lambda: len(due) == 3)
    assert due == [False, True, True]


async def test_who_is_woken_before_its_time_is_not_told_that_it_has_come() -> None:
    due: list[bool] = []

    async def take(key: str, is_due: bool) -> float:
        due.append(is_due)
        return 3600

    async with running(take) as turns:
        turns.wake("a")
        await eventually(lambda: len(due) == 1)
        turns.wake("a")
        await eventually(lambda: len(due) == 2)
    assert due == [False, False]


async def test_a_key_that_is_forgotten_is_known_anew_when_it_is_woken_again() -> None:
    taken: list[str] = []

    async def take(key: str, is_due: bool) -> None:
        taken.append(key)

    async with running(take) as turns:
        turns.wake("a")
        await eventually(lambda: len(taken) == 1)
        turns.wake("a")
        await eventually(lambda: len(taken) == 2)


async def test_all_turns_end_with_run() -> None:
    ended = asyncio.Event()

    async def take(key: str, is_due: bool) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(take) as turns:
        turns.wake("a")
        await asyncio.sleep(0.01)
    assert ended.is_set()


async def test_callers_are_answered_while_there_is_more_to_do_than_time() -> None:
    """A thousand turns of a millisecond wait: what else the loop has to do is not put off till they are through."""
    loop = asyncio.get_running_loop()
    left = 1000

    async def take(key: str, is_due: bool) -> None:
        nonlocal left
        left -= 1
        busy_till = loop.time() + 0.001
        while loop.time() < busy_till:
            pass

    async with running(take) as turns:
        for number in range(left):
            turns.wake(str(number))
        answers = 0
        while left > 500:
            await asyncio.sleep(0)
            answers += 1
    assert answers > 20


async def test_an_error_in_a_turn_ends_the_whole() -> None:
    async def take(key: str, is_due: bool) -> None:
        raise RuntimeError("broken")

    turns = Turns(take)
    turns.wake("a")
    with pytest.RaisesGroup(RuntimeError):
        await turns.run()


@given(most=st.integers(4, 256), others_s=st.floats(0, 1), turns_s=st.floats(0, 1))
def test_the_number_of_turns_is_bounded_and_moves_towards_a_third_of_the_time(
    most: int, others_s: float, turns_s: float
) -> None:
    after = _adapted(most, others_s=others_s, turns_s=turns_s)
    assert 4 <= after <= 256
    assert most / 2 - 1 <= after <= most * 2 or after == 4
    if turns_s > others_s:
        assert after <= most
