"""The static provider with backends that answer on real ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from broker.core.node import Fleet, SlotState
from broker.core.slot import Activity, Backend, BackendState, SlotRef
from broker.providers.base import Activation, LaunchOrder
from broker.providers.static import StaticProvider
from broker.stores.nodes import MemoryNodeStore
from signaling.routes import Endpoint
from streamer.server import StreamServer
from streamer.settings import StreamSettings
from streamer.source import VideoFormat
from streamer.test_pattern import TestPattern
from tests.broker.nodes import CLOCKS, Clock, make_node
from tests.broker.providers.light_backend import TOKEN, LightBackend, light_backend
from tests.broker.samples import CLOCKS as A_FEW
from tests.broker.samples import SESSION_ID, make_profile
from tests.broker.waiting import eventually

SLOT = SlotRef("static", "default", 0, f"gpu-1-0-{SESSION_ID[:8]}", "gpu-1")
ORDER = LaunchOrder(replace(make_profile(clocks=replace(A_FEW, idle_s=600)), provider="static"), "app", "1.0.0", {})
ACTIVATION = Activation(SESSION_ID, {"stage": "a.usd"}, "the-backends-secret")
OTHER_ID = "11111111-1f0a-4a5b-9c3d-7e6f5a4b3c2d"


class Site:
    """One node with one backend, its registration and its clock."""

    def __init__(self, backend: LightBackend, clock: Clock) -> None:
        self.backend = backend
        self.clock = clock
        self.nodes: MemoryNodeStore = MemoryNodeStore(clock, clocks=CLOCKS)

    async def say(self, *, instance: str = "first", boot: str = "boot", state: SlotState | None = None) -> None:
        """The node's heartbeat."""
        slot = self.backend.slot(instance=instance)
        slot = slot if state is None else replace(slot, state=state, message="no GPU")
        await self.nodes.put(make_node("gpu-1", slot, host="127.0.0.1", boot=boot))

    async def fall_silent(self) -> None:
        self.clock.go(CLOCKS.grace_s + 1)


@pytest.fixture
async def backend() -> AsyncIterator[LightBackend]:
    async with light_backend() as backend:
        yield backend


@pytest.fixture
async def site(backend: LightBackend) -> Site:
    site = Site(backend, Clock())
    await site.say()
    return site


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[StaticProvider]:
    provider = StaticProvider(site.nodes)
    task = asyncio.create_task(provider.run())
    await asyncio.sleep(0)
    try:
        yield provider
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture
async def provider(site: Site) -> AsyncIterator[StaticProvider]:
    async with serving(site) as provider:
        yield provider


async def seen(provider: StaticProvider, wanted: Callable[[Backend], bool], slot: SlotRef = SLOT) -> Backend:
    async with asyncio.timeout(10), aclosing(provider.observe()) as snapshots:
        async for backends in snapshots:
            backend = backends.get(slot.id)
            if backend is not None and wanted(backend):
                return backend
    raise AssertionError("unreachable")


async def claimed(provider: StaticProvider) -> Backend:
    """Its session given to the backend."""
    await provider.launch(SLOT, ORDER)
    await seen(provider, lambda backend: backend.state is BackendState.IDLE)
    await provider.activate(SLOT, ACTIVATION)
    return await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)


async def over(provider: StaticProvider) -> Backend:
    return await seen(provider, lambda backend: backend.state in (BackendState.FAILED, BackendState.LOST))


async def still_there(provider: StaticProvider, backend: LightBackend) -> None:
    """It is asked a few times more, and stays."""
    asked = len(backend.asked)
    await eventually(lambda: len(backend.asked) > asked + 2)
    assert (await seen(provider, lambda backend: True)).state is BackendState.CLAIMED


async def test_a_real_backend_is_given_a_session_and_used_again() -> None:
    settings = StreamSettings("127.0.0.1", 0, 0, 0, TOKEN, VideoFormat(64, 48, 5), hardware=False)
    server = StreamServer(TestPattern(), settings)
    await server.open()
    try:
        backend = LightBackend(port=server.control_port)
        site = Site(backend, Clock())
        await site.say()
        async with serving(site) as provider:
            for session_id in (SESSION_ID, OTHER_ID):
                slot = replace(SLOT, id=f"gpu-1-0-{session_id[:8]}")
                await provider.launch(slot, ORDER)
                idle = await seen(provider, lambda backend: backend.state is BackendState.IDLE, slot)
                assert idle.endpoint == Endpoint("127.0.0.1", 47000, 47001)
                await provider.activate(slot, Activation(session_id, {}, "secret"))
                said = await seen(provider, lambda backend: backend.state is BackendState.CLAIMED, slot)
                assert said.session_id == session_id
                await seen(provider, lambda backend: backend.activity == Activity(None), slot)
                await provider.release(slot)
    finally:
        await server.close()


