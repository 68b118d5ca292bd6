"""Keeps the waiting room true over everything that is written, by this broker and by others."""

from __future__ import annotations

from contextlib import aclosing

from broker.core.ledger import is_waiting
from broker.core.session import Session
from broker.stores.base import Store
from broker.waiting_room import WaitingRoom


async def keep_room(store: Store, room: WaitingRoom) -> None:
    """Let those wait whom the store says to wait, in the order in which they came, and nobody else, until cancelled.

    Raises StoreUnavailable.
    """
    async with aclosing(store.changes()) as changes:
        async for session_ids in changes:
            waiting: list[Session] = []
            for session_id in session_ids:
                session = await store.read(session_id, fresh=False)
                if session is None:
                    room.forget(session_id)
                elif is_waiting(session):
                    waiting.append(session)
                else:
                    room.see(None, session)
            for session in sorted(waiting, key=lambda session: session.pending_since):
                room.see(None, session)
