"""What the route table in Redis promises beyond one process: outages, lost data, foreign values, full memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace

import pytest

from signaling.errors import NameTaken, TableUnavailable
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from signaling.routes import Endpoint, PortRange, RelayInfo, Route, RouteReport, RouteState
from signaling.table_redis import RedisRouteTable
from signaling.tokens import AdmissionKey
from tests.redis_server import RedisServer, redis_server
from tests.signaling.test_table import REPORT, ROUTE, soon

OTHER = replace(ROUTE, session_id="s2", signaling_port=31010, media_port=31011, record="of s2")
RELAY = RelayInfo("r1", "127.0.0.1", PortRange(31000, 31999), 100, "0.1.0")
KEY = AdmissionKey("k1", "A" * 43)
READY = '{"id": "e1", "state": "ready"}'


@asynccontextmanager
async def opened(settings: RedisSettings) -> AsyncIterator[tuple[RedisRouteTable, RedisLink]]:
    """One process's way to the table."""
    link = RedisLink(settings)
    table = RedisRouteTable(link, look_s=0.1)
    try:
        yield table, link
    finally:
        await table.close()
        await link.close()


@pytest.fixture
async def broker(redis_settings: RedisSettings) -> AsyncIterator[RedisRouteTable]:
    async with opened(redis_settings) as (table, link):
        await link.call("SET", link.key("epoch"), READY)
        yield table


@pytest.fixture
async def relay(redis_settings: RedisSettings) -> AsyncIterator[RedisRouteTable]:
    async with opened(redis_settings) as (table, _):
        yield table


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_settings)
    yield link
    await link.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(500):
        if await is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never was so")


async def set_of(sets: AsyncIterator[object], wanted: object) -> None:
    """Wait until the relay is told this set."""
    async with asyncio.timeout(5):
        async for one in sets:
            if one == wanted:
                return


async def lose_everything(redis: RedisLink) -> None:
    """As a Redis does that comes back empty; only this test's keys, for others use the server too."""
    keys = await redis.call("KEYS", redis.key("*"))
    assert isinstance(keys, list) and keys
    await redis.call("DEL", *keys)


async def test_what_one_process_writes_another_sees(broker: RedisRouteTable, relay: RedisRouteTable) -> None:
    async with aclosing(relay.watch("r1")) as sets, aclosing(broker.changes()) as changes:
        assert (await soon(sets), await soon(changes)) == ({}, frozenset())
        await broker.publish(replace(ROUTE, record="for brokers"))
        wanted = await soon(sets)
        assert wanted == {"s1": ROUTE} and wanted["s1"].record == "for brokers"
        await relay.report(REPORT)
        assert await soon(changes) == {"s1"}
        assert (await broker.report_on("s1"), await broker.reports()) == (REPORT, {"s1": REPORT})
        await relay.announce(RELAY)
        assert await soon(changes) == frozenset()
        assert await broker.relays() == {"r1": RELAY}
        assert (await relay.route("s1"), await relay.routes()) == (ROUTE, {"s1": ROUTE}), "asked of Redis"
        await broker.withdraw("s1")
        assert await soon(sets) == {}
        assert await soon(changes) == {"s1"}
        assert (await broker.route("s1"), await relay.report_on("s1")) == (None, None)


async def test_a_relay_that_says_no_more_is_not_announced_and_brokers_are_told(
    broker: RedisRouteTable, relay: RedisRouteTable
) -> None:
    await relay.announce(RELAY, ttl_s=0.3)
    async with aclosing(broker.changes()) as changes:
        await soon(changes)
        assert await broker.relays() == {"r1": RELAY}
        assert await soon(changes) == frozenset()
        assert await broker.relays() == {}
        await relay.announce(RELAY, ttl_s=60)
        assert await soon(changes) == frozenset()
        assert await broker.relays() == {"r1": RELAY}


