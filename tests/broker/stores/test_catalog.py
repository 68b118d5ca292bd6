"""What every form of the catalog store must do. A new form joins by one more name in `store`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from broker.core.catalog import ApplicationVersion
from broker.core.catalog_edits import ApplicationEdit, CatalogEdits, Origin
from broker.stores.base import WriteRace
from broker.stores.catalog import CatalogStore, MemoryCatalogStore
from broker.stores.redis_catalog import RedisCatalogStore
from signaling.redis_link import RedisLink

EDIT = ApplicationEdit(
    Origin.MADE, "Name", "Text", ("a", "b"), {"1.0.0": ApplicationVersion("1.0.0", "c", "1", "h", "2"), "2.0.0": None}
)
HIDDEN = ApplicationEdit(Origin.DELETED)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[CatalogStore]:
    if request.param == "memory":
        yield MemoryCatalogStore()
        return
    link = RedisLink(request.getfixturevalue("redis_settings"))
    yield RedisCatalogStore(link, look_every_s=0.05)
    await link.close()


async def test_nothing_is_edited_at_first(store: CatalogStore) -> None:
    assert await store.read() == CatalogEdits({}, 0)


async def test_edits_are_read_back_whole_with_their_revision_counted_up(store: CatalogStore) -> None:
    written = await store.write(CatalogEdits({"app": EDIT, "gone": HIDDEN}))
    assert written == CatalogEdits({"app": EDIT, "gone": HIDDEN}, 1)
    assert await store.read() == written
    assert (await store.write(written)).revision == 2


async def test_a_write_over_another_write_is_refused_and_changes_nothing(store: CatalogStore) -> None:
    first = await store.write(CatalogEdits({"app": EDIT}))
    with pytest.raises(WriteRace):
        await store.write(CatalogEdits({"late": EDIT}))
    assert await store.read() == first


async def test_of_many_that_write_at_once_one_wins(store: CatalogStore) -> None:
    rivals = [store.write(CatalogEdits({f"app{number}": EDIT})) for number in range(10)]
    results = await asyncio.gather(*rivals, return_exceptions=True)
    assert sum(isinstance(result, WriteRace) for result in results) == 9
    assert (await store.read()).revision == 1


async def test_a_follower_steps_at_once_and_after_each_write(store: CatalogStore) -> None:
    async with asyncio.timeout(5), aclosing(store.changes()) as changes:
        await anext(changes)
        written = await store.write(CatalogEdits({"app": EDIT}))
        await anext(changes)
        assert await store.read() == written
        await store.write(written)
        await anext(changes)
        assert (await store.read()).revision == 2
