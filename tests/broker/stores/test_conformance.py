"""What every form of the session store must do. A new form joins by one more name in `store`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.ledger import Claim
from broker.core.session import READABLE_AFTER_END_S, EndReason, ended
from broker.stores.base import PoolFull, Store, WriteRace
from tests.broker.samples import SLOT, make_session, session_id, with_ports
from tests.broker.stores.forms import FORMS, NewStore, stores


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=FORMS)
async def new_store(request: pytest.FixtureRequest) -> AsyncIterator[NewStore]:
    async with stores(request.param, request) as new_store:
        yield new_store


@pytest.fixture
async def store(new_store: NewStore, clock: Clock) -> Store:
    return await new_store(clock=clock)


async def next_change(changes: AsyncIterator[frozenset[str]]) -> frozenset[str]:
    async with asyncio.timeout(5):
        return await anext(changes)


async def test_an_unknown_session_is_not_there(store: Store) -> None:
    assert await store.read(session_id(1)) is None
    assert await store.sessions() == {}


async def test_a_session_written_is_read_back_with_its_revision_counted_up(store: Store) -> None:
    written = await store.write(make_session())
    assert written == replace(make_session(), revision=1)
    assert await store.read(written.id) == written
    assert await store.sessions() == {written.id: written}
    assert (await store.write(replace(written, message="later"))).revision == 2


async def test_a_write_over_another_write_is_refused(store: Store) -> None:
    first = await store.write(make_session())
    await store.write(replace(first, message="first come"))
    with pytest.raises(WriteRace):
        await store.write(replace(first, message="late"))
    stored = await store.read(first.id)
    assert stored is not None and stored.message == "first come"


async def test_a_session_is_not_made_twice_nor_written_before_it_is_made(store: Store) -> None:
    with pytest.raises(WriteRace):
        await store.write(replace(make_session(), revision=3))
    await store.write(make_session())
    with pytest.raises(WriteRace):
        await store.write(make_session())


async def test_claims_come_and_go_with_their_session(store: Store) -> None:
    session = await store.write(replace(with_ports(make_session()), idempotency="idempotency/create/k"))
    mine = Claim(session.id)
    assert await store.claims() == {
        "slot/process/default/0": mine,
        "port/relay-a/31000": mine,
        "port/relay-a/31001": mine,
        "idempotency/create/k": mine,
    }
    await store.write(replace(session, slot=None, ports=None))
    assert await store.claims() == {"idempotency/create/k": mine}


async def test_a_claim_has_one_owner_and_a_refused_write_changes_nothing(store: Store) -> None:
    await store.write(make_session())
    rival = replace(with_ports(make_session()), id=session_id(8), slot=replace(SLOT, id="another occupation"))
    with pytest.raises(WriteRace):
        await store.write(rival)
    assert await store.read(rival.id) is None
    assert await store.claims() == {SLOT.claim: Claim(make_session().id)}


async def test_of_many_that_claim_the_same_at_once_one_wins(store: Store) -> None:
    rivals = [replace(make_session(), id=session_id(number)) for number in range(20)]
    results = await asyncio.gather(*(store.write(rival) for rival in rivals), return_exceptions=True)
    assert sum(isinstance(result, WriteRace) for result in results) == 19
    assert len(await store.sessions()) == 1


async def test_a_session_counts_in_its_pools_until_it_leaves_them(store: Store) -> None:
    session = await store.write(replace(with_ports(make_session()), share="alice"))
    pools = ("sessions", "share/alice", "slots/process/default", "relay/relay-a")
    ledger = await store.ledger()
    assert [ledger.count(pool) for pool in pools] == [1, 1, 1, 1]
    session = await store.write(ended(session, EndReason.DELETED, "", 1.0))
    ledger = await store.ledger()
    assert [ledger.count(pool) for pool in pools] == [0, 0, 1, 1]
    await store.write(replace(session, slot=None, ports=None))
    ledger = await store.ledger()
    assert [ledger.count(pool) for pool in pools] == [0, 0, 0, 0]


async def test_a_write_beyond_a_bound_is_refused_and_changes_nothing(store: Store) -> None:
    first = await store.write(make_session(), bounds={"sessions": 1})
    second = replace(make_session(), id=session_id(8), slot=None)
    before = await store.claims(), await store.sessions()
    for bounds in ({"sessions": 1}, {"slots/process/default": 0}):
        with pytest.raises(PoolFull):
            await store.write(second, bounds=bounds)
    assert (await store.claims(), await store.sessions()) == before
    assert (await store.ledger()).count("sessions") == 1
    await store.write(replace(first, slot=None, message="counts already"), bounds={"sessions": 1})


async def test_of_many_at_once_a_bound_lets_in_as_many_as_it_says(store: Store) -> None:
    rivals = [replace(make_session(), id=session_id(number), slot=None) for number in range(20)]
    writes = (store.write(rival, bounds={"sessions": 7}) for rival in rivals)
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, PoolFull) for result in results) == 13
    assert len(await store.sessions()) == (await store.ledger()).count("sessions") == 7


async def test_the_ledger_knows_the_owner_of_a_claim(store: Store) -> None:
    session = await store.write(replace(make_session(), idempotency="idempotency/create/k"))
    ledger = await store.ledger()
    assert ledger.owner("idempotency/create/k") == session.id
    assert not ledger.is_free(SLOT.claim) and ledger.is_free("slot/process/default/1")


async def test_a_port_that_lingers_is_nobodys_until_its_time(store: Store, clock: Clock) -> None:
    session = await store.write(with_ports(make_session()))
    await store.write(replace(session, ports=None), linger={"port/relay-a/31000": 1030.0, "port/relay-a/31001": 1060.0})
    lingering = {key: claim for key, claim in (await store.claims()).items() if key.startswith("port/")}
    assert lingering == {"port/relay-a/31000": Claim(None, 1030.0), "port/relay-a/31001": Claim(None, 1060.0)}
    newcomer = replace(with_ports(make_session()), id=session_id(8), slot=None)
    with pytest.raises(WriteRace):
        await store.write(newcomer)
    clock.now = 1030.0
    with pytest.raises(WriteRace):
        await store.write(newcomer)
    clock.now = 1060.0
    await store.write(newcomer)


async def test_what_lingers_can_be_lingering_a_second_time(store: Store, clock: Clock) -> None:
    first = await store.write(with_ports(make_session()))
    await store.write(replace(first, ports=None), linger={"port/relay-a/31000": 1010.0})
    clock.now = 1010.0
    second = await store.write(replace(with_ports(make_session()), id=session_id(8), slot=None))
    await store.write(replace(second, ports=None), linger={"port/relay-a/31000": 1050.0})
    clock.now = 1049.0
    assert (await store.claims())["port/relay-a/31000"] == Claim(None, 1050.0)


async def test_an_ended_session_is_readable_for_an_hour_and_its_request_known_as_long(
    store: Store, clock: Clock
) -> None:
    session = await store.write(replace(make_session(), idempotency="idempotency/create/k"))
    over = ended(session, EndReason.DELETED, "", clock.now)
    over = await store.write(over)
    await store.write(replace(over, slot=None))
    clock.now += READABLE_AFTER_END_S - 1
    assert await store.read(session.id) is not None
    clock.now += 1
    assert (await store.ledger()).is_free("idempotency/create/k")
    assert await store.read(session.id) is None
    assert await store.sessions() == {}
    assert await store.claims() == {}


async def test_an_ended_session_that_still_holds_something_is_not_forgotten(store: Store, clock: Clock) -> None:
    session = await store.write(make_session())
    await store.write(ended(session, EndReason.DELETED, "", clock.now))
    clock.now += 2 * READABLE_AFTER_END_S
    assert await store.read(session.id) is not None


async def test_a_follower_is_told_of_all_sessions_at_once_and_of_each_change_then(store: Store) -> None:
    first = await store.write(make_session())
    async with aclosing(store.changes()) as changes:
        assert await next_change(changes) == {first.id}
        second = await store.write(replace(make_session(), id=session_id(8), slot=None))
        assert await next_change(changes) == {second.id}
        await store.write(first)
        await store.write(second)
        assert await next_change(changes) == {first.id, second.id}


async def test_a_follower_of_one_session_hears_of_no_other(store: Store) -> None:
    first = await store.write(make_session())
    async with aclosing(store.changes(first.id)) as changes:
        assert await next_change(changes) == {first.id}
        await store.write(replace(make_session(), id=session_id(8), slot=None))
        await store.write(first)
        assert await next_change(changes) == {first.id}


async def test_time_is_the_clocks(store: Store, clock: Clock) -> None:
    clock.now = 1234.5
    assert await store.now() == 1234.5


async def test_of_those_that_ended_the_oldest_are_forgotten_first_where_they_are_many(
    new_store: NewStore, clock: Clock
) -> None:
    store = await new_store(clock=clock, kept_ended=2)
    for number in range(4):
        session = await store.write(replace(make_session(), id=session_id(number), slot=None, idempotency=f"k{number}"))
        await store.write(ended(session, EndReason.DELETED, "", clock.now + number))
    assert set(await store.sessions()) == {session_id(2), session_id(3)}
    assert set(await store.claims()) == {"k2", "k3"}
