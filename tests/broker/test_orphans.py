from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.core.slot import SlotRef
from broker.errors import BackendFailed, StoreUnavailable
from broker.orphans import release_orphans, withdraw_orphans
from broker.providers.base import LaunchOrder
from broker.stores.memory import MemoryStore
from signaling.errors import Deposed, TableUnavailable
from signaling.routes import Route
from signaling.table import MemoryRouteTable
from tests.broker.api.serving import SaidProvider
from tests.broker.samples import SLOT, make_profile, make_session, session_id, with_ports

pytestmark = pytest.mark.looptime

ORPHAN = SlotRef("process", "default", 1, "default-1-gone")


class ShakyStore(MemoryStore):
    away = False

    async def check(self) -> None:
        if self.away:
            raise StoreUnavailable


class StubbornProvider(SaidProvider):
    tries = 0

    async def release(self, slot: SlotRef) -> None:
        self.tries += 1
        if self.tries == 1:
            raise BackendFailed("not now")
        await super().release(slot)


async def provider_with(*slots: SlotRef, provider: SaidProvider | None = None) -> SaidProvider:
    provider = provider or SaidProvider()
    for slot in slots:
        await provider.launch(slot, LaunchOrder(make_profile(), "app", "1.0.0", {}))
    return provider


async def listed(provider: SaidProvider) -> set[str]:
    async for backends in provider.observe():
        return set(backends)
    raise AssertionError("unreachable")


async def after(seconds: float, store: MemoryStore, provider: SaidProvider) -> set[str]:
    """What is left once orphans were looked for during that time."""
    task = asyncio.create_task(release_orphans(store, "process", provider))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait((task,))
    return await listed(provider)


async def test_a_backend_that_no_session_holds_at_two_looks_is_given_back() -> None:
    store, provider = MemoryStore(), await provider_with(SLOT, ORPHAN)
    await store.write(make_session())
    assert await after(6, store, provider) == {SLOT.id, ORPHAN.id}
    assert await after(11, store, provider) == {SLOT.id}


async def test_nothing_is_given_back_while_the_store_does_not_answer() -> None:
    store, provider = ShakyStore(), await provider_with(ORPHAN)
    store.away = True
    assert await after(60, store, provider) == {ORPHAN.id}


async def test_what_cannot_be_given_back_is_tried_again() -> None:
    provider = await provider_with(ORPHAN, provider=StubbornProvider())
    assert await after(16, MemoryStore(), provider) == set()


async def test_where_nothing_runs_nothing_is_asked() -> None:
    assert await after(60, MemoryStore(), SaidProvider()) == set()


LEFT_OVER = session_id(9)


class ShakyTable(MemoryRouteTable):
    away = False

    async def withdraw(self, session_id: str, *, fence: int | None = None) -> None:
        if self.away:
            raise TableUnavailable
        await super().withdraw(session_id, fence=fence)


async def routes_after(
    seconds: float, store: MemoryStore, table: MemoryRouteTable, *, fence: int | None = None
) -> set[str]:
    """Whose routes are wanted once orphans were looked for during that time."""
    task = asyncio.create_task(withdraw_orphans(store, table, fence=fence))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.result()
    return set(await table.routes())


async def table_with(store: MemoryStore, table: MemoryRouteTable) -> Route:
    """The route of a session that holds its ports, and beside it those of one that gave them back and of nobody."""
    session = with_ports(make_session())
    await store.write(session)
    await store.write(replace(make_session(), id=session_id(8), slot=None))
    assert session.route is not None
    for key in (session.id, session_id(8), LEFT_OVER):
        await table.publish(replace(session.route, session_id=key))
    return session.route


async def test_a_route_whose_session_holds_no_ports_at_two_looks_is_withdrawn() -> None:
    store, table = MemoryStore(), MemoryRouteTable()
    route = await table_with(store, table)
    assert await routes_after(6, store, table) == {route.session_id, session_id(8), LEFT_OVER}
    assert await routes_after(11, store, table) == {route.session_id}


async def test_no_route_is_withdrawn_while_store_or_table_do_not_answer() -> None:
    store, table = ShakyStore(), ShakyTable()
    await table_with(store, table)
    store.away = True
    assert LEFT_OVER in await routes_after(60, store, table)
    store.away, table.away = False, True
    assert LEFT_OVER in await routes_after(60, store, table)
    table.away = False
    assert LEFT_OVER not in await routes_after(11, store, table)


async def test_a_deposed_broker_withdraws_nothing() -> None:
    store, table = MemoryStore(), MemoryRouteTable(fence=lambda: 2)
    await table_with(store, table)
    with pytest.raises(Deposed):
        await routes_after(11, store, table, fence=1)
    assert LEFT_OVER in await table.routes()
