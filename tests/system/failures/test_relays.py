"""Relays die and lose their store: what could live is not cut, and what could not is elsewhere soon."""

from __future__ import annotations

import asyncio

import pytest

from tests.system.failures.run import running

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


async def test_viewers_of_a_killed_relay_are_on_another_within_seconds() -> None:
    async with running("kill -9 of each relay") as run:
        for name in run.cluster.relays:
            await run.faults.kill_relay(name, down_s=6)
            await run.flowing()
        outcome = await run.judged()
        assert outcome.rerouted_s
        moved = {flow.session for flow in run.load.flows() if not flow.left}
        assert moved <= run.listener.sessions("route")


async def test_a_relay_that_is_back_at_once_takes_its_routes_up_again() -> None:
    async with running("kill -9 of a relay that is back at once") as run:
        await run.faults.kill_relay("r0", down_s=0.1)
        await run.flowing()
        await run.judged()


async def test_flows_pass_while_their_relay_is_cut_from_redis() -> None:
    async with running("a relay is cut from Redis") as run:
        for silently in (False, True):
            relays = run.cluster.relays
            await asyncio.gather(*(run.faults.cut_relay(name, for_s=5, silently=silently) for name in relays))
        outcome = await run.judged()
        assert outcome.longest_gap_s < 1
