from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.errors import StoreUnavailable
from broker.stores.redis_brokers import RedisBrokers
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.redis_server import free_port

TTL_S = 0.15


@pytest.fixture
async def link(redis_settings: RedisSettings) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_settings)
    yield link
    await link.close()


async def test_each_hears_what_the_others_say_of_themselves(link: RedisLink) -> None:
    brokers = RedisBrokers(link)
    assert await brokers.say("a", "one: two", ttl_s=5) == {}
    assert await brokers.say("b", "three", ttl_s=5) == {"a": "one: two"}
    assert await brokers.say("a", "four", ttl_s=5) == {"b": "three"}
    await brokers.leave("b")
    await brokers.leave("b")
    assert await brokers.say("a", "four", ttl_s=5) == {}


async def test_who_is_silent_is_forgotten_and_so_is_the_whole_list(link: RedisLink) -> None:
    brokers = RedisBrokers(link)
    await brokers.say("a", "", ttl_s=TTL_S)
    await asyncio.sleep(TTL_S * 0.7)
    await brokers.say("b", "", ttl_s=TTL_S)
    await asyncio.sleep(TTL_S * 0.7)
    assert await brokers.say("c", "", ttl_s=TTL_S) == {"b": ""}
    await asyncio.sleep(TTL_S * 1.3)
    assert await link.call("EXISTS", link.key("brokers")) == 0


async def test_what_others_left_under_the_key_is_taken_out(link: RedisLink) -> None:
    await link.call("HSET", link.key("brokers"), "foreign", "nonsense")
    assert await RedisBrokers(link).say("a", "", ttl_s=5) == {}
    assert await link.call("HKEYS", link.key("brokers")) == [b"a"]


async def test_a_list_that_cannot_be_reached_is_the_store_being_away() -> None:
    link = RedisLink(RedisSettings(url=f"redis://127.0.0.1:{free_port()}"))
    with pytest.raises(StoreUnavailable):
        await RedisBrokers(link).say("a", "", ttl_s=1)
    with pytest.raises(StoreUnavailable):
        await RedisBrokers(link).leave("a")
    await link.close()
