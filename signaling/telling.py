"""What a relay says to the route table: each word in bounded time, with an outage told once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from signaling.errors import NameTaken, TableUnavailable

logger = logging.getLogger(__name__)


class Telling:
    """`trouble`: why the table did not answer the last time. `ended`: nothing is said any more."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.trouble: str | None = None
        self.ended = False

    async def tell(self, telling: Coroutine[None, None, None]) -> bool:
        """Whether the table heard it; who is not heard tries again with its next word."""
        if self.ended:
            telling.close()
            return False
        try:
            async with asyncio.timeout(self._timeout_s):
                await telling
        except (TableUnavailable, TimeoutError) as exc:
            self.note(exc)
            return False
        self.note(None)
        return True

    def note(self, trouble: Exception | None) -> None:
        """Log the begin and the end of an outage of the table, once each."""
        was_away, self.trouble = self.trouble is not None, None if trouble is None else str(trouble) or "it is late"
        if was_away == (trouble is not None):
            return
        if isinstance(trouble, NameTaken):
            logger.error("%s", self.trouble)
        elif trouble is not None:
            logger.warning("the route table is away, routes are served on: %s", self.trouble)
        else:
            logger.info("the route table is back")
