from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from broker.core.session import EndReason, Phase, Session, ended
from broker.room_keeping import keep_room
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from tests.broker.samples import make_session, session_id
from tests.broker.waiting import eventually


def queued(number: int, at: float) -> Session:
    return replace(make_session(at=at), id=session_id(number), slot=None, phase=Phase.QUEUED)


@asynccontextmanager
async def kept(store: MemoryStore) -> AsyncIterator[WaitingRoom]:
    room = WaitingRoom()
    task = asyncio.create_task(keep_room(store, room))
    try:
        yield room
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_who_waited_before_this_broker_began_stands_in_the_order_of_coming() -> None:
    store = MemoryStore()
    late, early = await store.write(queued(1, 20.0)), await store.write(queued(2, 10.0))
    async with kept(store) as room:
        await eventually(lambda: room.waits(late.id))
        places = [room.place_of(session, 30.0) for session in (early, late)]
        assert [place.position for place in places if place is not None] == [1, 2]


async def test_who_waits_no_more_leaves() -> None:
    store = MemoryStore()
    session = await store.write(queued(1, 20.0))
    async with kept(store) as room:
        await eventually(lambda: room.waits(session.id))
        await store.write(ended(session, EndReason.DELETED, "", await store.now()))
        await eventually(lambda: not room.waits(session.id))


class LosingStore(MemoryStore):
    """One whose data may be gone."""

    lost = False

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        return None if self.lost else await super().read(session_id)


async def test_who_is_not_there_any_more_is_forgotten_and_the_next_one_is_called() -> None:
    store = LosingStore()
    first, second = await store.write(queued(1, 10.0)), await store.write(queued(2, 20.0))
    async with kept(store) as room:
        await eventually(lambda: room.waits(second.id))
        called: list[str] = []
        room.on_turn(called.append)
        store.lost = True
        await store.write(replace(first, message="gone"))
        await eventually(lambda: not room.waits(first.id))
        assert (room.is_next(second), called) == (True, [second.id])
