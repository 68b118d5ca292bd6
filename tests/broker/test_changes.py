import asyncio
from contextlib import aclosing

from broker.changes import ChangeFeed
from signaling.table import ChangeSignal


async def test_a_signal_fired_between_two_steps_is_not_missed() -> None:
    signal = ChangeSignal()
    heard = 0
    async with asyncio.timeout(5), aclosing(signal.follow()) as steps:
        async for _ in steps:
            heard += 1
            if heard < 4:
                signal.fire()
            else:
                break
    assert heard == 4


async def test_several_fires_are_one_step() -> None:
    signal = ChangeSignal()
    async with aclosing(signal.follow()) as steps:
        await anext(steps)
        signal.fire()
        signal.fire()
        await anext(steps)
        waiting = asyncio.ensure_future(anext(steps))
        await asyncio.sleep(0)
        assert not waiting.done()
        signal.fire()
        async with asyncio.timeout(5):
            await waiting


async def test_a_closed_follower_is_not_kept() -> None:
    feed = ChangeFeed()
    for _ in range(3):
        async with aclosing(feed.follow("a", ["a"])) as steps:
            assert await anext(steps) == {"a"}
    assert not feed._followers
