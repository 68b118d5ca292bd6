from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial

import pytest

from broker.core.catalog import Catalog
from broker.core.catalog_edits import CatalogEdits, created, deleted
from broker.errors import Conflict, StoreUnavailable
from broker.live_catalog import LiveCatalog
from broker.stores.base import WriteRace
from broker.stores.catalog import MemoryCatalogStore
from tests.broker.samples import make_catalog, make_profile
from tests.broker.waiting import eventually

FILE = make_catalog(make_profile())


def making(application_id: str) -> Callable[[Catalog, CatalogEdits], CatalogEdits]:
    return partial(created, application_id=application_id, name="", description="", tags=())


async def test_without_edits_it_is_the_files() -> None:
    assert LiveCatalog(FILE, MemoryCatalogStore())() is FILE


async def test_an_edit_is_seen_as_soon_as_it_is_made() -> None:
    live = LiveCatalog(FILE, MemoryCatalogStore())
    assert set((await live.edit(making("new"))).applications) == {"app", "new"}
    assert set(live().applications) == {"app", "new"}
    assert live().profiles == FILE.profiles


async def test_what_another_broker_edits_is_taken_over() -> None:
    store = MemoryCatalogStore()
    here, there = LiveCatalog(FILE, store), LiveCatalog(FILE, store)
    following = asyncio.create_task(there.run())
    await here.edit(making("new"))
    await eventually(lambda: "new" in there().applications)
    await here.edit(partial(deleted, application_id="app"))
    await eventually(lambda: set(there().applications) == {"new"})
    following.cancel()
    await asyncio.wait((following,))


async def test_edits_at_the_same_time_all_count() -> None:
    store = MemoryCatalogStore()
    brokers = [LiveCatalog(FILE, store) for _ in range(10)]
    await asyncio.gather(*(live.edit(making(f"a{number}")) for number, live in enumerate(brokers)))
    assert len((await store.read()).applications) == 10


async def test_a_refused_edit_changes_nothing() -> None:
    store = MemoryCatalogStore()
    live = LiveCatalog(FILE, store)
    with pytest.raises(Conflict):
        await live.edit(making("app"))
    assert live() is FILE
    assert (await store.read()).revision == 0


class ContestedStore(MemoryCatalogStore):
    async def write(self, edits: CatalogEdits) -> CatalogEdits:
        raise WriteRace


async def test_a_race_that_is_never_won_is_told_as_the_store_being_away() -> None:
    with pytest.raises(StoreUnavailable):
        await LiveCatalog(FILE, ContestedStore()).edit(making("new"))


class LateStore(MemoryCatalogStore):
    """Away at first."""

    async def changes(self) -> AsyncGenerator[None, None]:
        if not self.asked:
            self.asked = True
            raise StoreUnavailable
        async for _ in super().changes():
            yield

    asked = False


async def test_an_outage_of_the_store_is_outlived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.live_catalog._RETRY_S", 0.01)
    store = LateStore()
    live, other = LiveCatalog(FILE, store), LiveCatalog(FILE, store)
    following = asyncio.create_task(live.run())
    await other.edit(making("new"))
    await eventually(lambda: "new" in live().applications)
    following.cancel()
    await asyncio.wait((following,))
