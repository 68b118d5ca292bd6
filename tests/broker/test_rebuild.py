"""Data lost from a real Redis, and made anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from broker.core.session import EndReason, Phase, RelayPorts, Session, State, ended
from broker.errors import StoreUnavailable
from broker.rebuild import Rebuild
from broker.route_record import recorded
from broker.stores.epoch import EpochState
from broker.stores.redis import RedisStore
from broker.stores.redis_lease import RedisLease
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from signaling.table_redis import RedisRouteTable
from tests.broker.samples import ENDPOINT, SLOT, make_session, session_id
from tests.broker.stores.forms import redis_store

LOOK_S = 0.02


@dataclass
class Rig:
    """One broker's way to the store and the table, and a connection to do harm with."""

    store: RedisStore
    table: RedisRouteTable
    rebuild: Rebuild
    link: RedisLink

    async def lose_everything(self) -> None:
        keys = await self.link.call("KEYS", self.link.key("*"))
        assert isinstance(keys, list)
        await self.link.call("DEL", *(key for key in keys if isinstance(key, bytes)))

    async def make_ready(self) -> None:
        """Rebuild, and wait until this broker's own picture is good again."""
        await self.rebuild.make_ready()
        await until(self._is_whole)

    async def _is_whole(self) -> bool:
        with suppress(StoreUnavailable):
            await self.store.check()
            return True
        return False

    async def fence(self) -> int:
        fence = (await RedisLease(self.link).take("this", 60)).fence
        assert fence is not None
        return fence

    async def serve(self, session: Session) -> Session:
        """Write it, and publish its route with its record."""
        session = await self.store.write(session)
        assert session.route is not None
        await self.table.publish(recorded(session.route, session))
        return session


@asynccontextmanager
async def rigged(settings: RedisSettings, *, collect_s: float = 0.2) -> AsyncIterator[Rig]:
    link = RedisLink(settings)
    table = RedisRouteTable(link, look_s=LOOK_S)
    async with redis_store(settings, epoch=None) as store:
        try:
            yield Rig(store, table, Rebuild(store, store, table, collect_s=collect_s, look_s=LOOK_S), link)
        finally:
            await table.close()
            await link.close()


@asynccontextmanager
async def relaying(settings: RedisSettings) -> AsyncIterator[set[str]]:
    """A relay's part: it watches its set, and holds on to it; whose routes it has."""
    link = RedisLink(settings)
    table, served = RedisRouteTable(link, look_s=LOOK_S), set[str]()

    async def watch() -> None:
        async for routes in table.watch("relay-a"):
            served.clear()
            served.update(routes)

    watching = asyncio.create_task(watch())
    try:
        yield served
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        await table.close()
        await link.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(500):
        if await condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come true within 5 s")


def ready(number: int) -> Session:
    ports = RelayPorts("relay-a", "127.0.0.1", 31000 + 2 * number, 31001 + 2 * number)
    slot = replace(SLOT, number=number, id=f"slot-{number}")
    session = replace(make_session(), id=session_id(number), slot=slot, ports=ports, backend=ENDPOINT)
    return replace(session, state=State.READY, phase=None, ready_at=1010.0)


async def test_a_store_that_is_new_is_ready_soon_and_refuses_all_before(redis_settings: RedisSettings) -> None:
    async with rigged(redis_settings) as it:
        with pytest.raises(StoreUnavailable):
            await it.store.write(make_session())
        await it.rebuild.make_ready()
        await it.store.write(make_session())
        await it.rebuild.make_ready()
        epoch = await it.store.epoch()
        assert epoch is not None and epoch.state is EpochState.READY


async def test_what_a_relay_serves_comes_back_with_its_claims_to_brokers_that_knew_nothing(
    redis_settings: RedisSettings,
) -> None:
    async with relaying(redis_settings) as served:
        async with rigged(redis_settings) as it:
            await it.rebuild.make_ready()
            session = await it.serve(ready(1))
            await until(lambda: _is(served == {session.id}))
            await it.lose_everything()
        async with rigged(redis_settings) as it:
            with pytest.raises(StoreUnavailable):
                await it.store.read(session.id)
            await it.make_ready()
            back = await it.store.read(session.id)
            assert back is not None
            assert (back.state, back.slot, back.ports) == (State.READY, session.slot, session.ports)
            assert {key for key, claim in (await it.store.claims()).items() if claim.owner == session.id} == {
                "slot/process/default/1",
                "port/relay-a/31002",
                "port/relay-a/31003",
            }
            assert served == {session.id}, "it was served all the while"


