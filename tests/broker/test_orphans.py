from __future__ import annotations

import asyncio

import pytest

from broker.core.slot import SlotRef
from broker.errors import BackendFailed, StoreUnavailable
from broker.orphans import release_orphans
from broker.providers.base import LaunchOrder
from broker.stores.memory import MemoryStore
from tests.broker.api.serving import SaidProvider
from tests.broker.samples import SLOT, make_profile, make_session

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
