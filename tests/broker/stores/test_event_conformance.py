"""What every form of the session store must do with events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.events import KEPT_EVENTS, Event, EventDraft, EventType, queue_event
from broker.core.session import EndReason, Session, State, ended
from broker.stores.base import EventsTrimmed, Store, WriteRace
from broker.stores.memory import MemoryStore
from tests.broker.samples import make_session, session_id, with_ports
from tests.broker.stores.forms import FORMS, stores


@pytest.fixture(params=FORMS)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with stores(request.param, request) as new_store:
        yield await new_store()


async def next_batch(events: AsyncIterator[tuple[Event, ...]]) -> tuple[Event, ...]:
    """The next one that holds anything."""
    async with asyncio.timeout(5):
        return await anext(events) or await anext(events)


async def told(store: Store, after: int, count: int, *, of: str | None = None) -> list[Event]:
    """The first `count` events after that number."""
    found: list[Event] = []
    async with aclosing(store.events(after, session_id=of)) as events:
        while len(found) < count:
            found += await next_batch(events)
    return found


def other(number: int) -> Session:
    return replace(make_session(), id=session_id(number), slot=None)


def a_move(session: Session, position: int) -> EventDraft:
    return queue_event(session, position=position, eta_s=None, at=1000.0)


async def test_a_write_appends_what_it_tells(store: Store) -> None:
    start = await store.last_event_id()
    session = await store.write(make_session())
    await store.write(ended(session, EndReason.DELETED, "Session was deleted", 1001.0))
    events = await told(store, start, 2)
    assert [event.draft.type for event in events] == [EventType.STATE, EventType.ENDED]
    assert {event.draft.session_id for event in events} == {session.id}
    assert start < events[0].id < events[1].id == await store.last_event_id()


async def test_a_write_that_is_refused_appends_nothing(store: Store) -> None:
    await store.write(make_session())
    last = await store.last_event_id()
    with pytest.raises(WriteRace):
        await store.write(make_session())
    assert await store.last_event_id() == last


async def test_a_write_that_tells_nothing_appends_nothing(store: Store) -> None:
    session = await store.write(make_session())
    last = await store.last_event_id()
    await store.write(replace(session, route_attempts=1))
    assert await store.last_event_id() == last


async def test_what_no_write_tells_is_appended_in_order(store: Store) -> None:
    start = await store.last_event_id()
    await store.append([a_move(other(1), 1), a_move(other(2), 2)])
    await store.append([])
    events = await told(store, start, 2)
    assert [event.draft.data["position"] for event in events] == [1, 2]


async def test_a_follower_hears_what_comes_while_it_waits(store: Store) -> None:
    async with aclosing(store.events(await store.last_event_id())) as events:
        waiting = asyncio.create_task(next_batch(events))
        await asyncio.sleep(0)
        await store.append([a_move(other(1), 4)])
        (event,) = await waiting
        assert event.draft.data["position"] == 4


async def test_a_follower_of_one_session_hears_of_no_other(store: Store) -> None:
    start = await store.last_event_id()
    await store.append([a_move(other(1), 1), a_move(other(2), 2)])
    async with aclosing(store.events(start, session_id=other(2).id)) as events:
        (before,) = await next_batch(events)
        await store.append([a_move(other(1), 3), a_move(other(2), 4)])
        (after,) = await next_batch(events)
    assert (before.draft.data["position"], after.draft.data["position"]) == (2, 4)


async def test_who_comes_back_misses_nothing_and_hears_nothing_twice(store: Store) -> None:
    start = await store.last_event_id()
    await store.append([a_move(other(1), position) for position in range(1, 700)])
    seen = await told(store, start, 1)
    rest = await told(store, seen[-1].id, 699 - len(seen))
    assert [event.draft.data["position"] for event in seen + rest] == list(range(1, 700))


async def test_the_first_step_does_not_wait_for_anything(store: Store) -> None:
    await store.append([a_move(other(1), 1)])
    async with aclosing(store.events(await store.last_event_id())) as events, asyncio.timeout(5):
        assert await anext(events) == ()


async def test_several_followers_each_hear_everything(store: Store) -> None:
    start = await store.last_event_id()
    listening = [asyncio.create_task(told(store, start, 3)) for _ in range(5)]
    await asyncio.sleep(0)
    for position in (1, 2, 3):
        await store.append([a_move(other(1), position)])
    first, *others = await asyncio.gather(*listening)
    assert len(first) == 3 and all(heard == first for heard in others)


async def test_who_comes_back_too_late_is_told_so(store: Store) -> None:
    start = await store.last_event_id()
    await store.append([a_move(other(1), position) for position in range(KEPT_EVENTS)])
    first, *others = await told(store, start, KEPT_EVENTS)
    assert len(others) == KEPT_EVENTS - 1
    await store.append([a_move(other(1), 0)])
    await store.last_event_id()
    with pytest.raises(EventsTrimmed):
        await told(store, start, 1)
    assert len(await told(store, first.id, KEPT_EVENTS)) == KEPT_EVENTS


@pytest.mark.parametrize("offset", [-5, 1, 10**9])
async def test_a_number_that_is_not_of_this_store_is_told_so(store: Store, offset: int) -> None:
    with pytest.raises(EventsTrimmed):
        await told(store, await store.last_event_id() + offset, 1)


async def test_a_follower_that_takes_nothing_is_cut_off_instead_of_kept_for(store: Store) -> None:
    async with aclosing(store.events(await store.last_event_id(), session_id=other(1).id)) as events:
        await store.append([a_move(other(1), 1)])
        await next_batch(events)
        await store.append([a_move(other(1), position) for position in range(2, 2 * KEPT_EVENTS)])
        with pytest.raises(EventsTrimmed):
            await next_batch(events)


async def test_numbers_of_a_later_run_are_above_those_of_an_earlier_one() -> None:
    earlier, later = MemoryStore(lambda: 1000.0), MemoryStore(lambda: 1000.001)
    await earlier.append([a_move(other(1), 1)] * 999)
    await later.append([a_move(other(1), 1)])
    assert await earlier.last_event_id() < await later.last_event_id()
    with pytest.raises(EventsTrimmed):
        await told(later, await earlier.last_event_id() - 1, 1)


async def test_a_listener_is_told_of_each_write_with_what_was_there_before(store: Store) -> None:
    heard: list[tuple[Session | None, Session]] = []
    store.listen(lambda before, after: heard.append((before, after)))
    first = await store.write(make_session())
    second = await store.write(replace(with_ports(first), state=State.READY))
    with pytest.raises(WriteRace):
        await store.write(first)
    assert heard == [(None, first), (first, second)]
