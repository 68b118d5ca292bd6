"""Hundreds of faults drawn from a seed, several at a time, under load. A run that failed is run again by its seed."""

from __future__ import annotations

import asyncio
import os
from random import SystemRandom

import pytest

from tests.system.failures.cluster import Shape
from tests.system.failures.excuses import Bounds
from tests.system.failures.run import Run, running
from tests.system.failures.schedule import Fault, plan

pytestmark = [pytest.mark.system]

_COUNT = int(os.environ.get("FAILURES_COUNT", "300"))
_EVERY_S = 0.2
_SEED = int(os.environ.get("FAILURES_SEED", SystemRandom().randrange(1 << 32)))
_BOUNDS = Bounds(recover_s=6, reroute_s=15)


@pytest.mark.timeout(120 + _COUNT)
async def test_whatever_fails_whenever_nothing_acknowledged_is_lost_doubled_or_leaked() -> None:
    print(f"FAILURES_SEED={_SEED} FAILURES_COUNT={_COUNT}")
    durable = {"appendonly": "yes", "appendfsync": "always"}
    shape = Shape(brokers=3, relays=3)
    async with running(f"{_COUNT} faults", shape=shape, bounds=_BOUNDS, seed=_SEED, redis=durable) as run:
        faults = plan(_SEED, _COUNT, run.cluster.cast, every_s=_EVERY_S)
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(_at(began, fault, run), name=f"fault {fault.number}")
        await run.judged()


async def _at(began: float, fault: Fault, run: Run) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0, began + fault.at - loop.time()))
    await run.faults.carry_out(fault)
