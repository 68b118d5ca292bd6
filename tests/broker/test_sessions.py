import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from broker.core.catalog import Catalog
from broker.core.queue import Place
from broker.core.request import Quotas
from broker.core.session import EndReason, Phase, RelayPorts, Session, State, ended
from broker.errors import Conflict, Forbidden, NoCapacity, NotFound, QuotaExceeded, StoreUnavailable
from broker.sessions import Sessions
from broker.stores.base import WriteRace
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from signaling.routes import PortRange
from signaling.table import MemoryRouteTable
from tests.broker.samples import ADMIN, CLOCKS, ME, RELAY, YOU, make_catalog, make_profile, make_resolved, session_id


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def routes() -> MemoryRouteTable:
    return MemoryRouteTable()


@pytest.fixture
def sessions(store: MemoryStore, routes: MemoryRouteTable) -> Sessions:
    room = WaitingRoom()
    store.listen(room.see)
    return Sessions(store, routes, catalog=lambda: make_catalog(make_profile()), room=room)


async def make_ready(store: MemoryStore, session: Session) -> None:
    await store.write(replace(session, state=State.READY, phase=None))


async def test_a_new_session_holds_a_slot_and_a_pair_of_ports(sessions: Sessions, routes: MemoryRouteTable) -> None:
    await routes.announce(RELAY)
    clocks = replace(CLOCKS, max_length_s=60.0)
    session = await sessions.create(make_resolved(make_profile(clocks=clocks)), {"stage": "a.usd"}, by=ME)
    assert session.state is State.PENDING
    assert session.slot is not None and session.slot.profile == "default"
    assert isinstance(session.ports, RelayPorts)
    assert (session.owner, session.arguments, session.clocks) == ("me", {"stage": "a.usd"}, clocks)
    assert (session.share, session.created_by, session.updated_by) == ("me", "me", "me")
    assert session.expires_at is None, "the longest length counts from readiness on"
    assert len(session.backend_secret) >= 32


async def test_two_sessions_share_nothing(sessions: Sessions, routes: MemoryRouteTable) -> None:
    await routes.announce(RELAY)
    resolved = make_resolved(make_profile())
    first = await sessions.create(resolved, {}, by=ME)
    second = await sessions.create(resolved, {}, by=ME)
    assert first.slot is not None and second.slot is not None and first.ports is not None and second.ports is not None
    assert first.slot.claim != second.slot.claim
    assert {first.ports.signaling_port, first.ports.media_port}.isdisjoint(
        {second.ports.signaling_port, second.ports.media_port}
    )
    assert first.backend_secret != second.backend_secret


async def test_a_session_is_made_while_no_relay_is_announced(sessions: Sessions) -> None:
    assert (await sessions.create(make_resolved(make_profile()), {}, by=ME)).ports is None


async def test_a_session_that_finds_no_slot_waits_in_the_queue(sessions: Sessions) -> None:
    resolved = make_resolved(make_profile(slots=1))
    await sessions.create(resolved, {}, by=ME)
    waiting = [await sessions.create(resolved, {}, by=ME) for _ in range(3)]
    assert {(session.phase, session.slot, session.ports) for session in waiting} == {(Phase.QUEUED, None, None)}
    now = await sessions.now()
    assert [sessions.place_of(session, now) for session in waiting] == [Place(n, None, 3) for n in (1, 2, 3)]
    await sessions.end(waiting[0].id, by=ME)
    await sessions.stop(waiting[1].id, by=ME)
    assert [sessions.place_of(session, now) for session in waiting] == [None, None, Place(1, None, 1)]


async def test_a_newcomer_does_not_overtake_those_who_wait(sessions: Sessions, store: MemoryStore) -> None:
    resolved = make_resolved(make_profile(slots=1))
    first = await sessions.create(resolved, {}, by=ME)
    await sessions.create(resolved, {}, by=ME)
    await store.write(replace(ended(first, EndReason.DELETED, "", 1.0), slot=None))
    assert (await sessions.create(resolved, {}, by=YOU)).phase is Phase.QUEUED


async def everything(store: MemoryStore) -> object:
    ledger = await store.ledger()
    pools = ("sessions", "share/me", "share/you", "slots/process/default", "queue/default", "relay/relay-a")
    return await store.claims(), await store.sessions(), [ledger.count(pool) for pool in pools]


async def test_nothing_is_allocated_when_the_queue_is_full_too(sessions: Sessions, store: MemoryStore) -> None:
    resolved = make_resolved(replace(make_profile(slots=1), queue=1))
    for _ in range(2):
        await sessions.create(resolved, {}, by=ME)
    before = await everything(store)
    with pytest.raises(NoCapacity, match="default") as refusal:
        await sessions.create(resolved, {}, by=YOU)
    assert refusal.value.retry_after_s > 0
    assert await everything(store) == before