async def test_a_session_is_given_and_taken_back(provider: StaticProvider, backend: LightBackend) -> None:
    backend.last_input_at = 17.0
    await claimed(provider)
    assert backend.session_id == SESSION_ID
    await seen(provider, lambda backend: backend.activity == Activity(17.0))
    await provider.notify(SLOT, "The session ends in 60 s.")
    await eventually(lambda: backend.notices == ["The session ends in 60 s."])
    await asyncio.gather(provider.release(SLOT), provider.release(SLOT))
    assert backend.session_id is None
    assert backend.asked.count(f"DELETE /v1/session?session_id={SESSION_ID}") == 1
    async with aclosing(provider.observe()) as snapshots:
        assert await anext(snapshots) == {}


async def test_what_was_left_behind_is_ended_first(provider: StaticProvider, backend: LightBackend) -> None:
    backend.session_id = OTHER_ID
    await claimed(provider)
    assert f"DELETE /v1/session?session_id={OTHER_ID}" in backend.asked
    assert backend.session_id == SESSION_ID


class DeafNodes(MemoryNodeStore):
    """As a store that is away: nobody's heartbeat is heard."""

    deaf = True

    def fleet(self) -> Fleet:
        return replace(super().fleet(), listening_since=None) if self.deaf else super().fleet()


async def test_a_broker_that_is_cut_from_the_store_ends_no_session_of_its_follower(backend: LightBackend) -> None:
    backend.session_id = OTHER_ID
    site = Site(backend, Clock())
    site.nodes = nodes = DeafNodes(site.clock, clocks=CLOCKS)
    await site.say()
    async with serving(site) as provider:
        await provider.launch(SLOT, ORDER)
        await eventually(lambda: backend.asked.count("GET /v1/ready") > 2)
        assert backend.session_id == OTHER_ID
        nodes.deaf = False
        await eventually(lambda: backend.session_id is None)


async def test_a_backend_that_refuses_has_failed(provider: StaticProvider, backend: LightBackend) -> None:
    backend.refuses = 422
    await provider.launch(SLOT, ORDER)
    await provider.activate(SLOT, ACTIVATION)
    said = await over(provider)
    assert said.state is BackendState.FAILED and "status 422" in said.message


async def test_a_backend_that_does_not_answer_yet_is_waited_for(site: Site, backend: LightBackend) -> None:
    await backend.close()
    async with serving(site) as provider:
        await provider.launch(SLOT, ORDER)
        await provider.activate(SLOT, ACTIVATION)
        await backend.open()
        await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)


async def test_a_silent_node_whose_backend_answers_keeps_its_session(
    provider: StaticProvider, site: Site, backend: LightBackend
) -> None:
    await claimed(provider)
    await site.fall_silent()
    await still_there(provider, backend)


async def test_a_silent_node_whose_backend_answers_no_more_is_lost(
    provider: StaticProvider, site: Site, backend: LightBackend
) -> None:
    await claimed(provider)
    await backend.close()
    await site.fall_silent()
    said = await over(provider)
    assert said.state is BackendState.LOST and said.message.startswith("Node gpu-1 is lost")
    async with asyncio.timeout(1):
        await provider.release(SLOT)


async def test_a_heard_node_whose_backend_answers_the_broker_not_keeps_its_session(
    provider: StaticProvider, site: Site, backend: LightBackend
) -> None:
    await claimed(provider)
    await site.say()
    await backend.close()
    await asyncio.sleep(CLOCKS.probe_every_s * 5)  # so often it could have been asked
    assert (await seen(provider, lambda backend: True)).state is BackendState.CLAIMED


async def test_a_node_that_says_goodbye_is_lost_at_once(provider: StaticProvider, site: Site) -> None:
    await claimed(provider)
    await site.nodes.leave("gpu-1")
    said = await over(provider)
    assert (said.state, said.message) == (BackendState.LOST, "Node gpu-1 is lost: it left")


async def test_a_backend_that_was_started_anew_has_lost_its_session(
    provider: StaticProvider, site: Site, backend: LightBackend
) -> None:
    await claimed(provider)
    await site.say(instance="second", state=SlotState.STARTING)
    said = await over(provider)
    assert (said.state, said.message) == (BackendState.FAILED, "no GPU")
    await provider.release(SLOT)
    assert not any(asked.startswith("DELETE") for asked in backend.asked), "what runs there now is another"


