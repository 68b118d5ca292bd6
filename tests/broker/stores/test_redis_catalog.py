import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

import pytest

from broker.core.catalog_edits import ApplicationEdit, CatalogEdits, Origin, created
from broker.errors import StoreUnavailable
from broker.live_catalog import LiveCatalog
from broker.stores.redis_catalog import RedisCatalogStore
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.broker.samples import make_catalog, make_profile
from tests.broker.waiting import eventually

EDITS = CatalogEdits({"app": ApplicationEdit(Origin.MADE, "Näme", "Text", ("a",), {"1.0.0": None})})


@pytest.fixture
async def link(redis_settings: RedisSettings) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_settings)
    yield link
    await link.close()


async def test_what_another_broker_edits_is_found(link: RedisLink) -> None:
    mine, other = (RedisCatalogStore(link, look_every_s=0.02) for _ in range(2))
    async with asyncio.timeout(5), aclosing(mine.changes()) as changes:
        await anext(changes)
        written = await other.write(EDITS)
        await anext(changes)
        assert await mine.read() == written


async def test_what_is_not_ours_is_not_written_over(link: RedisLink) -> None:
    await link.call("SET", link.key("catalog"), "something else")
    store = RedisCatalogStore(link)
    with pytest.raises(StoreUnavailable) as refused:
        await store.write(EDITS)
    assert "holds no edits of a catalog" in refused.value.reason
    assert await link.call("GET", link.key("catalog")) == b"something else"


async def test_a_redis_that_is_away_is_told(redis_settings: RedisSettings) -> None:
    link = RedisLink(redis_settings.model_copy(update={"url": "redis://127.0.0.1:1"}))
    store = RedisCatalogStore(link)
    with pytest.raises(StoreUnavailable, match="not available"):
        await store.read()
    with pytest.raises(StoreUnavailable):
        await store.write(EDITS)
    await link.close()


async def test_edits_that_redis_lost_are_written_anew_by_who_knows_them(link: RedisLink) -> None:
    file = make_catalog(make_profile())
    brokers = [LiveCatalog(file, RedisCatalogStore(link, look_every_s=0.02)) for _ in range(2)]
    following = [asyncio.create_task(live.run()) for live in brokers]
    for number in range(3):
        await brokers[0].edit(partial(created, application_id=f"a{number}", name="", description="", tags=()))
    await eventually(lambda: "a2" in brokers[1]().applications)
    await link.call("DEL", link.key("catalog"))
    late = LiveCatalog(file, RedisCatalogStore(link, look_every_s=0.02))
    following.append(asyncio.create_task(late.run()))
    await eventually(lambda: "a2" in late().applications)
    await late.edit(partial(created, application_id="after", name="", description="", tags=()))
    for live in brokers:
        await eventually(lambda live=live: set(live().applications) == {"app", "a0", "a1", "a2", "after"})  # type: ignore[misc]
    for task in following:
        task.cancel()
    await asyncio.wait(following)
