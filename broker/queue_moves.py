"""Tells those who wait for a slot where they stand, as events."""

from __future__ import annotations

import asyncio
import logging

from broker.core.events import EventDraft, queue_event
from broker.core.queue import Place
from broker.errors import StoreUnavailable
from broker.stores.base import Store
from broker.waiting_room import WaitingRoom

logger = logging.getLogger(__name__)

_TELL_EVERY_S = 1.0
_TOLD_EACH_MOVE = 100
"""So many at the front hear of each move; who stands behind them, when a tenth of those before it are gone."""


async def tell_queue_moves(store: Store, room: WaitingRoom) -> None:
    """Append an event for each session whose place moved, several moves as one, until cancelled."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        now = await store.now()
        told = {key: position for key, position in told.items() if room.waits(key)}
        moved = [(key, place) for key, place in room.moves(now) if _is_worth_telling(told.get(key), place)]
        try:
            await store.append(await _events(store, moved, now))
        except StoreUnavailable as error:
            logger.warning("those who wait were not told of their places: %r", error)
        else:
            told.update({key: place.position for key, place in moved})


def _is_worth_telling(told: int | None, place: Place) -> bool:
    if told is None or place.position <= _TOLD_EACH_MOVE:
        return told != place.position
    return abs(told - place.position) * 10 >= told


async def _events(store: Store, moved: list[tuple[str, Place]], now: float) -> list[EventDraft]:
    events = []
    for session_id, place in moved:
        session = await store.read(session_id)
        if session is not None:
            events.append(queue_event(session, position=place.position, eta_s=place.eta_s, at=now))
    return events
