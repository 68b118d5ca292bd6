"""One broker of many converges: takes the lease, runs what its holder does, and stops that when another has it.

While the store is away the holder goes on: nobody else can take the lease then, and each write is fenced anyway. Who
did not hold it lets the one who did come first when the store is back, for that one may have backends of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from broker.core.pauses import Pause
from broker.errors import StoreUnavailable
from broker.stores.lease import Lease, Standing

logger = logging.getLogger(__name__)

LEASE_S = 1.5
_RENEWALS = 3
"""So many times a holder may renew the lease while it runs; as often the others look whether it is free."""

_AWAY_RETRY_S = 0.2
_EXPIRY_SLACK_S = 0.01


@dataclass(frozen=True, slots=True)
class Term:
    """One broker's time as the one that converges: what its writes are fenced with, and what it may judge by.

    `pauses` returns when no clock ran. `check` raises StoreUnavailable where that is not known at this time, on the
    store's clock. `deposed` is called when a write was refused as that of another. A term without a fence is that of a
    broker alone.
    """

    fence: int | None = None
    pauses: Callable[[], tuple[Pause, ...]] = tuple
    check: Callable[[float], None] = lambda now: None
    deposed: Callable[[], None] = lambda: None


ALONE = Term()


class Leadership:
    """This broker's part in the lease. `run` is its whole life."""

    def __init__(self, lease: Lease, *, ttl_s: float = LEASE_S, holder: str | None = None) -> None:
        self._lease = lease
        self._ttl_s = ttl_s
        self._holder = holder or f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid4().hex[:8]}"
        self._fence: int | None = None
        self._standing: Standing | None = None
        self._doubted = asyncio.Event()

    @property
    def is_leading(self) -> bool:
        """Whether this broker holds the lease, as far as it knows."""
        return self._fence is not None

    @property
    def pauses(self) -> tuple[Pause, ...]:
        """When no clock ran, oldest first."""
        return () if self._standing is None else self._standing.pauses

    def term(self, fence: int) -> Term:
        """The time that begins with this fence."""
        return Term(fence, lambda: self.pauses, self.check, self.doubt)

    def check(self, now: float) -> None:
        """Raises StoreUnavailable where the lease was not seen for so long that a pause might be under way, unheard of.

        `now` is on the store's clock.
        """
        if self._standing is None or now > self._standing.at + self._ttl_s:
            raise StoreUnavailable

    def doubt(self) -> None:
        """A write was refused as that of another: see at once who holds the lease."""
        self._doubted.set()

    async def run(self, lead: Callable[[int], Awaitable[None]]) -> None:
        """Run `lead`, with the fence for its writes, whenever the lease is held, until cancelled.

        It is cancelled when another holds the lease; an error of its own ends this. The lease is then given up.
        """
        task: asyncio.Task[None] | None = None
        try:
            while task is None or not task.done():
                fence = await self._standing_fence()
                if fence != self._fence:
                    await _end(task)
                    task, self._fence = None, fence
                if fence is not None and task is None:
                    logger.info("this broker holds the lease, number %d", fence)
                    task = asyncio.create_task(_call(lead, fence), name="leader")
                    task.add_done_callback(lambda _: self.doubt())
                await self._wait()
        finally:
            try:
                await _end(task)
            finally:
                await self._give_up()

    async def _standing_fence(self) -> int | None:
        """Take or renew the lease; the fence while it is held. Goes on while the store is away."""
        was_away = False
        while True:
            try:
                async with asyncio.timeout(self._ttl_s):
                    if was_away and self._fence is None:
                        self._standing = await self._lease.look()
                        await asyncio.sleep(0)
                    else:
                        self._standing = await self._lease.take(self._holder, self._ttl_s, fence=self._fence)
                        return self._standing.fence
            except (StoreUnavailable, TimeoutError) as error:
                if not was_away:
                    logger.warning("the lease cannot be seen to for now: %r", error)
                was_away = True
                await asyncio.sleep(_AWAY_RETRY_S)
            else:
                await asyncio.sleep(self._ttl_s)
                was_away = False

    async def _wait(self) -> None:
        """Until the lease is to be renewed or may be free, or something happened."""
        left_s = self._ttl_s if self._standing is None else self._standing.left_s + _EXPIRY_SLACK_S
        with suppress(TimeoutError):
            async with asyncio.timeout(min(left_s, self._ttl_s / _RENEWALS)):
                await self._doubted.wait()
        self._doubted.clear()

    async def _give_up(self) -> None:
        fence, self._fence = self._fence, None
        if fence is None:
            return
        try:
            async with asyncio.timeout(self._ttl_s):
                await self._lease.give_up(self._holder, fence)
        except (StoreUnavailable, TimeoutError) as error:
            logger.warning("the lease was not given up, it runs out in %g s: %r", self._ttl_s, error)


async def _call(lead: Callable[[int], Awaitable[None]], fence: int) -> None:
    await lead(fence)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is None:
        return
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