async def test_a_profile_without_queue_refuses_at_once(sessions: Sessions, store: MemoryStore) -> None:
    resolved = make_resolved(replace(make_profile(slots=1), queue=0))
    await sessions.create(resolved, {}, by=ME)
    before = await everything(store)
    with pytest.raises(NoCapacity):
        await sessions.create(resolved, {}, by=ME)
    assert await everything(store) == before


async def test_a_session_for_which_no_ports_are_left_waits_for_them(
    sessions: Sessions, routes: MemoryRouteTable
) -> None:
    await routes.announce(replace(RELAY, ports=PortRange(31000, 31001)))
    resolved = make_resolved(make_profile())
    await sessions.create(resolved, {}, by=ME)
    waiting = await sessions.create(resolved, {}, by=ME)
    assert (waiting.phase, waiting.slot, waiting.ports) == (Phase.QUEUED, None, None)


async def test_many_at_once_get_as_many_slots_as_there_are(sessions: Sessions, routes: MemoryRouteTable) -> None:
    await routes.announce(replace(RELAY, ports=PortRange(31000, 31099), capacity=100))
    resolved = make_resolved(replace(make_profile(slots=7), queue=5))
    asked = (sessions.create(resolved, {}, by=ME) for _ in range(20))
    results = await asyncio.gather(*asked, return_exceptions=True)
    made = [result for result in results if isinstance(result, Session)]
    slots = {session.slot.claim for session in made if session.slot is not None}
    assert (len(made), len(slots)) == (12, 7)
    assert sum(isinstance(result, NoCapacity) for result in results) == 8


async def test_a_quota_counts_each_owner_and_all_together(store: MemoryStore, routes: MemoryRouteTable) -> None:
    sessions = Sessions(store, routes, quotas=Quotas(per_owner=2, total=3))
    resolved = make_resolved(make_profile(slots=9))
    mine = [await sessions.create(resolved, {}, by=ME) for _ in range(2)]
    before = await everything(store)
    with pytest.raises(QuotaExceeded, match="'me' has 2 sessions"):
        await sessions.create(resolved, {}, by=ME)
    with pytest.raises(QuotaExceeded, match="'me' has 2 sessions"):
        await sessions.create(resolved, {}, by=ADMIN, owner="me")
    assert await everything(store) == before
    await sessions.create(resolved, {}, by=YOU)
    with pytest.raises(QuotaExceeded, match="3 sessions, as many as allowed in all"):
        await sessions.create(resolved, {}, by=ADMIN)
    await sessions.stop(mine[0].id, by=ME)
    with pytest.raises(QuotaExceeded):
        await sessions.create(resolved, {}, by=ME)
    await sessions.end(mine[0].id, by=ME)
    assert (await sessions.create(resolved, {}, by=ME)).owner == "me"


async def test_of_many_at_once_no_more_than_the_quota_are_made(store: MemoryStore, routes: MemoryRouteTable) -> None:
    sessions = Sessions(store, routes, quotas=Quotas(per_owner=4))
    asked = (sessions.create(make_resolved(make_profile(slots=9)), {}, by=ME) for _ in range(20))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 16
    assert len(await store.sessions()) == 4


async def test_admins_may_be_let_off_the_quota(store: MemoryStore, routes: MemoryRouteTable) -> None:
    sessions = Sessions(store, routes, quotas=Quotas(per_owner=1, total=1, exempt_admins=True))
    for _ in range(3):
        await sessions.create(make_resolved(make_profile(slots=9)), {}, by=ADMIN)
    with pytest.raises(QuotaExceeded):
        await sessions.create(make_resolved(make_profile(slots=9)), {}, by=ME)


async def test_a_second_create_with_the_same_key_is_the_same_session(sessions: Sessions, store: MemoryStore) -> None:
    resolved = make_resolved(make_profile())
    first = await sessions.create(resolved, {"stage": "a"}, by=ME, idempotency_key="k")
    assert await sessions.create(resolved, {"stage": "a"}, by=ME, idempotency_key="k") == first
    assert len(await store.sessions()) == 1


async def test_creates_with_one_key_at_once_make_one_session(sessions: Sessions, store: MemoryStore) -> None:
    resolved = make_resolved(make_profile(slots=10))
    made = await asyncio.gather(*(sessions.create(resolved, {}, by=ME, idempotency_key="k") for _ in range(10)))
    assert len({session.id for session in made}) == 1
    assert len(await store.sessions()) == 1


async def test_a_key_used_for_another_request_is_refused(sessions: Sessions) -> None:
    resolved = make_resolved(make_profile())
    await sessions.create(resolved, {"stage": "a"}, by=ME, idempotency_key="k")
    with pytest.raises(Conflict):
        await sessions.create(resolved, {"stage": "b"}, by=ME, idempotency_key="k")


