"""What runs for no session is given back: that ended while a broker was cut from the store, or knew too little."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing

from broker.core.slot import Backend, SlotRef
from broker.errors import BackendFailed, StoreUnavailable
from broker.providers.base import Provider
from broker.stores.base import Store
from signaling.errors import TableUnavailable
from signaling.table import RouteTable

logger = logging.getLogger(__name__)

EVERY_S = 5.0


async def release_orphans(store: Store, name: str, provider: Provider, *, every_s: float = EVERY_S) -> None:
    """Release what no session holds at two looks in a row, until cancelled. A look needs the store to answer."""
    suspects: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(every_s)
        backends = await _seen(provider)
        if not backends:
            continue
        try:
            await store.check()
            sessions = (await store.sessions()).values()
        except StoreUnavailable:
            suspects = frozenset()
            continue
        held = {session.slot.id for session in sessions if session.slot is not None}
        orphans = backends.keys() - held
        for slot_id in orphans & suspects:
            logger.warning("backend %s runs for no session and is given back", slot_id)
            try:
                await provider.release(SlotRef(name, "", 0, slot_id))
            except BackendFailed as error:
                logger.warning("backend %s could not be given back: %s", slot_id, error)
        suspects = frozenset(orphans)


async def withdraw_orphans(store: Store, routes: RouteTable, *, fence: int | None, every_s: float = EVERY_S) -> None:
    """Withdraw routes whose session holds no ports at two looks in a row, until cancelled. Raises Deposed.

    A route is left over where its publishing was not heard of before its session ended: then its relay would serve on,
    on ports that are somebody else's by now.
    """
    suspects: frozenset[str] = frozenset()
    while True:
        await asyncio.sleep(every_s)
        try:
            await store.check()
            published, sessions = await routes.routes(), await store.sessions()
            held = {key for key, session in sessions.items() if session.ports is not None}
            orphans = published.keys() - held
            for session_id in orphans & suspects:
                logger.warning("a route is for no session and is withdrawn", extra={"session": session_id})
                await routes.withdraw(session_id, fence=fence)
            suspects = frozenset(orphans)
        except (StoreUnavailable, TableUnavailable):
            suspects = frozenset()


async def _seen(provider: Provider) -> Mapping[str, Backend]:
    async with aclosing(provider.observe()) as snapshots:
        return await anext(snapshots)
