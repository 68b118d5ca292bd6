"""Redis dies, stands still, fills up and loses its data: what its settings promise is kept, and nothing hangs."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from tests.system.failures.history import DataLoss, Part
from tests.system.failures.run import Run, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(150)]

_DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
_PAUSE_S = 30.0
_EVERYSEC_S = 2.0


async def test_nothing_is_lost_where_every_write_is_on_disk() -> None:
    async with running("kill -9 of Redis, appendfsync always", redis=_DURABLE) as run:
        for down_s in (0.2, 3):
            await run.faults.kill_redis(down_s=down_s)
            await run.flowing()
            await asyncio.sleep(1)
        outcome = await run.judged()
        assert outcome.unavailable > 0 and outcome.longest_gap_s < 1


async def test_the_last_two_seconds_are_lost_at_most_where_disks_are_written_each_second() -> None:
    """What a power cut leaves: the log as it was a moment before. kill -9 alone would leave all of it."""
    async with running("power cut of Redis, appendfsync everysec", redis=_DURABLE | {"appendfsync": "everysec"}) as run:
        log, before = run.cluster.redis.folder / "appendonlydir", run.cluster.folder / "before"
        await asyncio.to_thread(shutil.copytree, log, before)
        await asyncio.sleep(_EVERYSEC_S - 0.5)
        went = asyncio.get_running_loop().time()
        with run.cluster.recorder.out(Part.STORE, "redis"):
            run.cluster.redis.kill()
            await asyncio.to_thread(_put_back, before, log)
            await asyncio.to_thread(run.cluster.redis.start)
            lost = DataLoss(went, asyncio.get_running_loop().time(), _EVERYSEC_S)
        run.cluster.recorder.losses.append(lost)
        await run.judged()


async def test_live_sessions_are_made_anew_from_relays_and_brokers_where_all_data_is_lost() -> None:
    async with running("kill -9 of Redis, empty afterwards") as run:
        await _lose_everything(run)
        outcome = await run.judged()
        assert outcome.longest_gap_s < 1


async def test_live_sessions_are_made_anew_though_every_broker_died_with_the_data() -> None:
    async with running("Redis empty and every broker killed") as run:
        for name in run.cluster.brokers:
            run.cluster.recorder.began(Part.BROKER, name)
            await run.cluster.brokers[name].kill()
        await _lose_everything(run)
        for name, broker in run.cluster.brokers.items():
            await broker.start()
            await broker.up(run.cluster.http)
            run.cluster.recorder.ended(Part.BROKER, name)
        outcome = await run.judged()
        assert outcome.longest_gap_s < 1


async def test_a_pause_of_half_a_minute_ends_nothing() -> None:
    async with running("Redis stands still for 30 s") as run:
        await run.faults.pause_redis(for_s=_PAUSE_S)
        outcome = await run.judged()
        assert outcome.unavailable > 0 and outcome.longest_gap_s < 1


async def test_a_full_redis_refuses_what_is_new_and_keeps_what_is_there() -> None:
    async with running("Redis' memory is full") as run:
        await run.faults.fill_redis(for_s=3)
        outcome = await run.judged()
        assert outcome.unavailable > 0 and outcome.longest_gap_s < 1


async def _lose_everything(run: Run) -> None:
    redis, loop = run.cluster.redis, asyncio.get_running_loop()
    went = loop.time()
    with run.cluster.recorder.out(Part.STORE, "redis"):
        redis.kill()
        redis.forget()
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.start)
    run.cluster.recorder.losses.append(DataLoss(went, loop.time(), 0.5, queue_too=True))


def _put_back(before: object, log: object) -> None:
    shutil.rmtree(str(log))
    shutil.copytree(str(before), str(log))
