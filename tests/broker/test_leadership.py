from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from broker.errors import StoreUnavailable
from broker.leadership import Leadership
from broker.stores.lease import MemoryLease, Standing

pytestmark = pytest.mark.looptime

TTL_S = 1.5


class ShakyLease(MemoryLease):
    """One that is away now and then; `silent` keeps callers waiting instead of refusing them."""

    away = False
    silent = False

    async def take(self, holder: str, ttl_s: float, *, fence: int | None = None) -> Standing:
        await self._reached()
        return await super().take(holder, ttl_s, fence=fence)

    async def look(self) -> Standing:
        await self._reached()
        return await super().look()

    async def give_up(self, holder: str, fence: int) -> None:
        await self._reached()
        await super().give_up(holder, fence)

    async def _reached(self) -> None:
        if self.silent:
            await asyncio.sleep(1e6)
        if self.away:
            raise StoreUnavailable


@dataclass
class Candidate:
    leadership: Leadership
    task: asyncio.Task[None]
    fences: list[int] = field(default_factory=list)
    leads: bool = False


@asynccontextmanager
async def candidates(lease: MemoryLease, count: int) -> AsyncIterator[list[Candidate]]:
    made: list[Candidate] = []
    for number in range(count):
        leadership = Leadership(lease, ttl_s=TTL_S, holder=f"broker-{number}")
        made.append(Candidate(leadership, asyncio.create_task(leadership.run(leading(made, number)))))
        await asyncio.sleep(0.01)
    try:
        yield made
    finally:
        for one in made:
            one.task.cancel()
        await asyncio.wait([one.task for one in made])


def leading(made: list[Candidate], number: int) -> Callable[[int], Awaitable[None]]:
    async def lead(fence: int) -> None:
        one = made[number]
        one.fences.append(fence)
        one.leads = True
        try:
            await asyncio.Event().wait()
        finally:
            one.leads = False

    return lead


def make_lease() -> ShakyLease:
    loop = asyncio.get_running_loop()
    return ShakyLease(lambda: 1e6 + loop.time())


def who_leads(made: list[Candidate]) -> list[int]:
    assert [one.leadership.is_leading for one in made] == [one.leads for one in made]
    return [number for number, one in enumerate(made) if one.leads]


async def test_one_of_many_leads_and_stays() -> None:
    async with candidates(make_lease(), 3) as made:
        await asyncio.sleep(60)
        assert who_leads(made) == [0]
        assert [len(one.fences) for one in made] == [1, 0, 0]


async def test_who_stops_hands_over_at_once() -> None:
    async with candidates(make_lease(), 3) as made:
        made[0].task.cancel()
        await asyncio.wait([made[0].task])
        await asyncio.sleep(TTL_S / 3 + 0.05)
        assert len(who_leads(made)) == 1 and who_leads(made) != [0]
        latest = max(fence for one in made for fence in one.fences)
        assert latest > made[0].fences[0]


class DeafLease(MemoryLease):
    """One that is not told when its holder gives it up, as after kill -9."""

    async def give_up(self, holder: str, fence: int) -> None:
        raise StoreUnavailable


async def test_who_dies_is_followed_when_its_lease_has_run_out() -> None:
    loop = asyncio.get_running_loop()
    async with candidates(DeafLease(lambda: 1e6 + loop.time()), 2) as made:
        await asyncio.sleep(10)
        made[0].task.cancel()
        await asyncio.wait([made[0].task])
        await asyncio.sleep(TTL_S + 0.1)
        assert who_leads(made) == [1]


@pytest.mark.parametrize("silent", [False, True])
async def test_who_leads_goes_on_while_the_store_is_away_and_comes_back_first(silent: bool) -> None:
    lease = make_lease()
    async with candidates(lease, 3) as made:
        await asyncio.sleep(5)
        lease.silent, lease.away = silent, True
        await asyncio.sleep(30)
        assert who_leads(made) == [0]
        with pytest.raises(StoreUnavailable):
            made[0].leadership.check(1e6 + asyncio.get_running_loop().time())
        lease.silent, lease.away = False, False
        await asyncio.sleep(20)
        assert who_leads(made) == [0]
        assert len(made[0].fences) == 1, "nobody held it meanwhile, so it has never stopped"
        made[0].leadership.check(1e6 + asyncio.get_running_loop().time())
        for one in made:
            (pause,) = one.leadership.pauses
            assert 29 < pause.until - pause.since < 34


async def test_who_is_deposed_stops_and_may_lead_again() -> None:
    lease = make_lease()
    async with candidates(lease, 1) as made:
        await asyncio.sleep(5)
        lease.away = True
        await asyncio.sleep(5)
        await MemoryLease.take(lease, "another", TTL_S)
        lease.away = False
        await asyncio.sleep(0.3)
        assert who_leads(made) == []
        await asyncio.sleep(2 * TTL_S)
        assert who_leads(made) == [0]
        assert len(made[0].fences) == 2 and made[0].fences[1] > made[0].fences[0]


async def test_a_doubt_is_settled_at_once() -> None:
    lease = make_lease()
    async with candidates(lease, 1) as made:
        await lease.give_up("broker-0", made[0].fences[0])
        await MemoryLease.take(lease, "another", TTL_S)
        assert who_leads(made) == [0]
        made[0].leadership.doubt()
        await asyncio.sleep(0.01)
        assert who_leads(made) == []


async def test_what_fails_in_leading_ends_it_and_gives_the_lease_up() -> None:
    async def fail(fence: int) -> None:
        raise ValueError("trouble")

    lease = make_lease()
    with pytest.raises(ValueError, match="trouble"):
        await Leadership(lease, ttl_s=TTL_S).run(fail)
    assert (await lease.look()).left_s == 0


async def test_before_the_lease_was_seen_nothing_is_judged() -> None:
    leadership = Leadership(make_lease())
    assert leadership.pauses == ()
    with pytest.raises(StoreUnavailable):
        leadership.check(0.0)
