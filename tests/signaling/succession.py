"""A relay's hand-over without the talk: what it tells is read by another relay of the same process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signaling.handover_sockets import Inherited, Packing
from signaling.handover_state import RelaySnapshot
from signaling.relay import Relay
from signaling.settings import RelaySettings
from signaling.table import RouteTable


def succeed(relay: Relay, table: RouteTable, settings: RelaySettings) -> Relay:
    """A successor that has all of the relay, which has let go."""
    packing = Packing()
    document = relay.snapshot(packing).to_json()
    inherited = Inherited(os.dup(descriptor) for descriptor in packing.descriptors)
    relay.abandon()
    successor = Relay(settings, table)
    successor.restore(RelaySnapshot.from_json(document), inherited)
    inherited.keep()
    inherited.close()
    successor.read_media()
    return successor


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    """The relay runs while the block lasts, and is cancelled then."""
    task = asyncio.create_task(relay.run(), name="the relay")
    try:
        yield relay
    finally:
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


@asynccontextmanager
async def succeeded(relay: Relay, table: RouteTable, settings: RelaySettings) -> AsyncIterator[Relay]:
    """A successor that runs while the block lasts."""
    await relay.hold(within_s=2)
    async with running(succeed(relay, table, settings)) as successor:
        yield successor