async def test_the_same_key_of_another_owner_is_another_key(sessions: Sessions) -> None:
    resolved = make_resolved(make_profile())
    first = await sessions.create(resolved, {}, by=ME, idempotency_key="k")
    assert (await sessions.create(resolved, {}, by=YOU, idempotency_key="k")).id != first.id


async def test_a_create_that_waits_returns_the_session_ready(sessions: Sessions, store: MemoryStore) -> None:
    waiting = asyncio.create_task(sessions.create(make_resolved(make_profile()), {}, by=ME, wait_s=20))
    async with asyncio.timeout(5), aclosing(store.changes()) as changes:
        async for _ in changes:
            if made := await sessions.list(by=ME):
                break
    await make_ready(store, made[0])
    async with asyncio.timeout(5):
        assert (await waiting).state is State.READY


async def test_a_wait_is_bounded(sessions: Sessions) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME, wait_s=0.01)
    assert session.state is State.PENDING
    assert (await sessions.get(session.id, wait_s=0.01, by=ME)).state is State.PENDING


async def test_a_get_that_waits_returns_at_the_end_of_the_session(sessions: Sessions) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    waiting = asyncio.create_task(sessions.get(session.id, wait_s=20, by=ME))
    await asyncio.sleep(0)
    await sessions.end(session.id, by=ME)
    async with asyncio.timeout(5):
        assert (await waiting).end_reason is EndReason.DELETED


async def test_an_unknown_session_is_named(sessions: Sessions) -> None:
    with pytest.raises(NotFound, match=session_id(1)):
        await sessions.get(session_id(1), by=ME)
    with pytest.raises(NotFound):
        await sessions.end(session_id(1), by=ME)


async def test_a_deleted_session_is_listed_no_more_and_can_be_read(sessions: Sessions) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    await sessions.end(session.id, by=ME)
    assert await sessions.list(by=ME) == []
    assert (await sessions.get(session.id, by=ME)).end_reason is EndReason.DELETED
    with pytest.raises(NotFound):
        await sessions.end(session.id, by=ME)


async def test_sessions_are_listed_oldest_first(routes: MemoryRouteTable) -> None:
    times = iter(range(1000, 2000))
    sessions = Sessions(MemoryStore(lambda: float(next(times))), routes)
    made = [await sessions.create(make_resolved(make_profile(slots=5)), {}, by=ME) for _ in range(5)]
    assert [session.id for session in await sessions.list(by=ME)] == [session.id for session in made]


class RacedStore(MemoryStore):
    """A store in which someone else is always first."""

    async def write(
        self, session: Session, *, linger: object = None, bounds: object = None, fence: int | None = None
    ) -> Session:
        raise WriteRace("too late")


async def test_a_race_lost_too_often_is_said_and_not_hidden(routes: MemoryRouteTable) -> None:
    with pytest.raises(StoreUnavailable):
        await Sessions(RacedStore(), routes).create(make_resolved(make_profile()), {}, by=ME)


async def test_an_end_is_written_over_a_concurrent_step(sessions: Sessions, store: MemoryStore) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    ends = asyncio.create_task(sessions.end(session.id, by=ME))
    await store.write(replace(session, message="meanwhile"))
    await ends
    stored = await store.read(session.id)
    assert stored is not None and stored.state is State.ENDED
    assert ended(stored, EndReason.IDLE, "", 0.0) == stored


async def test_a_foreign_session_is_neither_seen_nor_touched_but_by_an_admin(sessions: Sessions) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    with pytest.raises(Forbidden):
        await sessions.get(session.id, by=YOU)
    with pytest.raises(Forbidden):
        await sessions.end(session.id, by=YOU)
    assert await sessions.list(by=YOU) == []
    assert [seen.id for seen in await sessions.list(by=ADMIN)] == [session.id]
    await sessions.end(session.id, by=ADMIN)


async def test_a_stopped_session_keeps_its_id_and_is_placed_anew(sessions: Sessions, store: MemoryStore) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    await make_ready(store, session)
    stopped = await sessions.stop(session.id, by=ME)
    assert (stopped.state, stopped.stopped_by, stopped.is_settled) == (State.STOPPED, "me", False)
    with pytest.raises(Conflict, match="Another operation is in progress"):
        await sessions.start(session.id, by=ME)
    await store.write(replace(stopped, slot=None, ports=None))
    started = await sessions.start(session.id, by=ADMIN)
    assert (started.id, started.state, started.started_by, started.run) == (session.id, State.PENDING, "root", 1)
    assert started.backend_secret != session.backend_secret


