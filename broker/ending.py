"""Ends sessions in order when what they run on ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing, suppress

from broker.core.principal import ITSELF
from broker.core.session import Session
from broker.errors import NotFound
from broker.sessions import Sessions
from broker.stores.base import Store


async def end_sessions(sessions: Sessions, store: Store, which: Callable[[Session], bool]) -> None:
    """End these and wait until they hold nothing any more; bound it in time. Raises StoreUnavailable."""
    ending = {session.id for session in await sessions.list(by=ITSELF) if which(session)}
    for session_id in ending:
        with suppress(NotFound):
            await sessions.end(session_id, by=ITSELF)
    async with aclosing(store.changes()) as changes:
        async for _ in changes:
            known = await store.sessions()
            held = [known[key] for key in known if key in ending or which(known[key])]
            if all(session.slot is None and session.ports is None for session in held):
                return
