"""What is done over outages of what cannot be reached: begin anew after a pause that grows, up to a bound."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from broker.errors import StoreUnavailable
from signaling.errors import TableUnavailable

logger = logging.getLogger(__name__)

_FIRST_S = 0.1
_WENT_WELL_S = 3.0
"""Who could follow for so long was back: a call to what is away takes less."""


def pause_s(failures: int, *, most_s: float) -> float:
    """How long to wait after so many failures in a row."""
    return min(_FIRST_S * 2.0 ** min(failures, 16), most_s)


async def through_outages(follow: Callable[[], Awaitable[None]], *, most_s: float = 1.0) -> None:
    """Follow anew, after a pause, when store or route table cannot be reached; what is served is served on."""
    failures = 0
    while True:
        begun = asyncio.get_running_loop().time()
        trouble: Exception | None = None
        try:
            await follow()
        except (StoreUnavailable, TableUnavailable) as error:
            trouble = error
        failures = 1 if asyncio.get_running_loop().time() - begun > _WENT_WELL_S else failures + 1
        if trouble is not None and failures == 1:
            told = trouble.told if isinstance(trouble, StoreUnavailable) else trouble
            logger.warning("what changes is not heard for now: %s", told)
        await asyncio.sleep(pause_s(failures, most_s=most_s))
