"""Redis' clock, kept on this machine: no call for each look at it, and it goes on while Redis is away."""

from __future__ import annotations

import asyncio
import time

from signaling.redis_link import RedisLink, RedisUnavailable, Reply

SAMPLE_EVERY_S = 5.0


class RedisClock:
    """Seconds since the epoch as Redis counts them, told by this machine's steady clock and an offset.

    So neither a wall clock that is wrong here, nor one that is set anew, is noticed. `sample` it every few seconds.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._offset_s: float | None = None
        self._sampled_at = 0.0

    @property
    def is_set(self) -> bool:
        """Whether Redis was ever asked with success; before, the time is this machine's own."""
        return self._offset_s is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time for another sample."""
        return self._offset_s is None or time.monotonic() - self._sampled_at >= SAMPLE_EVERY_S

    def now(self) -> float:
        """The time."""
        return time.time() if self._offset_s is None else time.monotonic() + self._offset_s

    async def sample(self) -> None:
        """Ask Redis for its time; right within half the time that this takes. Raises RedisUnavailable."""
        asked_at = time.monotonic()
        told = _seconds(await self._link.call("TIME"))
        self._sampled_at = time.monotonic()
        self._offset_s = told - (asked_at + self._sampled_at) / 2

    async def run(self) -> None:
        """Sample it for ever, for who does not do so besides other things."""
        while True:
            try:
                await self.sample()
                await asyncio.sleep(SAMPLE_EVERY_S)
            except RedisUnavailable:
                await asyncio.sleep(1)


def _seconds(reply: Reply) -> float:
    match reply:
        case [bytes(seconds), bytes(micros)] if seconds.isdigit() and micros.isdigit():
            return int(seconds) + int(micros) / 1e6
    raise RedisUnavailable("Redis answered TIME with no time")
