from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from broker.configuration import ConfigurationError
from broker.errors import StoreUnavailable
from broker.fellows import TTL_S, Fellows

pytestmark = pytest.mark.looptime


class ListInProcess:
    """The list of brokers, without a store."""

    def __init__(self) -> None:
        self.away = False
        self._said: dict[str, tuple[float, str]] = {}

    async def say(self, broker_id: str, word: str, *, ttl_s: float) -> Mapping[str, str]:
        if self.away:
            raise StoreUnavailable
        now = asyncio.get_running_loop().time()
        self._said = {key: (at, said) for key, (at, said) in self._said.items() if now - at <= ttl_s}
        self._said[broker_id] = now, word
        return {key: said for key, (_, said) in self._said.items() if key != broker_id}

    async def leave(self, broker_id: str) -> None:
        if self.away:
            raise StoreUnavailable
        self._said.pop(broker_id, None)


@asynccontextmanager
async def joined(brokers: ListInProcess, *fingerprints: str) -> AsyncIterator[Fellows]:
    fellows = Fellows(brokers, fingerprints)
    await fellows.join()
    task = asyncio.create_task(fellows.run())
    try:
        yield fellows
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_brokers_with_one_secret_live_side_by_side() -> None:
    brokers = ListInProcess()
    async with joined(brokers, "s1") as first, joined(brokers, "s1"), joined(brokers, "s1"):
        await asyncio.sleep(2)
        assert first.count == 2


@pytest.mark.parametrize(("one", "other"), [(("s1",), ("s2",)), (("s1",), ("s2", "s1")), (("s1", "s2"), ("s3", "s2"))])
async def test_a_broker_with_another_secret_does_not_start_and_is_told_the_mend(
    one: tuple[str, ...], other: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    brokers = ListInProcess()
    async with joined(brokers, *one) as first:
        with pytest.raises(ConfigurationError, match=r"admission\.secret_file"):
            await Fellows(brokers, other).join()
        await asyncio.sleep(2)
        assert first.count == 0
        assert caplog.text.count("tries to join") == 1


async def test_a_secret_may_be_changed_one_broker_after_the_other() -> None:
    brokers = ListInProcess()
    async with joined(brokers, "old", "new"), joined(brokers, "new", "old"):
        pass


async def test_the_successor_of_a_killed_broker_starts_once_that_counts_as_gone() -> None:
    brokers, loop = ListInProcess(), asyncio.get_running_loop()
    await brokers.say("killed", "its own", ttl_s=TTL_S)
    began = loop.time()
    async with joined(brokers, "another"):
        assert loop.time() - began <= TTL_S + 0.5


async def test_while_the_store_is_away_nobody_contradicts() -> None:
    brokers = ListInProcess()
    brokers.away = True
    async with joined(brokers, "s1"):
        await asyncio.sleep(5)
