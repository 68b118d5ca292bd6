"""The reconciler with the memory store, the memory route table and real backend processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from broker.core.catalog import Catalog, Profile
from broker.core.session import EndReason, Phase, Session, State
from broker.errors import StoreUnavailable
from broker.leadership import ALONE, Term
from broker.providers.process import ProcessProvider, ProcessSettings, usual_backend_host
from broker.reconciler import Reconciler
from broker.route_record import session_of
from broker.sessions import Sessions
from broker.stores.lease import MemoryLease
from broker.stores.memory import MemoryStore
from broker.waiting_room import WaitingRoom
from signaling.errors import TableUnavailable
from signaling.routes import PortRange
from signaling.table import MemoryRouteTable
from tests.broker.relay import ReportingRelay
from tests.broker.samples import CLOCKS, ME, RELAY, make_catalog, make_profile, make_resolved
from tests.broker.waiting import eventually

BACKEND = (sys.executable, str(Path(__file__).parent / "providers" / "backend.py"))
Item = TypeVar("Item")


@dataclass
class Broker:
    store: MemoryStore
    sessions: Sessions
    relay: ReportingRelay
    profile: Profile

    async def create(self, *, wait_s: float = 15) -> Session:
        return await self.sessions.create(make_resolved(self.profile), {"stage": "a"}, by=ME, wait_s=wait_s)

    async def until(self, session_id: str, wanted: Callable[[Session], bool]) -> Session:
        async with asyncio.timeout(15), aclosing(self.store.changes(session_id)) as changes:
            async for _ in changes:
                session = await self.store.read(session_id)
                assert session is not None
                if wanted(session):
                    return session
        raise AssertionError("unreachable")

    async def until_clean(self, session_id: str) -> Session:
        return await self.until(session_id, lambda session: session.forget_at is not None)


class Outage:
    """Of a store or a route table: while it lasts, whoever follows changes is cut off."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        self._begun.set()

    def end(self) -> None:
        self._begun.clear()

    async def cutting(self, items: AsyncIterator[Item], error: Exception) -> AsyncGenerator[Item, None]:
        assert isinstance(items, AsyncGenerator)
        async with aclosing(items):
            while True:
                item = asyncio.ensure_future(anext(items))
                cut = asyncio.create_task(self._begun.wait())
                try:
                    await asyncio.wait((item, cut), return_when=asyncio.FIRST_COMPLETED)
                    if cut.done():
                        raise error
                    yield await item
                finally:
                    item.cancel()
                    cut.cancel()
                    await asyncio.wait((item, cut))


class ShakyStore(MemoryStore):
    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self.outage = outage

    def changes(self, session_id: str | None = None) -> AsyncGenerator[frozenset[str], None]:
        return self.outage.cutting(super().changes(session_id), StoreUnavailable())


class ShakyTable(MemoryRouteTable):
    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self.outage = outage

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        async for ids in self.outage.cutting(super().changes(), TableUnavailable()):
            yield ids


@asynccontextmanager
async def broker(
    *arguments: str,
    profile: Profile | None = None,
    catalog: Catalog | None = None,
    relay: bool = True,
    taken: frozenset[int] = frozenset(),
    outage: Outage | None = None,
    store: MemoryStore | None = None,
    term: Term = ALONE,
    records: bool = False,
) -> AsyncIterator[Broker]:
    """Everything but API and relay, in one event loop; nothing of it is left afterwards."""
    profile = profile or make_profile(command=(*BACKEND, *arguments))
    store, table = store or ShakyStore(outage or Outage()), ShakyTable(outage or Outage())
    provider = ProcessProvider(ProcessSettings(usual_backend_host(), end_grace_s=1.0))
    catalog, room = catalog or make_catalog(profile), WaitingRoom()
    whole = Broker(store, Sessions(store, table, catalog=lambda: catalog, room=room), ReportingRelay(table), profile)
    whole.relay.taken |= taken
    store.listen(room.see)
    providers = {"process": provider}
    reconciler = Reconciler(store, table, providers, lambda: catalog, room=room, term=term, records=records)
    tasks = [asyncio.create_task(provider.run()), asyncio.create_task(reconciler.run())]
    if relay:
        tasks.append(asyncio.create_task(whole.relay.run()))
    try:
        await asyncio.sleep(0)
        yield whole
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert not psutil.Process().children(recursive=True)


