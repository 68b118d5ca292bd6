"""What the Redis form does while its Redis is away, full, or comes back with less than it had."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.session import Session
from broker.errors import StoreUnavailable
from broker.stores.base import WriteRace
from broker.stores.faults import Fault
from broker.stores.redis import RedisStore
from broker.stores.redis_feed import FeedSettings
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.broker.samples import make_session, session_id, with_ports
from tests.broker.stores.forms import redis_store
from tests.redis_server import RedisServer, redis_server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def settings(server: RedisServer) -> RedisSettings:
    return RedisSettings(url=server.url, timeout_s=0.5)


def other(number: int, *, message: str = "") -> Session:
    return replace(make_session(), id=session_id(number), slot=None, message=message)


async def again(ask: Callable[[], Awaitable[object]]) -> object:
    """The answer, once the store is there again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                await asyncio.sleep(0.01)


async def refusals(store: RedisStore, session: Session) -> list[str]:
    """What every kind of call says while the store is away; each has to say so in time."""

    async def refused(call: Awaitable[object]) -> str:
        with pytest.raises(StoreUnavailable) as caught:
            async with asyncio.timeout(2):
                await call
        return caught.value.reason

    calls: list[Awaitable[object]] = [store.read(session.id), store.write(session), store.check()]
    calls += [store.sessions(), store.claims(), store.ledger(), store.last_event_id(), store.read("x", fresh=False)]
    return [await refused(call) for call in calls]


async def goes_away(store: RedisStore) -> None:
    """Wait until the broker has noticed."""
    async with asyncio.timeout(5):
        while True:
            try:
                await store.sessions()
                await asyncio.sleep(0.01)
            except StoreUnavailable:
                return


async def test_while_redis_is_dead_every_call_says_so_and_time_goes_on(
    server: RedisServer, settings: RedisSettings
) -> None:
    async with redis_store(settings) as store:
        session = await store.write(make_session())
        server.kill()
        await goes_away(store)
        began = await store.now()
        reasons = await refusals(store, session)
        assert all("Redis" in reason for reason in reasons)
        assert 0 <= await store.now() - began < 5


async def test_while_redis_hangs_every_call_says_so_in_time_and_nothing_is_lost(
    server: RedisServer, settings: RedisSettings
) -> None:
    async with redis_store(settings) as store:
        session = await store.write(make_session())
        server.pause()
        await goes_away(store)
        await refusals(store, session)
        server.resume()
        assert await again(store.sessions) == {session.id: session}
        later = await store.write(replace(session, message="later"))
        assert await store.read(session.id) == later


async def test_what_was_written_while_the_answer_was_lost_is_found_and_told_once(
    server: RedisServer, settings: RedisSettings
) -> None:
    async with redis_store(settings) as store:
        heard: list[str] = []
        store.listen(lambda before, after: heard.append(after.message))
        await store.write(other(1, message="before"))
        server.pause()
        with pytest.raises(StoreUnavailable):
            await store.write(other(2, message="cut off"))
        server.resume()
        stored = await again(store.sessions)
        assert isinstance(stored, dict)
        assert heard == ["before", "cut off"] if session_id(2) in stored else ["before"]


async def test_a_redis_that_kept_all_is_as_before(server: RedisServer) -> None:
    server.start(appendonly="yes", appendfsync="always")
    async with redis_store(RedisSettings(url=server.url)) as one, redis_store(RedisSettings(url=server.url)) as two:
        session = await one.write(with_ports(make_session()))
        await again(two.sessions)
        start = await two.last_event_id()
        server.kill()
        await goes_away(two)
        server.start()
        assert await again(two.sessions) == {session.id: session}
        later = await again(lambda: one.write(replace(session, message="later")))
        async with asyncio.timeout(10), aclosing(two.events(start)) as events:
            batch = await anext(events) or await anext(events)
        assert [event.draft.data["message"] for event in batch] == ["later"]
        assert await two.read(session.id) == later


async def test_what_redis_forgot_is_forgotten_by_brokers_and_told(server: RedisServer) -> None:
    """As with `appendfsync everysec`: what was written last is lost, and what was before is there as it was then."""
    faults: list[Fault] = []
    settings = RedisSettings(url=server.url)
    async with redis_store(settings, faulty=lambda fault, count: faults.extend([fault] * count)) as store:
        kept = await store.write(replace(with_ports(make_session()), message="kept"))
        start = await store.last_event_id()
        server.ask("SAVE")
        lost = await store.write(other(8))
        newer = await store.write(replace(kept, message="lost", ports=None))
        taken = await store.write(replace(with_ports(other(9)), slot=None))
        server.kill()
        await goes_away(store)
        server.start()
        assert await again(store.sessions) == {kept.id: kept}
        assert faults == [Fault.LOST] * 2 and taken.id != lost.id
        assert (await store.ledger()).owner("port/relay-a/31000") == kept.id
        later = await store.write(replace(kept, message="goes on"))
        assert later.revision == newer.revision
        async with asyncio.timeout(10), aclosing(store.events(start)) as events:
            batch = await anext(events)
        assert [event.id for event in batch] == sorted({event.id for event in batch})


async def test_a_full_redis_refuses_writes_whole_and_goes_on_when_there_is_room(
    server: RedisServer, settings: RedisSettings
) -> None:
    link = RedisLink(settings)
    async with redis_store(settings, feed=FeedSettings(reread_s=0.2)) as store:
        session = await store.write(with_ports(make_session()))
        used = server.ask("CONFIG", "SET", "maxmemory", "1mb")
        assert used == b"+OK\r\n"
        keys = await link.call("DBSIZE")
        for attempt in (replace(session, ports=None), other(8)):
            with pytest.raises(StoreUnavailable) as refused:
                await store.write(attempt, linger={"port/relay-a/31000": time.time() + 60})
            assert "OOM" in refused.value.reason
        with pytest.raises(StoreUnavailable, match="not available"):
            await store.check()
        assert await link.call("DBSIZE") == keys
        assert await store.read(session.id) == session
        assert await store.sessions() == {session.id: session}
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await store.check()
        await store.write(replace(session, ports=None))
    await link.close()


async def test_a_clock_that_is_wrong_here_is_not_believed(
    settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + 600)
    async with redis_store(settings) as store:
        assert abs(await store.now() - true_time()) < 1
        session = await store.write(with_ports(make_session()))
        linger = {"port/relay-a/31000": await store.now() + 0.2}
        await store.write(replace(session, ports=None), linger=linger)
        assert not (await store.ledger()).is_free("port/relay-a/31000")
        async with asyncio.timeout(5):
            while True:
                try:
                    # Redis' own clock has the last word, and may be a moment behind what is known of it.
                    await store.write(replace(with_ports(other(8)), slot=None))
                    break
                except WriteRace:
                    await asyncio.sleep(0.01)
        assert await store.now() > linger["port/relay-a/31000"] - 0.1
        assert (await store.ledger()).owner("port/relay-a/31000") == session_id(8)


async def test_a_redis_that_is_emptied_at_work_is_noticed(server: RedisServer, settings: RedisSettings) -> None:
    async with redis_store(settings) as store:
        session = await store.write(make_session())
        server.ask("FLUSHALL")
        await goes_away(store)
        with pytest.raises(StoreUnavailable) as refused:
            await store.read(session.id)
        assert "lost" in refused.value.reason
        assert store.remembered() == {session.id: session}
