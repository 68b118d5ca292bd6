"""What a broker does besides answering: it keeps up with the store, and converges sessions while it holds the lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from broker.core.catalog import Catalog
from broker.errors import StoreUnavailable
from broker.leadership import LEASE_S, Leadership
from broker.orphans import release_orphans, withdraw_orphans
from broker.outages import through_outages
from broker.providers.base import Provider
from broker.rebuild import Rebuild
from broker.reconciler import Reconciler
from broker.room_keeping import keep_room
from broker.state import State
from broker.waiting_room import WaitingRoom
from signaling.errors import Deposed, TableUnavailable

logger = logging.getLogger(__name__)

_RETRY_S = 0.5
_LEASE_ALONE_S = 10.0
"""Nobody waits for the lease of a broker alone: a loop that is busy is no pause, a machine that slept is one."""


class Converging:
    """`own` are providers whose backends are this broker's, and end with it; those of `common` outlive any broker."""

    def __init__(
        self,
        state: State,
        catalog: Callable[[], Catalog],
        *,
        own: Mapping[str, Provider],
        common: Mapping[str, Provider],
        room: WaitingRoom,
        troubled: Callable[[Exception], None],
    ) -> None:
        self._state = state
        self._catalog = catalog
        self._own = own
        self._common = common
        self._room = room
        self._troubled = troubled
        self._leadership = Leadership(state.lease, ttl_s=LEASE_S if state.is_shared else _LEASE_ALONE_S)
        self._rebuild = None if state.epochs is None else Rebuild(state.epochs, state.store, state.routes)
        self._leading: asyncio.Task[None] | None = None
        state.store.listen(room.see, of_others=True)

    @property
    def leadership(self) -> Leadership:
        """This broker's part in the lease."""
        return self._leadership

    def has_own(self, provider: str) -> bool:
        """Whether this provider's backends end with this broker."""
        return provider in self._own

    async def run(self) -> None:
        """Until cancelled; own backends then end, the lease is given up."""
        async with asyncio.TaskGroup() as group:
            for name, provider in self._own.items():
                group.create_task(provider.run(), name=f"provider {name}")
                group.create_task(release_orphans(self._state.store, name, provider), name=f"orphans of {name}")
            group.create_task(through_outages(lambda: keep_room(self._state.store, self._room)), name="waiting room")
            if self._rebuild is not None:
                group.create_task(self._rebuild.contribute(), name="epoch")
            self._leading = group.create_task(self._leadership.run(self._lead), name="leadership")

    async def resign(self) -> None:
        """Let another broker converge from now on. Idempotent."""
        if self._leading is not None:
            self._leading.cancel()
            await asyncio.wait((self._leading,))

    async def _lead(self, fence: int) -> None:
        """What the holder of the lease does: see to the store's data, then converge, until cancelled."""
        while True:
            if await self._is_ready():
                await _first_of(lambda: self._converge(fence), lambda: self._keep_epoch(fence))
            else:
                await asyncio.sleep(_RETRY_S)

    async def _is_ready(self) -> bool:
        if self._rebuild is None:
            return True
        try:
            await self._rebuild.make_ready()
        except (StoreUnavailable, TableUnavailable) as error:
            logger.warning("whether the store is whole is not known for now: %r", error)
            return False
        return True

    async def _keep_epoch(self, fence: int) -> None:
        """Until the data were lost."""
        if self._rebuild is None:
            await asyncio.Event().wait()
            return
        while True:
            try:
                await self._rebuild.lead(fence)
                return
            except Deposed:
                self._leadership.doubt()
                await asyncio.sleep(_RETRY_S)
            except (StoreUnavailable, TableUnavailable):
                await asyncio.sleep(_RETRY_S)

    async def _converge(self, fence: int) -> None:
        state = self._state
        reconciler = Reconciler(
            state.store,
            state.routes,
            {**self._own, **self._common},
            self._catalog,
            room=self._room,
            fleet=state.nodes.fleet,
            term=self._leadership.term(fence),
            records=state.epochs is not None,
            troubled=self._troubled,
        )
        async with asyncio.TaskGroup() as group:
            for name, provider in self._common.items():
                group.create_task(provider.run(), name=f"provider {name}")
                group.create_task(release_orphans(state.store, name, provider), name=f"orphans of {name}")
            group.create_task(self._withdraw_orphans(fence), name="orphans of relays")
            group.create_task(reconciler.run(), name="reconciler")

    async def _withdraw_orphans(self, fence: int) -> None:
        while True:
            try:
                await withdraw_orphans(self._state.store, self._state.routes, fence=fence)
            except Deposed:
                self._leadership.doubt()
                await asyncio.sleep(_RETRY_S)


async def _first_of(*calls: Callable[[], Awaitable[None]]) -> None:
    """Run these side by side until one of them ends, and end the others then. Raises what that one raised."""
    tasks = [asyncio.ensure_future(_called(call)) for call in calls]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _called(call: Callable[[], Awaitable[None]]) -> None:
    await call()
