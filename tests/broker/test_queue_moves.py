"""Queue moves as events, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from broker.core.events import EventType
from broker.core.session import EndReason, Phase, Session, ended
from broker.queue_moves import tell_queue_moves
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from tests.broker.samples import make_session, session_id

pytestmark = pytest.mark.looptime


async def waiting(store: MemoryStore, number: int) -> Session:
    session = replace(make_session(at=1000.0 + number), id=session_id(number), slot=None, phase=Phase.QUEUED)
    return await store.write(session)


async def told_since(store: MemoryStore, event_id: int) -> list[tuple[str, object]]:
    events = store.events(event_id)
    batch = await anext(events)
    await events.aclose()
    return [(e.draft.session_id, e.draft.data["position"]) for e in batch if e.draft.type is EventType.QUEUE]


async def test_each_is_told_where_it_stands_and_several_moves_are_told_as_one() -> None:
    store, room = MemoryStore(), WaitingRoom()
    store.listen(room.see)
    telling = asyncio.create_task(tell_queue_moves(store, room))
    start = await store.last_event_id()
    sessions = [await waiting(store, number) for number in range(4)]
    await asyncio.sleep(1.5)
    assert await told_since(store, start) == [(session_id(number), number + 1) for number in range(4)]
    later = await store.last_event_id()
    for session in sessions[:2]:
        await store.write(ended(session, EndReason.DELETED, "", 1.0))
    await asyncio.sleep(1)
    assert await told_since(store, later) == [(session_id(2), 1), (session_id(3), 2)]
    later = await store.last_event_id()
    await asyncio.sleep(10)
    assert await told_since(store, later) == []
    telling.cancel()
    await asyncio.wait((telling,))


async def test_those_far_behind_hear_of_great_moves_only() -> None:
    store, room = MemoryStore(), WaitingRoom()
    store.listen(room.see)
    sessions = [await waiting(store, number) for number in range(200)]
    telling = asyncio.create_task(tell_queue_moves(store, room))
    await asyncio.sleep(1.5)
    start = await store.last_event_id()
    await store.write(ended(sessions[0], EndReason.DELETED, "", 1.0))
    await asyncio.sleep(1)
    assert [position for _, position in await told_since(store, start)] == list(range(1, 101))
    telling.cancel()
    await asyncio.wait((telling,))