def backend_processes() -> list[int]:
    return [child.pid for child in psutil.Process().children()]


async def test_a_session_becomes_ready_and_a_delete_gives_everything_back() -> None:
    async with broker() as it:
        session = await it.create()
        assert (session.state, session.message) == (State.READY, "Session is active")
        assert session.route is not None and it.relay.served == {session.id: session.route}
        assert len(backend_processes()) == 1
        await it.sessions.end(session.id, by=ME)
        over = await it.until_clean(session.id)
        assert (over.end_reason, over.slot, over.ports) == (EndReason.DELETED, None, None)
        assert not backend_processes()
        assert not it.relay.served
        claims = await it.store.claims()
        assert all(claim.owner is None for claim in claims.values()), "only ports may linger"


async def test_the_route_is_opened_while_the_backend_starts() -> None:
    async with broker("--silent") as it:
        session = await it.create(wait_s=0)
        waiting = await it.until(session.id, lambda session: session.backend is not None)
        await eventually(lambda: session.id in it.relay.served)
        assert (waiting.state, waiting.phase) == (State.PENDING, Phase.STARTING)


async def test_several_sessions_start_side_by_side() -> None:
    profile = make_profile(command=BACKEND, slots=4)
    async with broker(profile=profile) as it:
        sessions = await asyncio.gather(*(it.create() for _ in range(4)))
        assert {session.state for session in sessions} == {State.READY}
        ports = {s.route.backend.signaling_port for s in sessions if s.route is not None}
        assert len(ports) == len(backend_processes()) == 4


async def test_a_pending_session_can_be_deleted_and_returns_all() -> None:
    async with broker("--silent") as it:
        session = await it.create(wait_s=0)
        await it.sessions.end(session.id, by=ME)
        await it.until_clean(session.id)
        assert not backend_processes()


async def test_a_session_deleted_while_its_backend_is_starting_returns_all() -> None:
    async with broker("--silent") as it:
        session = await it.create(wait_s=0)
        await it.until(session.id, lambda session: session.backend is not None)
        assert backend_processes()
        await it.sessions.end(session.id, by=ME)
        await it.until_clean(session.id)
        assert not backend_processes()


async def test_a_killed_backend_ends_its_session_and_leaves_the_others_alone() -> None:
    async with broker("--words", "about to serve") as it:
        session, other = await asyncio.gather(it.create(), it.create())
        assert session.backend is not None
        os.kill(process_listening_on(session.backend.signaling_port), signal.SIGKILL)
        over = await it.until_clean(session.id)
        assert over.end_reason is EndReason.BACKEND_FAILED
        assert "SIGKILL" in over.message and "about to serve" in over.message
        assert (await it.sessions.get(other.id, by=ME)).state is State.READY
        assert set(it.relay.served) == {other.id}
        assert len(backend_processes()) == 1


def process_listening_on(port: int) -> int:
    for child in psutil.Process().children(recursive=True):
        if any(connection.laddr.port == port for connection in child.net_connections()):
            return child.pid
    raise AssertionError(f"nobody listens on {port}")


async def test_a_backend_that_cannot_start_ends_its_session_with_the_reason() -> None:
    async with broker("--exit", "1", "--words", "no GPU found") as it:
        session = await it.create()
        assert (session.state, session.end_reason) == (State.ENDED, EndReason.BACKEND_FAILED)
        assert "no GPU found" in session.message
        over = await it.until_clean(session.id)
        assert (over.slot, over.ports) == (None, None)


