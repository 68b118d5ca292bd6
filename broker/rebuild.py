"""Makes the sessions anew after the store's data were lost: out of what brokers remember and relays still serve.

Whoever leads sets a new epoch, collects for a bounded time, writes the sessions with their claims, and calls the store
ready. What comes later is adopted where nobody has its place. Until then the store refuses every other write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from uuid import uuid4

from broker.core.restored import is_worth_restoring, newest, restored
from broker.core.session import Session, State, evolved
from broker.errors import StoreUnavailable
from broker.route_record import session_of
from broker.stores.base import Store, WriteRace
from broker.stores.epoch import Epoch, Epochs, EpochState
from signaling.routes import Route
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

COLLECT_S = 2.5
"""Relays look at the table every second; so long they have to bring what they serve."""

LOOK_S = 1.0


class Rebuild:
    """The epoch's keeper. `lead` is the leader's, `contribute` everybody's."""

    def __init__(
        self,
        epochs: Epochs,
        store: Store,
        routes: RouteTable,
        *,
        collect_s: float = COLLECT_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._epochs = epochs
        self._store = store
        self._routes = routes
        self._collect_s = collect_s
        self._look_s = look_s

    async def make_ready(self) -> None:
        """See to it that the epoch is ready; rebuild it where it is not. Raises StoreUnavailable, TableUnavailable."""
        epoch = await self._epochs.epoch()
        if epoch is not None and epoch.state is EpochState.READY:
            return
        if epoch is None:
            epoch = Epoch(uuid4().hex, EpochState.REBUILDING)
            if not await self._epochs.set_epoch(epoch, instead_of=None):
                raise StoreUnavailable(reason="another broker began to rebuild")
        logger.info("the store is new or lost its data: what relays and brokers know is collected")
        await asyncio.sleep(self._collect_s)
        count = await self._restore_all(epoch)
        if not await self._epochs.set_epoch(Epoch(epoch.id, EpochState.READY), instead_of=epoch):
            raise StoreUnavailable(reason="the epoch changed while it was rebuilt")
        if count:
            logger.warning("the store had lost its data: %d sessions were made anew, what nobody knew is lost", count)

    async def lead(self, fence: int) -> None:
        """Adopt what relays bring late, until the epoch is not ready any more."""
        while True:
            epoch = await self._epochs.epoch()
            if epoch is None or epoch.state is not EpochState.READY:
                return
            for session_id, route in (await self._routes.restored()).items():
                await self._adopt(session_id, route, fence)
            await asyncio.sleep(self._look_s)

    async def contribute(self) -> None:
        """Bring what this broker remembers whenever the epoch is being rebuilt, until cancelled."""
        done: str | None = None
        while True:
            await asyncio.sleep(self._look_s)
            try:
                epoch = await self._epochs.epoch()
                if epoch is not None and epoch.state is EpochState.REBUILDING and epoch.id != done:
                    await self._restore(newest(self._epochs.remembered().values()), epoch)
                    done = epoch.id
            except StoreUnavailable:
                continue

    async def _restore_all(self, epoch: Epoch) -> int:
        routes = await self._routes.restored()
        recorded = [session for route in routes.values() if (session := session_of(route)) is not None]
        return await self._restore(newest(recorded, self._epochs.remembered().values()), epoch)

    async def _restore(self, sessions: Iterable[Session], epoch: Epoch) -> int:
        """Write these; how many were not there yet."""
        now, count = await self._store.now(), 0
        for session in sessions:
            if not is_worth_restoring(session, now):
                continue
            try:
                await self._epochs.restore(restored(session, now), epoch=epoch)
                count += 1
            except WriteRace as race:
                logger.info("a session was not made anew: %s", race, extra={"session": session.id})
        return count

    async def _adopt(self, session_id: str, route: Route, fence: int) -> None:
        """Take up a session that its relay serves and nobody knows; end its route where that cannot be."""
        extra = {"session": session_id}
        known = await self._store.read(session_id)
        if known is not None:
            if known.state in (State.ENDED, State.STOPPED):
                await self._routes.withdraw(session_id, fence=fence)
            return
        session = session_of(route)
        if session is None or not is_worth_restoring(session, await self._store.now()):
            told = "its record cannot be read" if session is None else "it is over"
            logger.warning("a session came back with its relay, but %s: its route ends", told, extra=extra)
            await self._routes.withdraw(session_id, fence=fence)
            return
        now = await self._store.now()
        try:
            await self._store.write(evolved(restored(session, now), revision=0), fence=fence)
        except WriteRace as race:
            logger.warning("a session came back too late, others have its place: %s", race, extra=extra)
            await self._routes.withdraw(session_id, fence=fence)
        else:
            logger.info("session %s came back with its relay", session_id, extra=extra)
