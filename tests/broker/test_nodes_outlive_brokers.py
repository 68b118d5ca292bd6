"""Sessions on nodes go on when the broker that converged them is gone, and another one takes up what it finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from broker.converging import Converging
from broker.core.node import NodeClocks
from broker.core.session import EndReason, Session
from broker.core.session import State as SessionState
from broker.providers.static import StaticProvider
from broker.sessions import Sessions
from broker.state import State, state_in_process
from broker.waiting_room import WaitingRoom
from signaling.table import MemoryRouteTable
from tests.broker.nodes import make_node
from tests.broker.providers.light_backend import LightBackend, light_backend
from tests.broker.relay import ReportingRelay
from tests.broker.samples import ME, make_catalog, make_profile, make_resolved
from tests.broker.waiting import eventually

PROFILE = replace(make_profile(), provider="static")
CLOCKS = NodeClocks(heartbeat_s=0.05, suspect_s=0.3, grace_s=0.4, settle_s=0.1, probe_every_s=0.02, probes=3)


class Deployment:
    """What outlives brokers: the state, a relay, a node that says that it lives with one backend."""

    def __init__(self, backend: LightBackend) -> None:
        self.backend = backend
        self.table = MemoryRouteTable()
        self.state: State = state_in_process(routes=self.table, node_clocks=CLOCKS)
        self.instance = "first"
        self.is_heard = True

    async def keep_heard(self) -> None:
        while True:
            if self.is_heard:
                slot = self.backend.slot(instance=self.instance)
                await self.state.nodes.put(make_node("gpu-1", slot, host="127.0.0.1"))
            await asyncio.sleep(CLOCKS.heartbeat_s)

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Sessions]:
        """One that converges."""
        room, catalog = WaitingRoom(), make_catalog(PROFILE)
        common = {"static": StaticProvider(self.state.nodes)}
        converging = Converging(
            self.state, lambda: catalog, own={}, common=common, room=room, troubled=lambda error: None
        )
        task = asyncio.create_task(converging.run())
        try:
            yield Sessions(
                self.state.store, self.table, catalog=lambda: catalog, room=room, fleet=self.state.nodes.fleet
            )
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def session(self, session_id: str) -> Session:
        session = await self.state.store.read(session_id)
        assert session is not None
        return session

    async def ended(self, session_id: str) -> Session:
        """The session once it has ended and given everything back."""
        for _ in range(500):
            session = await self.session(session_id)
            if session.forget_at is not None:
                return session
            await asyncio.sleep(0.01)
        raise AssertionError("it did not end within 5 s")


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    async with light_backend() as backend:
        deployment = Deployment(backend)
        relay = ReportingRelay(deployment.table)
        tasks = [asyncio.create_task(relay.run()), asyncio.create_task(deployment.keep_heard())]
        await asyncio.sleep(0)
        yield deployment
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def ready_session(sessions: Sessions) -> str:
    session = await sessions.create(make_resolved(PROFILE), {}, by=ME, wait_s=5)
    assert session.state is SessionState.READY, session.message
    assert session.slot is not None and session.slot.node == "gpu-1"
    return session.id


async def test_another_broker_goes_on_with_what_it_finds(deployment: Deployment) -> None:
    async with deployment.broker() as sessions:
        session_id = await ready_session(sessions)
    backend = deployment.backend
    assert backend.session_id == session_id, "it goes on while there is no broker"
    backend.asked.clear()
    async with deployment.broker() as sessions:
        await eventually(lambda: "GET /v1/ready" in backend.asked)
        assert (await deployment.session(session_id)).state is SessionState.READY
        assert not [asked for asked in backend.asked if asked.startswith(("PUT", "DELETE"))]
        await sessions.end(session_id, by=ME)
        await deployment.ended(session_id)
        assert backend.session_id is None
        again = await ready_session(sessions)
        assert backend.session_id == again


async def test_what_was_ended_meanwhile_is_given_back(deployment: Deployment) -> None:
    async with deployment.broker() as sessions:
        session_id = await ready_session(sessions)
    await sessions.end(session_id, by=ME)
    assert deployment.backend.session_id == session_id
    async with deployment.broker():
        await deployment.ended(session_id)
    assert deployment.backend.session_id is None


async def test_a_backend_that_was_restarted_meanwhile_is_no_longer_the_sessions(deployment: Deployment) -> None:
    async with deployment.broker() as sessions:
        session_id = await ready_session(sessions)
    deployment.backend.session_id, deployment.instance = None, "second"
    await eventually(lambda: deployment.state.nodes.fleet().nodes["gpu-1"].slots[0].instance == "second")
    async with deployment.broker() as sessions:
        assert (await deployment.ended(session_id)).end_reason is EndReason.BACKEND_FAILED
        assert deployment.backend.session_id is None, "it was not given the session again"
        await ready_session(sessions)


async def test_a_node_that_is_gone_loses_its_session_and_the_slot_is_free_when_it_is_back(
    deployment: Deployment,
) -> None:
    async with deployment.broker() as sessions:
        session_id = await ready_session(sessions)
        deployment.is_heard = False
        await deployment.backend.close()
        ended = await deployment.ended(session_id)
        assert ended.end_reason is EndReason.NODE_LOST
        assert ended.message.startswith("Node gpu-1 is lost")
        await deployment.backend.open()
        deployment.is_heard = True
        again = await ready_session(sessions)
        assert deployment.backend.session_id == again, "what it had before was ended first"


async def test_a_node_that_flaps_keeps_its_session(deployment: Deployment) -> None:
    async with deployment.broker() as sessions:
        session_id = await ready_session(sessions)
        for _ in range(3):
            deployment.is_heard = False
            await eventually(lambda: is_silent(deployment))
            asked = len(deployment.backend.asked)
            await eventually(lambda seen=asked: len(deployment.backend.asked) > seen + 2)  # type: ignore[misc]
            deployment.is_heard = True
            await eventually(lambda: not is_silent(deployment))
        assert (await deployment.session(session_id)).state is SessionState.READY
        assert deployment.backend.session_id == session_id


def is_silent(deployment: Deployment) -> bool:
    nodes = deployment.state.nodes
    return nodes.now() - nodes.fleet().nodes["gpu-1"].heard_at > CLOCKS.grace_s
