"""Brokers die, stop, stand still, lose store and clock: callers and viewers keep what they were promised."""

from __future__ import annotations

import asyncio

import pytest

from tests.system.failures.run import running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


async def test_each_broker_killed_in_turn_loses_and_doubles_nothing() -> None:
    async with running("kill -9 of each broker") as run:
        for name in run.cluster.brokers:
            await run.faults.kill_broker(name, down_s=0.5)
        await run.judged()


async def test_brokers_are_restarted_one_after_another_under_load_without_an_error() -> None:
    async with running("rolling restart of brokers") as run:
        for name in run.cluster.brokers:
            assert await run.faults.stop_broker(name, down_s=0.2) == 0
        outcome = await run.judged()
        assert outcome.longest_gap_s < 1


async def test_a_broker_that_stood_still_does_not_write_as_if_it_still_held_the_lease() -> None:
    async with running("a broker stands still") as run:
        for name in run.cluster.brokers:
            await run.faults.freeze_broker(name, for_s=2.5)
        await run.judged()


async def test_a_broker_cut_from_redis_says_so_and_the_other_serves_on() -> None:
    async with running("a broker is cut from Redis") as run:
        await run.faults.cut_broker("b0", for_s=3)
        await run.faults.cut_broker("b1", for_s=4, silently=True)
        outcome = await run.judged()
        assert outcome.unavailable > 0


async def test_clocks_that_are_wrong_by_minutes_change_nothing() -> None:
    """Each process has one of its own, which jumps both ways while it runs."""
    async with running("clocks jump by minutes", false_clocks=True) as run:
        members = (*run.cluster.brokers.values(), *run.cluster.relays.values(), *run.cluster.nodes.values())
        for round in (1, -1, 2):
            for number, member in enumerate(members):
                member.set_clock(round * (420 if number % 2 else -600))
            await asyncio.sleep(2.5)
        await run.judged()
