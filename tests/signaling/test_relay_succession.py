"""A relay that goes on where another was: viewers, backends and strangers notice nothing."""

from __future__ import annotations

import asyncio

from signaling.relay import Relay
from signaling.routes import RouteState
from signaling.table import MemoryRouteTable
from tests.signaling.succession import running, succeeded
from tests.signaling.test_relay import SETTINGS, backend, reported, route, view


async def test_messages_pass_on_both_hops_of_a_connection_that_was_handed_over() -> None:
    table = MemoryRouteTable()
    async with backend() as port, running(Relay(SETTINGS, table)) as relay:
        wanted = route(backend_port=port)
        await table.publish(wanted)
        await reported(table, "s1", RouteState.ACTIVE)
        viewer = await view(wanted)
        async with succeeded(relay, table, SETTINGS):
            await viewer.send("still here")
            async with asyncio.timeout(5):
                assert await viewer.recv() == "still here"
            newcomer = await view(wanted)
            await newcomer.close()
            await viewer.close()
