"""What every form of the lease must do. A new form joins by one more name in `lease`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from broker.core.pauses import KEPT_PAUSES, Pause
from broker.errors import StoreUnavailable
from broker.stores.lease import Lease, MemoryLease
from broker.stores.redis_lease import RedisLease
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.broker.stores.test_conformance import Clock
from tests.redis_server import redis_server

TTL_S = 0.1
LONG_S = 5.0
"""Where nothing is to run out, however busy the machine is."""


@dataclass
class Rig:
    """A lease, and how its time goes by."""

    lease: Lease
    wait: Callable[[float], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        clock = Clock()

        async def wait(seconds: float) -> None:
            clock.now += seconds

        yield Rig(MemoryLease(clock), wait)
        return
    link = RedisLink(request.getfixturevalue("redis_settings"))
    try:
        yield Rig(RedisLease(link), asyncio.sleep)
    finally:
        await link.close()


async def test_one_holds_the_lease_and_the_others_are_told_for_how_long(rig: Rig) -> None:
    ours = await rig.lease.take("a", LONG_S)
    theirs = await rig.lease.take("b", LONG_S)
    assert ours.fence is not None and theirs.fence is None
    assert 0 < theirs.left_s <= LONG_S + 0.001


async def test_a_renewed_lease_keeps_its_fence_and_its_holder(rig: Rig) -> None:
    first = await rig.lease.take("a", TTL_S)
    for _ in range(3):
        await rig.wait(TTL_S * 0.6)
        assert (await rig.lease.take("a", LONG_S, fence=first.fence)).fence == first.fence
        assert (await rig.lease.take("b", TTL_S)).fence is None


async def test_a_lease_that_ran_out_goes_to_another_with_a_higher_fence(rig: Rig) -> None:
    first = await rig.lease.take("a", TTL_S)
    await rig.wait(TTL_S * 1.5)
    second = await rig.lease.take("b", LONG_S)
    assert first.fence is not None and second.fence is not None and second.fence > first.fence
    assert (await rig.lease.take("a", TTL_S, fence=first.fence)).fence is None


async def test_who_comes_back_before_anybody_else_gets_its_fence_back(rig: Rig) -> None:
    first = await rig.lease.take("a", TTL_S)
    await rig.wait(TTL_S * 1.5)
    assert (await rig.lease.take("a", TTL_S, fence=first.fence)).fence == first.fence
    await rig.wait(TTL_S * 1.5)
    other = await rig.lease.take("b", TTL_S)
    await rig.wait(TTL_S * 1.5)
    again = await rig.lease.take("a", TTL_S, fence=first.fence)
    assert other.fence is not None and again.fence is not None and again.fence > other.fence


async def test_a_lease_given_up_is_free_at_once_and_only_its_holder_gives_it_up(rig: Rig) -> None:
    first = await rig.lease.take("a", LONG_S)
    assert first.fence is not None
    await rig.lease.give_up("b", first.fence)
    await rig.lease.give_up("a", first.fence - 1)
    assert (await rig.lease.take("b", LONG_S)).fence is None
    await rig.lease.give_up("a", first.fence)
    await rig.lease.give_up("a", first.fence)
    assert (await rig.lease.take("b", LONG_S)).fence is not None


async def test_who_looks_at_the_lease_takes_nothing(rig: Rig) -> None:
    free = await rig.lease.look()
    assert (free.fence, free.left_s, free.pauses) == (None, 0, ())
    first = await rig.lease.take("a", LONG_S)
    held = await rig.lease.look()
    assert first.fence is not None and held.fence is None and 0 < held.left_s <= LONG_S + 0.001
    await rig.lease.give_up("a", first.fence)
    await rig.wait(TTL_S * 3)
    await rig.lease.take("b", TTL_S)
    assert len((await rig.lease.look()).pauses) == 1


async def test_time_without_a_holder_is_a_pause_that_all_are_told_of(rig: Rig) -> None:
    first = await rig.lease.take("a", LONG_S)
    assert first.fence is not None
    await rig.lease.give_up("a", first.fence)
    second = await rig.lease.take("b", LONG_S)
    assert second.fence is not None and second.pauses == (), "so short a time is but the lease's way to another"
    await rig.lease.give_up("b", second.fence)
    await rig.wait(TTL_S * 3)
    third = await rig.lease.take("b", TTL_S, fence=second.fence)
    assert third.pauses == (Pause(second.at, third.at),)
    assert (await rig.lease.take("a", LONG_S, fence=first.fence)).pauses == third.pauses


async def test_of_many_pauses_the_latest_are_kept(rig: Rig) -> None:
    for _ in range(KEPT_PAUSES + 2):
        last = await rig.lease.take("a", 0.003)
        await rig.wait(0.01)
    last = await rig.lease.take("a", 0.003)
    assert len(last.pauses) == KEPT_PAUSES
    assert last.pauses[-1].until == last.at


async def test_a_number_is_never_given_twice_though_the_data_are_lost(redis_settings: RedisSettings) -> None:
    link = RedisLink(redis_settings)
    try:
        lease = RedisLease(link)
        before = await lease.take("a", TTL_S)
        for name in ("lease", "fence", "pulse"):
            await link.call("DEL", link.key(name))
        after = await lease.take("b", TTL_S)
        assert before.fence is not None and after.fence is not None and after.fence != before.fence
        await link.call("DEL", link.key("fence"))
        renewed = await lease.take("b", TTL_S, fence=after.fence)
        assert renewed.fence is not None and renewed.fence > after.fence, "the number of a holder is what writes need"
    finally:
        await link.close()


async def test_a_lease_that_cannot_be_had_is_the_store_being_away() -> None:
    with redis_server() as server:
        url = server.url
    link = RedisLink(RedisSettings(url=url))
    with pytest.raises(StoreUnavailable):
        await RedisLease(link).take("a", TTL_S)
    with pytest.raises(StoreUnavailable):
        await RedisLease(link).look()
    with pytest.raises(StoreUnavailable):
        await RedisLease(link).give_up("a", 1)
    await link.close()
