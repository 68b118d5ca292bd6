"""What every form of the route table promises, in one process and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Protocol, TypeVar

import pytest

from signaling.errors import Deposed
from signaling.redis_link import RedisLink
from signaling.routes import Endpoint, PortRange, RelayInfo, RelayLoad, Route, RouteReport, RouteState
from signaling.table import MemoryRouteTable, RouteTable
from signaling.table_redis import RedisRouteTable
from signaling.tokens import AdmissionKey

ROUTE = Route("s1", "r1", 31000, 31001, Endpoint("127.0.0.2", 47000, 47001), "secret")
ELSEWHERE = replace(ROUTE, session_id="s2", relay_id="r2")
REPORT = RouteReport("s1", "r1", 31000, 31001, ROUTE.backend, RouteState.ACTIVE)
RELAY = RelayInfo("r1", "127.0.0.1", PortRange(31000, 31999), 100, "0.1.0")

Item = TypeVar("Item")


async def soon(iterator: AsyncIterator[Item]) -> Item:
    async with asyncio.timeout(5):
        return await anext(iterator)


class Table(RouteTable, Protocol):
    """A route table, and what a test may ask of it besides."""

    async def lead(self, fence: int) -> None:
        """Have another holder of the lease."""

    async def is_quiet(self, iterator: AsyncIterator[Item]) -> bool:
        """Whether the iterator has nothing to say now; it is used up by asking."""


async def is_quiet(iterator: AsyncIterator[Item], looked: Coroutine[None, None, None]) -> bool:
    """Whether the iterator says nothing before `looked` is done."""
    waiting = asyncio.ensure_future(anext(iterator))
    await looked
    quiet = not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return quiet


class InProcess(MemoryRouteTable):
    def __init__(self) -> None:
        self._latest: int | None = None
        super().__init__(fence=lambda: self._latest)

    async def lead(self, fence: int) -> None:
        self._latest = fence

    async def is_quiet(self, iterator: AsyncIterator[Item]) -> bool:
        async def looked() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        return await is_quiet(iterator, looked())


class InRedis(RedisRouteTable):
    def __init__(self, link: RedisLink) -> None:
        super().__init__(link, look_s=0.1)
        self.link = link

    async def lead(self, fence: int) -> None:
        await self.link.call("SET", self.link.key("fence"), fence)

    async def is_quiet(self, iterator: AsyncIterator[Item]) -> bool:
        return await is_quiet(iterator, asyncio.sleep(0.15))


@pytest.fixture(params=["in process", "in Redis"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    if request.param == "in process":
        yield InProcess()
        return
    link = RedisLink(request.getfixturevalue("redis_settings"))
    await link.call("SET", link.key("epoch"), '{"id": "e1", "state": "ready"}')
    in_redis = InRedis(link)
    yield in_redis
    await in_redis.close()
    await link.close()


async def test_relay_sees_its_own_routes_at_once_and_after_each_change(table: Table) -> None:
    await table.publish(ROUTE)
    await table.publish(ELSEWHERE)
    watch = table.watch("r1")
    assert await soon(watch) == {"s1": ROUTE}
    await table.withdraw("s1")
    assert await soon(watch) == {}
    await table.withdraw("s1")
    assert await table.is_quiet(watch)


async def test_changes_between_two_looks_come_as_one_and_are_not_missed(table: Table) -> None:
    watch = table.watch("r1")
    assert await soon(watch) == {}
    await table.publish(ROUTE)
    moved = replace(ROUTE, media_port=31003)
    await table.publish(moved)
    assert await soon(watch) == {"s1": moved}
    assert await table.is_quiet(watch)


async def test_publishing_the_same_route_again_changes_nothing(table: Table) -> None:
    await table.publish(ROUTE)
    await table.report(REPORT)
    await table.publish(replace(ROUTE))
    assert await table.reports() == {"s1": REPORT}
    assert (await table.report_on("s1"), await table.report_on("s2")) == (REPORT, None)


async def test_report_goes_with_the_route_it_was_about(table: Table) -> None:
    await table.publish(ROUTE)
    await table.report(REPORT)
    changes = table.changes()
    await soon(changes)
    await table.publish(replace(ROUTE, media_port=31003))
    await soon(changes)
    assert await table.reports() == {}
    await table.report(REPORT)
    assert await table.reports() == {}, "a report of the replaced route"
    await table.withdraw("s1")
    await table.report(REPORT)
    assert await table.reports() == {}
    assert await table.routes() == {}


async def test_report_of_a_route_to_another_backend_is_no_report_of_this_one(table: Table) -> None:
    await table.publish(replace(ROUTE, backend=Endpoint("127.0.0.2", 47002, 47003)))
    await table.report(REPORT)
    assert await table.reports() == {}


async def test_a_route_moves_once_the_new_relay_serves_it(table: Table) -> None:
    moved = replace(ROUTE, relay_id="r2")
    await table.publish(ROUTE)
    await table.report(REPORT)
    await table.publish(moved)
    first, second = table.watch("r1"), table.watch("r2")
    assert (await soon(first), await soon(second)) == ({"s1": ROUTE}, {"s1": moved})
    assert (await table.route("s1"), await table.reports()) == (moved, {})
    await table.report(replace(REPORT, relay_id="r2", state=RouteState.FAILED))
    await table.report(REPORT)
    assert await table.is_quiet(first), "neither a failure nor a word on the old one moves it"
    first = table.watch("r1")
    await soon(first)
    await table.report(replace(REPORT, relay_id="r2"))
    assert await soon(first) == {}
    assert await table.is_quiet(second)


async def test_a_route_that_moves_twice_leaves_nothing_behind(table: Table) -> None:
    for relay_id in ("r1", "r2", "r3"):
        await table.publish(replace(ROUTE, relay_id=relay_id))
    sets = [await soon(table.watch(relay_id)) for relay_id in ("r1", "r2", "r3")]
    assert [set(wanted) for wanted in sets] == [{"s1"}, set(), {"s1"}], "the second relay never served it"
    back = replace(ROUTE, media_port=31003)
    await table.publish(back)
    assert [await soon(table.watch(relay_id)) for relay_id in ("r1", "r3")] == [{"s1": back}, {}]
    await table.publish(replace(ROUTE, relay_id="r2"))
    await table.withdraw("s1")
    assert [await soon(table.watch(relay_id)) for relay_id in ("r1", "r2", "r3")] == [{}, {}, {}]


async def test_a_new_record_reaches_the_relay_and_costs_no_report(table: Table) -> None:
    await table.publish(ROUTE)
    await table.report(REPORT)
    watch = table.watch("r1")
    await soon(watch)
    await table.publish(replace(ROUTE, record="newer"))
    assert (await soon(watch))["s1"].record == "newer"
    assert await table.reports() == {"s1": REPORT}


async def test_who_was_deposed_changes_no_route(table: Table) -> None:
    await table.lead(7)
    await table.publish(ROUTE, fence=7)
    await table.lead(8)
    with pytest.raises(Deposed):
        await table.withdraw("s1", fence=7)
    with pytest.raises(Deposed):
        await table.publish(replace(ROUTE, media_port=31003), fence=7)
    assert await table.routes() == {"s1": ROUTE}
    await table.withdraw("s1", fence=8)
    assert await table.routes() == {}


async def test_load_is_known_and_nobody_is_told_of_it_alone(table: Table) -> None:
    await table.announce(RELAY)
    changes = table.changes()
    await soon(changes)
    await table.announce(replace(RELAY, load=RelayLoad(3, 4000.0)))
    assert await table.is_quiet(changes)
    assert (await table.relays())["r1"].load == RelayLoad(3, 4000.0)


async def test_broker_is_told_of_reports_and_relays_but_not_of_repetitions(table: Table) -> None:
    await table.publish(ROUTE)
    changes = table.changes()
    await soon(changes)
    await table.announce(RELAY)
    await soon(changes)
    assert await table.relays() == {"r1": RELAY}
    await table.report(REPORT)
    await soon(changes)
    await table.report(replace(REPORT))
    await table.announce(replace(RELAY))
    assert await table.is_quiet(changes)
    changes = table.changes()
    await soon(changes)
    await table.retire("r1")
    await soon(changes)
    await table.retire("r1")
    assert await table.relays() == {}


async def test_broker_is_told_whose_report_changed(table: Table) -> None:
    others = replace(ROUTE, session_id="s2", signaling_port=31010, media_port=31011)
    for route in (ROUTE, others):
        await table.publish(route)
    assert (await table.route("s1"), await table.route("s3")) == (ROUTE, None)
    await table.report(REPORT)
    changes = table.changes()
    assert await soon(changes) == {"s1"}
    await table.report(replace(REPORT, session_id="s2", signaling_port=31010, media_port=31011))
    await table.withdraw("s1")
    assert await soon(changes) == {"s1", "s2"}
    await table.announce(RELAY)
    assert await soon(changes) == frozenset()


async def test_two_watchers_each_hear_everything(table: Table) -> None:
    first, second = table.watch("r1"), table.watch("r1")
    assert await soon(first) == await soon(second) == {}
    await table.publish(ROUTE)
    assert await soon(first) == await soon(second) == {"s1": ROUTE}


async def test_keys_are_seen_at_once_and_after_each_change_as_one_set(table: Table) -> None:
    first, second = AdmissionKey("k1", "A" * 43), AdmissionKey("k2", "B" * 43)
    watch = table.watch_keys()
    assert await soon(watch) == ()
    await table.publish_keys([first])
    await table.publish_keys([first, second])
    assert await soon(watch) == (first, second)
    await table.publish_keys((first, second))
    assert await table.is_quiet(watch)