async def _is(true: bool) -> bool:
    return true


async def test_a_broker_that_lived_through_it_brings_what_no_relay_serves(redis_settings: RedisSettings) -> None:
    async with rigged(redis_settings) as it:
        await it.rebuild.make_ready()
        queued = replace(make_session(), id=session_id(1), slot=None, phase=Phase.QUEUED)
        over = ended(
            replace(make_session(at=await it.store.now()), slot=None), EndReason.IDLE, "", await it.store.now()
        )
        for session in (queued, over):
            await it.store.write(session)
        await it.lose_everything()
        await it.make_ready()
        assert {key: one.state for key, one in (await it.store.sessions()).items()} == {
            queued.id: State.PENDING,
            over.id: State.ENDED,
        }


async def test_other_brokers_contribute_what_the_one_that_rebuilds_does_not_know(redis_settings: RedisSettings) -> None:
    async with rigged(redis_settings) as old:
        await old.rebuild.make_ready()
        await old.store.write(replace(make_session(), slot=None, phase=Phase.QUEUED))
        await old.lose_everything()
        contributing = asyncio.create_task(old.rebuild.contribute())
        async with rigged(redis_settings, collect_s=2.0) as new:
            await new.make_ready()
            assert set(await new.store.sessions()) == {make_session().id}
        contributing.cancel()
        await asyncio.wait((contributing,))


async def test_what_a_relay_brings_late_is_adopted_where_nobody_has_its_place(redis_settings: RedisSettings) -> None:
    async with rigged(redis_settings) as it:
        await it.rebuild.make_ready()
        fence = await it.fence()
        leading = asyncio.create_task(it.rebuild.lead(fence))
        displaced, late, over = ready(1), ready(2), ready(3)
        rival = replace(ready(1), id=session_id(9))
        await it.store.write(rival)
        for session in (displaced, late):
            await bring(it, session)
        gone = ended(replace(over, slot=None, ports=None), EndReason.DELETED, "", await it.store.now())
        await it.store.write(gone)
        await bring(it, over)
        await until(lambda: _there(it.store, late.id))
        await until(lambda: _restored_are(it.table, {late.id}))
        assert await it.store.read(displaced.id) is None
        await it.lose_everything()
        async with asyncio.timeout(5):
            await leading


async def test_a_route_whose_record_nobody_can_read_ends_instead_of_being_served_for_ever(
    redis_settings: RedisSettings,
) -> None:
    async with rigged(redis_settings) as it:
        await it.rebuild.make_ready()
        leading = asyncio.create_task(it.rebuild.lead(await it.fence()))
        unreadable, late = ready(1), ready(2)
        await bring(it, unreadable, record="from another world")
        await bring(it, late)
        await until(lambda: _there(it.store, late.id))
        await until(lambda: _restored_are(it.table, {late.id}))
        assert await it.store.read(unreadable.id) is None
        leading.cancel()
        await asyncio.wait((leading,))


async def bring(it: Rig, session: Session, *, record: str | None = None) -> None:
    """As a relay does with a route that the table has lost."""
    assert session.route is not None
    route = recorded(session.route, session)
    route = route if record is None else replace(route, record=record)
    await it.table.publish(route)
    wanted = await it.link.call("HGET", it.link.key("wanted:relay-a"), session.id)
    assert isinstance(wanted, bytes)
    await it.table.withdraw(session.id)
    await it.link.call("HSET", it.link.key("restored"), session.id, wanted)


async def _there(store: RedisStore, session_id: str) -> bool:
    return await store.read(session_id) is not None


async def _restored_are(table: RedisRouteTable, session_ids: set[str]) -> bool:
    return set(await table.restored()) == session_ids