async def test_a_node_that_was_started_anew_was_lost(provider: StaticProvider, site: Site) -> None:
    await claimed(provider)
    await site.say(instance="second", boot="another")
    said = await over(provider)
    assert (said.state, said.message) == (BackendState.LOST, "Node gpu-1 is lost: it was started anew")


async def test_a_backend_without_its_session_is_found_out_by_asking_it(
    provider: StaticProvider, site: Site, backend: LightBackend
) -> None:
    await claimed(provider)
    backend.session_id = None
    await site.say()
    said = await over(provider)
    assert (said.state, said.message) == (BackendState.FAILED, "The streaming backend was restarted")


async def test_a_slot_that_broke_after_it_was_chosen_fails(site: Site) -> None:
    await site.say(state=SlotState.FAILED)
    async with serving(site) as provider:
        await provider.launch(SLOT, ORDER)
        assert (await over(provider)).message == "The streaming backend does not start: no GPU"


async def test_a_slot_that_is_not_there_fails(site: Site) -> None:
    async with serving(site) as provider:
        slot = replace(SLOT, number=4)
        await provider.launch(slot, ORDER)
        assert (await over(provider)).message == "Node gpu-1 has no slot 4 any more"


class TestAdoption:
    """By a broker that did not launch it."""

    async def test_a_session_that_still_has_its_backend_goes_on(
        self, provider: StaticProvider, backend: LightBackend
    ) -> None:
        backend.session_id = SESSION_ID
        assert await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=True)
        said = await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)
        assert said.session_id == SESSION_ID
        assert not any(asked.startswith(("PUT", "DELETE")) for asked in backend.asked)

    async def test_a_backend_that_tells_not_whose_it_is_is_believed(
        self, provider: StaticProvider, backend: LightBackend
    ) -> None:
        backend.session_id, backend.tells_whose = SESSION_ID, False
        await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=True)
        assert (await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)).session_id == SESSION_ID

    @pytest.mark.parametrize("session_id", [None, OTHER_ID])
    async def test_a_ready_session_gets_no_second_backend(
        self, provider: StaticProvider, backend: LightBackend, session_id: str | None
    ) -> None:
        backend.session_id = session_id
        await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=True)
        assert (await over(provider)).message == "The streaming backend was restarted"
        assert backend.session_id == session_id

    async def test_a_session_that_was_not_ready_is_prepared_further(
        self, provider: StaticProvider, backend: LightBackend
    ) -> None:
        await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=False)
        await seen(provider, lambda backend: backend.state is BackendState.IDLE)
        await provider.activate(SLOT, ACTIVATION)
        await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)

    async def test_a_node_that_is_not_known_is_waited_for(self, backend: LightBackend) -> None:
        site = Site(backend, Clock())
        backend.session_id = SESSION_ID
        async with serving(site) as provider:
            await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=True)
            site.clock.go(CLOCKS.grace_s - 1)
            await site.say()
            await seen(provider, lambda backend: backend.state is BackendState.CLAIMED)

    async def test_a_node_that_is_never_heard_of_is_lost(self, backend: LightBackend) -> None:
        site = Site(backend, Clock())
        async with serving(site) as provider:
            await provider.adopt(SLOT, ORDER, ACTIVATION, was_ready=True)
            site.clock.go(CLOCKS.grace_s + 1)
            assert (await over(provider)).state is BackendState.LOST

    @pytest.mark.parametrize(("session_id", "ends"), [(SESSION_ID, True), (OTHER_ID, False), (None, False)])
    async def test_what_another_broker_launched_is_given_back_if_it_is_that(
        self, provider: StaticProvider, backend: LightBackend, session_id: str | None, ends: bool
    ) -> None:
        backend.session_id = session_id
        await provider.release(SLOT)
        assert any(asked.startswith("DELETE") for asked in backend.asked) is ends
        assert backend.session_id == (None if ends else session_id)


async def test_backends_go_on_when_the_broker_ends(site: Site, backend: LightBackend) -> None:
    async with serving(site) as provider:
        await claimed(provider)
    assert backend.session_id == SESSION_ID
    assert not any(asked.startswith("DELETE") for asked in backend.asked)
    with pytest.raises(RuntimeError, match="only while run"):
        await provider.launch(SLOT, ORDER)
