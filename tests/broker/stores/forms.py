"""The forms of the session store, for the tests that each has to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol

import pytest

from broker.stores.base import Store
from broker.stores.epoch import Epoch, EpochState
from broker.stores.faults import Faulty
from broker.stores.memory import MemoryStore
from broker.stores.redis import RedisStore
from broker.stores.redis_feed import FeedSettings
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings

FORMS = ("memory", "redis")
READY = Epoch("first", EpochState.READY)


class NewStore(Protocol):
    """Makes one that is empty, and runs it."""

    async def __call__(self, *, clock: Callable[[], float] | None = None, kept_ended: int = 20_000) -> Store: ...


@asynccontextmanager
async def stores(form: str, request: pytest.FixtureRequest) -> AsyncIterator[NewStore]:
    """Of one form; all that are made are closed in the end."""
    async with AsyncExitStack() as stack:

        async def new_store(*, clock: Callable[[], float] | None = None, kept_ended: int = 20_000) -> Store:
            if form == "memory":
                return MemoryStore(clock or time.time, kept_ended=kept_ended)
            settings: RedisSettings = request.getfixturevalue("redis_settings")
            return await stack.enter_async_context(redis_store(settings, clock=clock, kept_ended=kept_ended))

        yield new_store


@asynccontextmanager
async def redis_store(
    settings: RedisSettings,
    *,
    clock: Callable[[], float] | None = None,
    kept_ended: int = 20_000,
    feed: FeedSettings | None = None,
    epoch: Epoch | None = READY,
    faulty: Faulty = lambda fault, count: None,
) -> AsyncIterator[RedisStore]:
    """One broker's way to the store of these settings; its epoch is set where there is none."""
    link = RedisLink(settings)
    store = RedisStore(link, clock=clock, kept_ended=kept_ended, feed=feed, faulty=faulty)
    if epoch is not None:
        await store.set_epoch(epoch, instead_of=None)
    running = asyncio.create_task(store.run(), name="store")
    try:
        yield store
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await link.close()
