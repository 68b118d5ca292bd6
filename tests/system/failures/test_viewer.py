"""A light viewer and a light node, with a real relay between them: what is counted is what passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from signaling.relay import Relay
from signaling.routes import Endpoint, Route, SignalingKind
from signaling.settings import RelaySettings
from signaling.table import MemoryRouteTable
from tests.system.failures.addresses import Addresses, addresses
from tests.system.failures.node import ADMIN_PORT, LightNode
from tests.system.failures.viewer import Path, Viewer

SESSION = "8d5f4c2e-1f0a-4a5b-9c3d-000000000007"
TOKEN = "token"


@dataclass
class Stage:
    """A node with two slots, a relay and the route from one to the other."""

    node: LightNode
    table: MemoryRouteTable
    route: Route
    relay: asyncio.Task[None]
    asked: int = 0

    async def ask(self, session: str) -> Path | None:
        self.asked += 1
        route = await self.table.route(session)
        if route is None:
            return None
        return Path(self.addresses.relay(0), route.signaling_port, route.media_port, route.relay_id)

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.node.host.rpartition(".")[0])

    async def control(self, method: str, path: str, body: object = None, *, port: int | None = None) -> object:
        url = f"http://{self.node.host}:{port or self.node.slots[0].control_port}{path}"
        headers = {"Authorization": f"Bearer {self.node.slots[0].token}"}
        async with aiohttp.request(method, url, json=body, headers=headers) as answer:
            return answer.status if method in ("PUT", "DELETE") else await answer.json()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    own = addresses()
    node = LightNode("n1", own.node(0), 2, token=TOKEN)
    serving = asyncio.create_task(node.run([], heartbeat_s=1))
    slot = node.slots[0]
    endpoint = Endpoint(node.host, slot.signaling_port, slot.media_port)
    route = Route(SESSION, "relay", 31000, 31001, endpoint, "hush", SignalingKind.OPAQUE)
    table = MemoryRouteTable()
    await table.publish(route)
    relaying = asyncio.create_task(Relay(RelaySettings(host=own.relay(0), close_timeout_s=0.1), table).run())
    try:
        async with asyncio.timeout(5):
            while (report := await table.report_on(SESSION)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert report.error is None
        yield Stage(node, table, route, relaying)
    finally:
        for task in (relaying, serving):
            task.cancel()
        await asyncio.wait((relaying, serving))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - datagrams raise no event
            await asyncio.sleep(0.01)


async def test_datagrams_are_counted_at_both_ends() -> None:
    async with stage() as on:
        on.node.slots[0].claim(SESSION, "hush")
        viewer = Viewer(SESSION, on.ask, every_s=0.01)
        watching = asyncio.create_task(viewer.run())
        await until(lambda: viewer.echoed > 50)
        viewer.leave()
        await watching
        (flow,) = viewer.flows()
        assert flow.left and flow.cuts == () and flow.relay == "relay" and flow.node == "n1"
        assert flow.sent >= flow.echoed > 50
        assert on.node.slots[0].datagrams >= flow.echoed


async def test_a_gap_in_the_echoes_is_told_with_its_length() -> None:
    async with stage() as on:
        slot = on.node.slots[0]
        slot.claim(SESSION, "hush")
        viewer = Viewer(SESSION, on.ask, every_s=0.01)
        watching = asyncio.create_task(viewer.run())
        await until(lambda: viewer.echoed > 20)
        slot.session = None
        await asyncio.sleep(0.3)
        slot.session = SESSION
        before = viewer.echoed
        await until(lambda: viewer.echoed > before + 20)
        viewer.leave()
        await watching
        (cut,) = viewer.flows()[0].cuts
        assert cut.lost >= 5 and 0.1 < cut.ended - cut.began < 5


async def test_a_viewer_whose_path_is_lost_asks_for_another() -> None:
    async with stage() as on:
        slot = on.node.slots[0]
        slot.claim(SESSION, "hush")
        viewer = Viewer(SESSION, on.ask, every_s=0.01)
        watching = asyncio.create_task(viewer.run())
        await until(lambda: viewer.flowing)
        slot.crash()
        await until(lambda: not viewer.flowing)
        slot.claim(SESSION, "hush")
        await until(lambda: viewer.flowing)
        viewer.leave()
        await watching
        assert [flow.left for flow in viewer.flows()] == [False, True]
        assert on.asked >= 2


@pytest.mark.parametrize("secret", ["other", ""])
async def test_a_node_lets_nobody_in_without_its_secret(secret: str) -> None:
    async with stage() as on:
        if secret:
            on.node.slots[0].claim(SESSION, secret)
        viewer = Viewer(SESSION, on.ask)
        watching = asyncio.create_task(viewer.run())
        await until(lambda: on.asked >= 2)
        assert viewer.echoed == 0
        viewer.leave()
        await watching


async def test_a_node_speaks_the_control_protocol_and_tells_how_its_slots_stand() -> None:
    async with stage() as on:
        body = {"session_id": SESSION, "arguments": {}, "backend_secret": "hush"}
        assert await on.control("GET", "/v1/ready") == {"state": "idle", "protocol": 1}
        assert await on.control("PUT", "/v1/session", body) == 200
        assert await on.control("PUT", "/v1/session", body) == 200
        assert await on.control("PUT", "/v1/session", {**body, "session_id": "other"}) == 409
        assert await on.control("GET", "/v1/ready") == {"state": "claimed", "protocol": 1, "session_id": SESSION}
        assert await on.control("DELETE", "/v1/session?session_id=other") == 409
        slots = await on.control("GET", "/slots", port=ADMIN_PORT)
        assert slots == [
            {"number": 0, "session": SESSION, "datagrams": 0, "refused": ["other"]},
            {"number": 1, "session": None, "datagrams": 0, "refused": []},
        ]
        assert await on.control("POST", "/slots/0/crash", port=ADMIN_PORT) == {"session": SESSION}
        assert await on.control("GET", "/v1/ready") == {"state": "idle", "protocol": 1}
        assert await on.control("DELETE", "/v1/session") == 204