async def test_a_backend_that_never_gets_ready_ends_its_session_in_time() -> None:
    profile = make_profile(command=(*BACKEND, "--silent"), clocks=replace(CLOCKS, start_s=0.5))
    async with broker(profile=profile) as it:
        assert (await it.create()).end_reason is EndReason.START_TIMEOUT


async def test_a_port_that_the_relay_finds_taken_is_replaced() -> None:
    taken = frozenset(range(31000, 31008))
    async with broker(taken=taken) as it:
        session = await it.create()
        assert session.state is State.READY
        assert session.ports is not None and session.ports.signaling_port == 31008
        claims = await it.store.claims()
        aside = {key for key, claim in claims.items() if claim.owner is None}
        assert aside == {f"port/relay-a/{p}" for route in it.relay.seen for p in ports_of(route.signaling_port) & taken}


def ports_of(signaling_port: int) -> set[int]:
    return {signaling_port, signaling_port + 1}


async def test_a_session_ends_when_every_port_is_taken() -> None:
    async with broker(taken=frozenset(range(31000, 31010))) as it:
        assert (await it.create()).end_reason is EndReason.NO_CAPACITY


async def test_a_session_made_before_any_relay_becomes_ready_when_one_comes() -> None:
    async with broker(relay=False) as it:
        session = await it.create(wait_s=0)
        await it.until(session.id, lambda session: session.phase is Phase.PLACING)
        relay = asyncio.create_task(it.relay.run())
        assert (await it.until(session.id, lambda session: session.state is State.READY)).ports is not None
        relay.cancel()
        await asyncio.wait((relay,))


async def test_a_session_that_nobody_watches_ends() -> None:
    profile = make_profile(command=BACKEND, clocks=replace(CLOCKS, first_connection_s=0.3))
    async with broker(profile=profile) as it:
        session = await it.create()
        assert (await it.until_clean(session.id)).end_reason is EndReason.NEVER_CONNECTED


async def test_a_session_whose_viewer_left_ends_after_its_grace() -> None:
    profile = make_profile(command=BACKEND, clocks=replace(CLOCKS, first_connection_s=5, reconnect_grace_s=0.3))
    async with broker(profile=profile) as it:
        session = await it.create()
        await it.relay.viewers(session.id, 1)
        await it.until(session.id, lambda session: session.viewer_present)
        await it.relay.viewers(session.id, 0)
        over = await it.until_clean(session.id)
        assert over.end_reason is EndReason.DISCONNECTED


async def test_a_session_whose_profile_left_the_catalog_ends_and_says_so() -> None:
    async with broker(catalog=Catalog({}, {})) as it:
        session = await it.create()
        assert session.end_reason is EndReason.BACKEND_FAILED
        assert "profile" in session.message


async def test_a_session_whose_application_was_deleted_meanwhile_begins_all_the_same() -> None:
    profile = make_profile(command=BACKEND)
    async with broker(profile=profile, catalog=Catalog({}, {profile.id: profile})) as it:
        assert (await it.create()).state is State.READY


async def test_a_slot_given_back_serves_the_next_session() -> None:
    profile = make_profile(command=BACKEND, slots=1)
    async with broker(profile=profile) as it:
        for _ in range(3):
            session = await it.create()
            assert session.state is State.READY
            await it.sessions.end(session.id, by=ME)


async def test_ports_given_back_are_not_given_out_again_at_once() -> None:
    async with broker() as it:
        first = await it.create()
        await it.sessions.end(first.id, by=ME)
        await it.until_clean(first.id)
        second = await it.create()
        assert first.ports is not None and second.ports is not None
        assert first.ports.signaling_port != second.ports.signaling_port


async def test_the_trouble_of_one_session_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker() as it:
        launch = ProcessProvider.launch
        troubled: list[str] = []

        async def launch_with_trouble(self: ProcessProvider, slot, order) -> None:  # type: ignore[no-untyped-def]
            if len(troubled) < 2 and slot.number == 0:
                troubled.append(slot.id)
                raise RuntimeError("trouble")
            await launch(self, slot, order)

        monkeypatch.setattr(ProcessProvider, "launch", launch_with_trouble)
        sessions = await asyncio.gather(it.create(), it.create())
        assert {session.state for session in sessions} == {State.READY}
        assert len(troubled) == 2
        assert "did not converge" in caplog.text


