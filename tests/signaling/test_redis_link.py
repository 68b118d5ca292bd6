import asyncio
from collections.abc import AsyncIterator

import pytest

from signaling.redis_link import RedisLink, RedisRefused, RedisUnavailable, Script
from signaling.redis_settings import RedisSettings
from tests.redis_server import redis_server


@pytest.fixture
async def link(redis_settings: RedisSettings) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_settings)
    yield link
    await link.close()


async def test_each_of_many_callers_gets_its_own_answer(link: RedisLink) -> None:
    answers = await asyncio.gather(*(link.call("ECHO", str(number)) for number in range(100)))
    assert answers == [str(number).encode() for number in range(100)]


async def test_several_commands_are_answered_in_order(link: RedisLink) -> None:
    key = link.key("a")
    assert await link.calls((("SET", key, 1), ("INCRBY", key, 4), ("GET", key))) == [b"OK", 5, b"5"]


async def test_a_script_runs_where_it_is_not_known_yet(link: RedisLink) -> None:
    script = Script("return {KEYS[1], ARGV[1], 7, false}")
    await link.call("SCRIPT", "FLUSH")
    for _ in range(2):
        assert await link.script(script, [link.key("a")], ["b"]) == [link.key("a").encode(), b"b", 7, None]


async def test_a_command_that_is_refused_says_why_and_harms_no_other(link: RedisLink) -> None:
    await link.call("SET", link.key("a"), "text")
    wrong, right = await asyncio.gather(
        link.call("INCR", link.key("a")), link.call("GET", link.key("a")), return_exceptions=True
    )
    assert isinstance(wrong, RedisRefused) and wrong.code == "ERR"
    assert right == b"text"


async def test_a_call_that_is_cancelled_takes_no_other_answer(link: RedisLink) -> None:
    await link.call("PING")
    given_up = asyncio.create_task(link.call("ECHO", "given up"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await link.call("ECHO", "mine") == b"mine"


async def test_a_redis_that_is_away_fails_calls_at_once_and_is_found_when_it_is_back() -> None:
    with redis_server() as server:
        link = RedisLink(RedisSettings(url=server.url))
        await link.check()
        assert link.up_since is not None and link.trouble is None
        server.kill()
        for _ in range(3):
            with pytest.raises(RedisUnavailable):
                await link.call("PING")
        assert link.up_since is None
        assert link.trouble is not None and "cannot be reached" in link.trouble
        server.start()
        async with asyncio.timeout(5):
            while link.up_since is None:
                try:
                    await link.check()
                except RedisUnavailable:
                    await asyncio.sleep(0.05)
        assert link.trouble is None
        await link.close()


async def test_a_redis_that_hangs_fails_calls_in_their_time() -> None:
    with redis_server() as server:
        link = RedisLink(RedisSettings(url=server.url, timeout_s=0.2))
        await link.check()
        server.pause()
        for _ in range(2):
            async with asyncio.timeout(1):
                with pytest.raises(RedisUnavailable, match=r"did not answer within 0\.2 s"):
                    await link.call("PING")
        await link.close()


async def test_a_link_that_was_closed_stays_so(link: RedisLink) -> None:
    await link.close()
    await link.close()
    with pytest.raises(RedisUnavailable, match="closed"):
        await link.call("PING")