async def test_only_an_admin_makes_a_session_for_another(sessions: Sessions) -> None:
    with pytest.raises(Forbidden):
        await sessions.create(make_resolved(make_profile()), {}, by=ME, owner="you")
    session = await sessions.create(make_resolved(make_profile()), {}, by=ADMIN, owner="you", labels={"a": "b"})
    assert (session.owner, session.share, session.created_by, session.labels) == ("you", "you", "root", {"a": "b"})
    assert (await sessions.get(session.id, by=YOU)).id == session.id


async def test_a_change_with_a_key_is_made_once(sessions: Sessions) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)

    def count(session: Session, now: float) -> Session:
        return replace(session, labels={"count": str(int(session.labels.get("count", 0)) + 1)})

    for _ in range(2):
        changed = await sessions.update(session.id, by=ME, change=count, idempotency_key="k", asked="count")
        assert changed.labels == {"count": "1"}
    with pytest.raises(Conflict):
        await sessions.update(session.id, by=ME, change=count, idempotency_key="k", asked="something else")
    assert (await sessions.update(session.id, by=ADMIN, change=count, idempotency_key="k")).labels == {"count": "2"}


async def test_a_session_is_not_started_where_it_could_not_even_wait(sessions: Sessions, store: MemoryStore) -> None:
    def catalog() -> Catalog:
        return make_catalog(replace(make_profile(slots=1), queue=0))

    sessions = Sessions(store, MemoryRouteTable(), catalog=catalog)
    resolved = make_resolved(make_profile(slots=1))
    stopped = await sessions.stop((await sessions.create(resolved, {}, by=ME)).id, by=ME)
    stopped = await store.write(replace(stopped, slot=None))
    await sessions.create(resolved, {}, by=ME)
    before = await everything(store)
    with pytest.raises(NoCapacity):
        await sessions.start(stopped.id, by=ME)
    assert await everything(store) == before


async def test_a_session_whose_profile_is_gone_is_not_started(store: MemoryStore) -> None:
    sessions = Sessions(store, MemoryRouteTable())
    stopped = await sessions.stop((await sessions.create(make_resolved(make_profile()), {}, by=ME)).id, by=ME)
    await store.write(replace(stopped, slot=None))
    with pytest.raises(NotFound, match="profile"):
        await sessions.start(stopped.id, by=ME)


async def test_stop_and_start_may_be_repeated_and_nimbles_are_strict(sessions: Sessions, store: MemoryStore) -> None:
    session = await sessions.create(make_resolved(make_profile()), {}, by=ME)
    assert await sessions.start(session.id, by=ME) == session, "it runs already"
    with pytest.raises(Conflict, match="in progress"):
        await sessions.start(session.id, by=ME, only_settled=True)
    with pytest.raises(Conflict, match="in progress"):
        await sessions.stop(session.id, by=ME, only_settled=True)
    await make_ready(store, session)
    with pytest.raises(Conflict, match="runs already"):
        await sessions.start(session.id, by=ME, only_settled=True)
    stopped = await sessions.stop(session.id, by=ME, only_settled=True, idempotency_key="k")
    assert await sessions.stop(session.id, by=ME, only_settled=True, idempotency_key="k") == stopped
    assert await sessions.stop(session.id, by=ME) == stopped
    with pytest.raises(Conflict, match="in progress"):
        await sessions.stop(session.id, by=ME, only_settled=True)
    await store.write(replace(stopped, slot=None, ports=None))
    with pytest.raises(Conflict, match="stopped already"):
        await sessions.stop(session.id, by=ME, only_settled=True)
    with pytest.raises(Conflict, match="idempotency key or client token"):
        await sessions.start(session.id, by=ME, idempotency_key="k")


async def test_a_session_is_extended_by_its_owner(sessions: Sessions, store: MemoryStore) -> None:
    clocks = replace(CLOCKS, max_length_s=60.0, extend_s=30.0)
    session = await sessions.create(make_resolved(make_profile(clocks=clocks)), {}, by=ME)
    with pytest.raises(Forbidden):
        await sessions.extend(session.id, by=YOU)
    with pytest.raises(Conflict):
        await sessions.extend(session.id, by=ME)
    await store.write(replace(session, state=State.READY, expires_at=5000.0, viewer_present=True, first_viewer_at=1.0))
    assert (await sessions.extend(session.id, by=ME)).expires_at == 5030.0
    assert (await sessions.extend(session.id, by=ME, seconds=10, idempotency_key="k")).expires_at == 5040.0
    assert (await sessions.extend(session.id, by=ME, seconds=10, idempotency_key="k")).expires_at == 5040.0


class FadingStore(MemoryStore):
    """One that goes away as soon as somebody waits for a change."""

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        raise StoreUnavailable


async def test_a_session_that_was_made_is_answered_though_the_store_goes_away_while_one_waits() -> None:
    sessions = Sessions(FadingStore(), MemoryRouteTable())
    session = await sessions.create(make_resolved(make_profile()), {"stage": "a"}, by=ME, wait_s=5)
    assert session.state is State.PENDING