async def test_sessions_outlive_an_outage_of_store_and_route_table(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    async with broker(outage=outage) as it:
        before = await it.create()
        outage.begin()
        during = await it.create(wait_s=0)
        await eventually(lambda: caplog.text.count("is not heard for now") >= 2)
        outage.end()
        await it.until(during.id, lambda session: session.state is State.READY)
        assert (await it.sessions.get(before.id, by=ME)).state is State.READY
        await it.relay.viewers(before.id, 1)
        await it.until(before.id, lambda session: session.viewer_present)
        await it.sessions.end(before.id, by=ME)
        await it.until_clean(before.id)


async def test_a_session_of_a_lost_relay_goes_on_at_another_one() -> None:
    async with broker() as it:
        session = await it.create()
        other = ReportingRelay(it.relay.table, replace(RELAY, id="relay-b"))
        relaying = asyncio.create_task(other.run())
        await it.relay.table.retire(RELAY.id)
        moved = await it.until(session.id, lambda one: one.ports is not None and one.ports.relay_id == "relay-b")
        again = await it.until(session.id, lambda one: one.state is State.READY)
        assert (moved.slot, again.ready_at) == (session.slot, session.ready_at)
        assert session.id in other.served
        relaying.cancel()
        await asyncio.wait((relaying,))


async def test_a_broker_that_was_deposed_writes_nothing_and_says_so() -> None:
    lease, told = MemoryLease(), asyncio.Event()
    first = await lease.take("this", 60)
    term = Term(first.fence, deposed=told.set)
    store = MemoryStore(latest_fence=lambda: lease.fence)
    async with broker(store=store, term=term) as it:
        session = await it.create()
        assert session.state is State.READY
        await lease.give_up("this", lease.fence)
        await lease.take("another", 60)
        await it.relay.viewers(session.id, 1)
        async with asyncio.timeout(5):
            await told.wait()
        assert not (await it.sessions.get(session.id, by=ME)).viewer_present


async def test_nothing_is_judged_while_a_pause_may_be_under_way() -> None:
    def check(now: float) -> None:
        if paused:
            raise StoreUnavailable

    paused = True
    async with broker(term=Term(check=check)) as it:
        session = await it.create(wait_s=0.2)
        assert (session.state, session.backend) == (State.PENDING, None)
        paused = False
        await it.until(session.id, lambda one: one.state is State.READY)


async def test_a_route_carries_its_session_as_it_is_now() -> None:
    async with broker(records=True) as it:
        session = await it.create()
        await it.sessions.update(session.id, by=ME, change=lambda one, now: replace(one, labels={"note": "kept"}))

        def kept() -> Session | None:
            return session_of(it.relay.served[session.id])

        await eventually(lambda: (known := kept()) is not None and known.labels == {"note": "kept"})
        assert len(it.relay.seen) == 1, "what is served has not changed"


async def test_all_backends_end_with_the_broker() -> None:
    async with broker("--deaf") as it:
        await asyncio.gather(it.create(), it.create())
        assert len(backend_processes()) == 2
    assert not backend_processes()


async def test_no_task_is_kept_for_a_session_that_is_over() -> None:
    async with broker() as it:
        session = await it.create()
        await it.sessions.end(session.id, by=ME)
        await it.until_clean(session.id)
        await eventually(lambda: f"session {session.id}" not in {task.get_name() for task in asyncio.all_tasks()})


async def test_a_wide_range_is_walked_past_the_ports_of_others() -> None:
    async with broker() as it:
        it.relay.info = replace(RELAY, ports=PortRange(31000, 31999))
        await it.relay.table.announce(it.relay.info)
        assert (await it.create()).state is State.READY