async def test_two_relays_elsewhere_cannot_have_one_name(broker: RedisRouteTable, relay: RedisRouteTable) -> None:
    await relay.announce(RELAY, ttl_s=0.3)
    impostor = replace(RELAY, host="192.0.2.1")
    with pytest.raises(NameTaken, match=r"announced as r1, at 127.0.0.1, ports 31000-31999: give each a name"):
        await broker.announce(impostor)
    await broker.retire("r1")
    assert await broker.relays() == {"r1": RELAY}, "it is another's to end"
    await relay.announce(replace(RELAY, draining=True), ttl_s=0.3)

    async def is_free() -> bool:
        with suppress(NameTaken):
            await broker.announce(impostor)
        return await broker.relays() == {"r1": impostor}

    await eventually(is_free)
    with pytest.raises(NameTaken):
        await relay.announce(RELAY)


async def test_pushes_that_are_lost_are_made_good_by_a_look(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    async with aclosing(relay.watch("r1")) as sets, aclosing(broker.changes()) as changes:
        await soon(sets), await soon(changes)
        await broker.publish(ROUTE)
        await relay.report(REPORT)
        for stream in ("feed:r1", "said"):
            await redis.call("XTRIM", redis.key(stream), "MAXLEN", 0)
        assert await soon(sets) == {"s1": ROUTE}
        assert await soon(changes) == {"s1"}
        await broker.publish(OTHER)
        assert await soon(sets) == {"s1": ROUTE, "s2": OTHER}


async def test_lost_data_come_back_from_relays_and_nothing_is_cut_meanwhile(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    await broker.publish(ROUTE)
    await broker.publish(OTHER)
    seen: list[object] = []

    async def serve() -> None:
        async with aclosing(relay.watch("r1")) as sets:
            async for one in sets:
                seen.append(one)

    serving = asyncio.create_task(serve())
    await eventually(lambda: _is(seen == [{"s1": ROUTE, "s2": OTHER}]))
    await lose_everything(redis)
    await eventually(lambda: _is_in(broker, {"s1", "s2"}))
    assert {key: route.record for key, route in (await broker.restored()).items()} == {"s1": "", "s2": "of s2"}
    await redis.call("SET", redis.key("epoch"), '{"id": "e2", "state": "rebuilding"}')
    await broker.publish(ROUTE)
    await redis.call("SET", redis.key("epoch"), '{"id": "e2", "state": "ready"}')
    await eventually(lambda: _is_in(broker, {"s2"}))
    third = replace(OTHER, session_id="s3", signaling_port=31020, media_port=31021)
    await broker.publish(third)
    await eventually(lambda: _is(seen[-1] == {"s1": ROUTE, "s2": OTHER, "s3": third}))
    assert all(isinstance(one, dict) and one.keys() >= {"s1", "s2"} for one in seen), "never fewer"

    async def is_dismissed() -> bool:
        await broker.withdraw("s2")  # again, should the relay have heard of the new data only by now
        return seen[-1] == {"s1": ROUTE, "s3": third}

    await eventually(is_dismissed)
    assert await broker.restored() == {}
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _is(so: bool) -> bool:
    return so


async def _is_in(table: RedisRouteTable, session_ids: set[str]) -> bool:
    return (await table.restored()).keys() == session_ids


async def test_a_latecomer_is_heard_after_the_rest_was_restored(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    """A relay that was cut off meanwhile."""
    await broker.publish(ROUTE)
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {"s1": ROUTE}
    await lose_everything(redis)
    await redis.call("SET", redis.key("epoch"), '{"id": "e2", "state": "ready"}')
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {"s1": ROUTE}
        assert await broker.restored() == {"s1": ROUTE}
        await broker.withdraw("s1")
        assert await soon(sets) == {}


async def test_what_moved_meanwhile_is_not_handed_in(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    await broker.publish(ROUTE)
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {"s1": ROUTE}
    await lose_everything(redis)
    await redis.call("SET", redis.key("epoch"), '{"id": "e2", "state": "ready"}')
    await broker.publish(replace(ROUTE, relay_id="r2"))
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {}
    assert await broker.restored() == {}


async def test_a_server_that_lost_its_last_writes_is_given_them_back(own_redis: RedisServer) -> None:
    """As with `appendfsync everysec`: the epoch is there, the last routes are not."""
    own_redis.start(appendonly="no", save="")
    async with opened(RedisSettings(url=own_redis.url)) as (broker, link), opened(link.settings) as (relay, _):
        await link.call("SET", link.key("epoch"), READY)
        await broker.publish(ROUTE)
        async with aclosing(relay.watch("r1")) as sets:
            assert await soon(sets) == {"s1": ROUTE}
            await link.call("SAVE")
            await broker.publish(OTHER)
            assert await soon(sets) == {"s1": ROUTE, "s2": OTHER}
            own_redis.kill()
            with pytest.raises(TableUnavailable):
                await soon(sets)
            own_redis.start()
        await asyncio.sleep(0.25)  # connections are not tried more often
        async with aclosing(relay.watch("r1")) as sets:
            assert await soon(sets) == {"s1": ROUTE, "s2": OTHER}
        await eventually(lambda: _is_in(broker, {"s2"}))
        assert (await broker.restored())["s2"].record == "of s2"


async def test_while_redis_is_away_every_call_fails_soon_and_time_goes_on(own_redis: RedisServer) -> None:
    settings = RedisSettings(url=own_redis.url, timeout_s=0.3)
    async with opened(settings) as (table, _), aclosing(table.changes()) as changes:
        await table.publish(ROUTE)
        await table.announce(RELAY, ttl_s=1)
        await soon(changes)
        began = table.now()
        own_redis.pause()
        for call in (
            lambda: table.publish(OTHER),
            lambda: table.withdraw("s1"),
            lambda: table.announce(RELAY),
            lambda: table.report(REPORT),
            lambda: table.restored(),
            lambda: table.publish_keys([KEY]),
        ):
            asked_at = time.monotonic()
            with pytest.raises(TableUnavailable):
                await call()
            assert time.monotonic() - asked_at < 2
        with pytest.raises(TableUnavailable):
            while True:
                await soon(changes)
        assert table.now() > began
        own_redis.resume()
        await eventually(lambda: _answers(table))
        assert await table.relays() == {"r1": RELAY}, "it could not say so again"
        await table.publish(OTHER)
        assert (await table.routes()).keys() == {"s1", "s2"}


async def _answers(table: RedisRouteTable) -> bool:
    try:
        await table.relays()
    except TableUnavailable:
        return False
    return True


async def test_values_that_make_no_sense_are_set_aside_and_the_rest_goes_on(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.publish(ROUTE)
    await broker.publish(OTHER)
    for name in ("routes", "wanted:r1", "restored"):
        await redis.call("HSET", redis.key(name), "s1", "{not json", "s9", '{"session_id": "s8"}')
    await redis.call("HSET", redis.key("reports"), "s1", "[]")
    await redis.call("HSET", redis.key("relays"), "r1", "x", "r2", "1\n{}\n{}", "r3", "1")
    await redis.call("XADD", redis.key("keys"), "*", "k", "nonsense")
    await redis.call("XADD", redis.key("said"), "*", "n", 3, "s", "s1", "r", "nonsense")
    assert (await broker.routes(), await broker.reports(), await broker.relays()) == ({"s2": OTHER}, {}, {})
    assert await broker.restored() == {}
    async with aclosing(relay.watch("r1")) as sets, aclosing(relay.watch_keys()) as keys:
        assert (await soon(sets), await soon(keys)) == ({"s2": OTHER}, ())
        await broker.withdraw("s1")
        await redis.call("XADD", redis.key("feed:r1"), "*", "n", 4, "s", "s2", "r", "nonsense")
        await broker.publish(ROUTE)
        await set_of(sets, {"s1": ROUTE, "s2": OTHER})
    assert broker.set_aside and relay.set_aside
    told = [record for record in caplog.records if "route 's1'" in record.getMessage()]
    assert len(told) == 2, "once by each process"
    assert "not json" not in caplog.text, "values may hold secrets"


async def test_a_served_route_that_became_unreadable_is_served_on(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    await broker.publish(ROUTE)
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {"s1": ROUTE}
        await redis.call("HSET", redis.key("wanted:r1"), "s1", "nonsense")
        await redis.call("DEL", redis.key("feed:r1"), redis.key("feed-count:r1"))
        await broker.publish(OTHER)
        assert await soon(sets) == {"s1": ROUTE, "s2": OTHER}


async def test_an_unreadable_route_can_be_withdrawn_everywhere(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    await relay.announce(RELAY)
    await broker.publish(ROUTE)
    await redis.call("HSET", redis.key("routes"), "s1", "nonsense")
    await relay.report(REPORT)
    assert await relay.reports() == {}
    await broker.withdraw("s1")
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == {}
    assert await redis.call("EXISTS", redis.key("wanted:r1"), redis.key("routes")) == 0


async def test_a_full_memory_refuses_what_is_new_and_lets_go_what_is_not(own_redis: RedisServer) -> None:
    async with opened(RedisSettings(url=own_redis.url)) as (table, link):
        await table.publish(ROUTE)
        await table.report(REPORT)
        await table.announce(RELAY)
        await link.call("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "noeviction")
        with pytest.raises(TableUnavailable, match="OOM"):
            await table.publish(OTHER)
        assert await table.routes() == {"s1": ROUTE}, "nothing half-written"
        assert await link.call("EXISTS", link.key("wanted:r2")) == 0
        await table.announce(replace(RELAY, draining=True))
        assert (await table.relays())["r1"].draining
        failed = replace(REPORT, viewers=3)
        await table.report(failed)
        assert await table.reports() == {"s1": failed}
        await table.withdraw("s1")
        assert await table.routes() == {}


async def test_time_is_that_of_redis(redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(redis_settings) as (table, _):
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 600)
        await table.announce(RELAY)
        assert abs(table.now() - real()) < 5
        assert await table.relays() == {"r1": RELAY}


async def test_keys_outlive_lost_data(broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink) -> None:
    await broker.publish_keys([KEY])
    async with aclosing(relay.watch_keys()) as keys:
        assert await soon(keys) == (KEY,)
    await lose_everything(redis)
    async with aclosing(relay.watch_keys()) as keys:
        assert await soon(keys) == (KEY,)
        other = AdmissionKey("k2", "B" * 43)
        await broker.publish_keys([other])
        assert await soon(keys) == (other,)


async def test_a_broker_that_looks_after_relays_brings_lost_keys_back(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    await broker.publish_keys([KEY])
    await lose_everything(redis)
    async with aclosing(broker.changes()) as changes, aclosing(relay.watch_keys()) as keys:
        await soon(changes)
        assert await soon(keys) == (KEY,)


async def test_nothing_is_left_of_a_session_nor_of_a_relay(broker: RedisRouteTable, redis: RedisLink) -> None:
    await broker.announce(RELAY)
    for relay_id in ("r1", "r2", "r1", "r3"):
        await broker.publish(replace(ROUTE, relay_id=relay_id))
    await broker.report(replace(REPORT, relay_id="r3"))
    await broker.withdraw("s1")
    await broker.retire("r1")
    stays = {"epoch", "said", "said-count"}
    ends = {f"{name}:{relay_id}" for name in ("feed", "feed-count") for relay_id in ("r1", "r2", "r3")}
    found = await redis.call("KEYS", redis.key("*"))
    assert isinstance(found, list)
    names = {bytes(key).decode().removeprefix(redis.key("")) for key in found if isinstance(key, bytes)}
    assert names == stays | ends
    for name in ends:
        left_ms = await redis.call("PTTL", redis.key(name))
        assert isinstance(left_ms, int) and 0 < left_ms <= 86_400_000


async def test_relays_that_ran_out_long_ago_are_forgotten(broker: RedisRouteTable, redis: RedisLink) -> None:
    await redis.call("HSET", redis.key("relays"), "old", "1000\n{}\n{}")
    await broker.announce(RELAY)
    assert await redis.call("HKEYS", redis.key("relays")) == [b"r1"]


async def test_many_routes_are_handed_in_in_parts(
    broker: RedisRouteTable, relay: RedisRouteTable, redis: RedisLink
) -> None:
    many = {f"s{number}": Route(f"s{number}", "r1", 31000, 31001, Endpoint("::1", 1, 2), "x") for number in range(100)}
    for route in many.values():
        await broker.publish(route)
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == many
    await lose_everything(redis)
    async with aclosing(relay.watch("r1")) as sets:
        assert await soon(sets) == many
    assert await broker.restored() == many


async def test_a_failed_report_moves_no_route(broker: RedisRouteTable) -> None:
    failed = RouteReport("s1", "r1", 31000, 31001, ROUTE.backend, RouteState.FAILED)
    await broker.publish(ROUTE)
    await broker.report(failed)
    await broker.report(failed)
    assert await broker.reports() == {"s1": failed}
