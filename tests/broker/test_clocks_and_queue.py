"""Sessions core and reconciler together, in virtual time: clocks, warnings, the queue, stop and start."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from broker.core.catalog import Profile
from broker.core.clocks import next_alarm
from broker.core.events import EventType
from broker.core.ledger import ALL_SESSIONS
from broker.core.principal import Principal, Role
from broker.core.session import EndReason, Phase, Session, State
from broker.reconciler import Reconciler
from broker.sessions import Sessions
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from signaling.routes import PortRange
from signaling.table import MemoryRouteTable
from tests.broker.api.serving import SaidProvider
from tests.broker.relay import ReportingRelay
from tests.broker.samples import CLOCKS, ME, RELAY, make_catalog, make_profile, make_resolved

pytestmark = pytest.mark.looptime

WIDE_RELAY = replace(RELAY, ports=PortRange(31000, 31999), capacity=500)


@dataclass
class Broker:
    store: MemoryStore
    sessions: Sessions
    relay: ReportingRelay
    provider: SaidProvider
    profile: Profile
    first_event: int

    async def create(self, share: str = "me", *, wait_s: float = 0) -> Session:
        by = Principal(share, Role.USER, share)
        return await self.sessions.create(make_resolved(self.profile), {}, by=by, wait_s=wait_s)

    async def now(self, session: Session) -> Session:
        """The session as it is once everybody had a moment."""
        await asyncio.sleep(0.01)
        found = await self.store.read(session.id)
        assert found is not None
        return found

    async def warnings(self, session: Session) -> list[object]:
        events = self.store.events(self.first_event)
        batch = await anext(events)
        await events.aclose()
        mine = [event.draft for event in batch if event.draft.session_id == session.id]
        return [draft.data["reason"] for draft in mine if draft.type is EventType.WARNING]


@asynccontextmanager
async def broker(profile: Profile) -> AsyncIterator[Broker]:
    loop = asyncio.get_running_loop()
    store, table, room = MemoryStore(lambda: 1e6 + loop.time()), MemoryRouteTable(), WaitingRoom()
    catalog, provider = make_catalog(profile), SaidProvider()
    relay = ReportingRelay(table, WIDE_RELAY)
    sessions = Sessions(store, table, catalog=lambda: catalog, room=room)
    reconciler = Reconciler(store, table, {"process": provider}, lambda: catalog, room=room)
    store.listen(room.see)
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(reconciler.run())]
    await asyncio.sleep(0.01)
    try:
        yield Broker(store, sessions, relay, provider, profile, await store.last_event_id())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_who_waits_is_served_in_turn_as_slots_become_free() -> None:
    async with broker(make_profile(slots=2)) as it:
        running = [await it.create("ann") for _ in range(2)]
        waiting = [await it.create(share) for share in ("ann", "ann", "ann", "ben")]
        for over in running:
            await it.sessions.end(over.id, by=Principal("ann", Role.USER, "ann"))
        states = [(await it.now(session)).state for session in waiting]
        assert states == [State.READY, State.PENDING, State.PENDING, State.READY]


async def test_who_waits_too_long_leaves_with_its_reason_and_the_others_move_up() -> None:
    async with broker(make_profile(slots=1, clocks=replace(CLOCKS, placement_s=60))) as it:
        await it.create()
        first = await it.create()
        await asyncio.sleep(30)
        second = await it.create()
        await asyncio.sleep(31)
        first, second = await it.now(first), await it.now(second)
        assert (first.state, first.end_reason) == (State.ENDED, EndReason.QUEUE_TIMEOUT)
        place = it.sessions.place_of(second, await it.store.now())
        assert second.phase is Phase.QUEUED and place is not None and place.position == 1
        assert await it.warnings(first) == ["queue_timeout"]


async def test_the_time_to_start_begins_with_the_slot() -> None:
    async with broker(
        make_profile(slots=1, clocks=replace(CLOCKS, placement_s=600, start_s=20, first_connection_s=9e6))
    ) as it:
        holder = await it.create()
        waiting = await it.create()
        await asyncio.sleep(300)
        await it.sessions.end(holder.id, by=ME)
        assert (await it.now(waiting)).state is State.READY


async def test_where_ports_are_all_that_lacks_the_next_one_says_so_and_gets_the_first() -> None:
    async with broker(make_profile(slots=3, clocks=replace(CLOCKS, placement_s=600))) as it:
        it.relay.info = replace(WIDE_RELAY, ports=PortRange(31000, 31001))
        await it.relay.table.announce(it.relay.info)
        holder, first, second = [await it.create() for _ in range(3)]
        assert [(await it.now(one)).phase for one in (first, second)] == [Phase.PLACING, Phase.QUEUED]
        await it.sessions.end(holder.id, by=ME)
        await asyncio.sleep(20)
        assert (await it.now(first)).state is State.PENDING, "ports rest before they are given out again"
        await asyncio.sleep(12)
        assert [(await it.now(one)).state for one in (first, second)] == [State.READY, State.PENDING]


async def test_a_stopped_session_gives_everything_back_and_starts_anew_under_its_id() -> None:
    async with broker(make_profile(slots=1)) as it:
        session = await it.create(wait_s=5)
        other = await it.create()
        await it.sessions.stop(session.id, by=ME)
        stopped, served = await it.now(session), await it.now(other)
        assert (stopped.state, stopped.is_settled, stopped.message) == (State.STOPPED, True, "Session is stopped")
        assert served.state is State.READY, "its slot went to the one who waited"
        assert set(it.relay.served) == {other.id}
        started = await it.sessions.start(session.id, by=ME)
        assert (started.id, started.phase) == (session.id, Phase.QUEUED)
        await it.sessions.end(other.id, by=ME)
        again = await it.now(session)
        assert again.state is State.READY
        assert it.provider.activations[-1].backend_secret == again.backend_secret != session.backend_secret


async def test_a_session_may_be_stopped_and_started_many_times() -> None:
    async with broker(make_profile(slots=1)) as it:
        session = await it.create(wait_s=5)
        for _ in range(5):
            await it.sessions.stop(session.id, by=ME)
            assert (await it.now(session)).is_settled
            await it.sessions.start(session.id, by=ME)
            assert (await it.now(session)).state is State.READY


async def test_a_session_stopped_while_it_starts_or_waits_gives_everything_back() -> None:
    async with broker(make_profile(slots=1)) as it:
        it.provider.hold = True
        starting, waiting = await it.create(), await it.create()
        for session in (starting, waiting):
            await it.sessions.stop(session.id, by=ME)
        assert [(await it.now(one)).is_settled for one in (starting, waiting)] == [True, True]
        assert (await it.store.ledger()).count("slots/process/default") == 0


async def test_the_longest_length_counts_from_readiness_and_may_stop_rather_than_end() -> None:
    clocks = replace(CLOCKS, first_connection_s=9e6, max_length_s=600, at_max_length="stop", max_stopped_s=100)
    async with broker(make_profile(clocks=clocks)) as it:
        session = await it.create(wait_s=5)
        await asyncio.sleep(539)
        assert await it.warnings(session) == []
        await asyncio.sleep(2)
        assert await it.warnings(session) == ["max_length"]
        await asyncio.sleep(60)
        stopped = await it.now(session)
        assert (stopped.state, stopped.stopped_by) == (State.STOPPED, "pixelferry")
        await it.sessions.start(session.id, by=ME)
        await asyncio.sleep(590)
        assert (await it.now(session)).state is State.READY
        await asyncio.sleep(120)
        over = await it.now(session)
        assert (over.state, over.end_reason) == (State.ENDED, EndReason.MAX_STOPPED)


async def test_a_warned_session_that_is_extended_lives_on_and_is_warned_anew() -> None:
    clocks = replace(CLOCKS, first_connection_s=9e6, max_length_s=600, extend_s=300, warn_s=10)
    async with broker(make_profile(clocks=clocks)) as it:
        session = await it.create(wait_s=5)
        await asyncio.sleep(595)
        await it.sessions.extend(session.id, by=ME)
        await asyncio.sleep(290)
        assert (await it.now(session)).state is State.READY
        await asyncio.sleep(10)
        assert await it.warnings(session) == ["max_length", None, "max_length"], "None: the first one was taken back"
        await asyncio.sleep(10)
        assert (await it.now(session)).end_reason is EndReason.MAX_LENGTH


async def test_a_watched_session_has_no_end_in_sight_and_an_unwatched_one_does() -> None:
    async with broker(make_profile()) as it:
        session = await it.create(wait_s=5)
        await it.relay.viewers(session.id, 1)
        assert next_alarm(await it.now(session)) is None
        await it.relay.viewers(session.id, 0)
        alarm = next_alarm(await it.now(session))
        assert alarm is not None and alarm.reason is EndReason.DISCONNECTED


async def test_a_viewer_of_a_foreign_backend_who_rests_is_warned_then_ended_and_one_who_acts_is_not() -> None:
    clocks = replace(CLOCKS, idle_s=60)
    async with broker(replace(make_profile(slots=3, clocks=clocks), protocol="plain")) as it:
        rests, acts, silent = [await it.create(wait_s=5) for _ in range(3)]
        began = await it.store.now() // 10 * 10
        await it.relay.viewers(rests.id, 1, input_at=began)
        for step in range(12):
            await it.relay.viewers(silent.id, 1)
            await it.relay.viewers(acts.id, 1, input_at=began + 10 * step)
            await asyncio.sleep(10)
        over = await it.now(rests)
        assert over.end_reason is EndReason.IDLE and over.ended_at == began + 60 + 12
        assert await it.warnings(rests) == ["idle"]
        told = "Are you still there? Without input the session ends in 20 s."
        assert rests.slot is not None and it.provider.warnings == [(rests.slot.id, told)]
        assert [(await it.now(one)).state for one in (acts, silent)] == [State.READY, State.READY]
        assert await it.warnings(acts) == []


async def test_viewers_are_told_once_of_each_warning_however_often_its_alarm_moves() -> None:
    clocks = replace(CLOCKS, idle_s=60, warn_s=60)
    async with broker(make_profile(clocks=clocks)) as it:
        session = await it.create(wait_s=5)
        for _ in range(6):
            await it.relay.viewers(session.id, 1, input_at=await it.store.now() - 13)
            await asyncio.sleep(30)
        assert len(it.provider.warnings) == 1 < len(await it.warnings(session))
        await it.relay.viewers(session.id, 1, input_at=await it.store.now() + 60)
        await asyncio.sleep(1)
        assert (await it.now(session)).warning is None
        await asyncio.sleep(75)
        assert len(it.provider.warnings) == 2


@pytest.mark.parametrize("shares", [("ann",), ("ann", "ben", "cleo")])
async def test_many_who_wait_are_all_served_once_each_in_turn(shares: tuple[str, ...]) -> None:
    profile = replace(make_profile(slots=3, clocks=replace(CLOCKS, placement_s=9e4, max_length_s=10)), queue=1000)
    async with broker(profile) as it:
        made = [await it.create(share) for share in shares for _ in range(60 // len(shares))]
        served: Counter[str] = Counter()
        for _ in range(25):
            await asyncio.sleep(10.5)
            ready = [session for session in (await it.store.sessions()).values() if session.state is State.READY]
            served.update(session.id for session in ready)
            assert len(ready) <= 3
        over = await it.store.sessions()
        assert {over[session.id].end_reason for session in made} == {EndReason.MAX_LENGTH}
        assert (await it.store.ledger()).count(ALL_SESSIONS) == 0
        assert not [claim for claim in (await it.store.claims()).values() if claim.owner is not None]
