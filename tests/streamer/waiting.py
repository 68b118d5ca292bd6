"""Bounded waiting for a condition."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Return once the condition holds; fail when it does not come to hold in time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  a condition of another thread has no event
            await asyncio.sleep(0.005)
