"""The life of a relay process among others of its name: it may take over from one, and be taken over by the next."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from pathlib import Path

from signaling.handover import HandoverPort
from signaling.inheritance import inherit
from signaling.relay import Relay

logger = logging.getLogger(__name__)


def take_over(relay: Relay, path: Path) -> Mapping[str, socket.socket] | None:
    """Make the relay, which has served nothing yet, go on where the one that listens there is; None where none does.

    What is returned are the predecessor's listeners, for the new hand-over port and for who knows their names. Call it
    last before `serve`, on the running loop, which it blocks. Raises HandoverRefused, OSError: the other then serves.
    """
    inheritance = inherit(path, relay.info.id)
    if inheritance is None:
        logger.info("no relay of this name runs here, starting afresh")
        return None
    inheritance.enter(relay)
    return inheritance.listeners


async def serve(relay: Relay, port: HandoverPort) -> bool:
    """Run the relay and wait for a successor at the open port, until cancelled; True once one has taken over."""
    serving = asyncio.create_task(relay.run(), name="relay: serve")
    waiting = asyncio.create_task(port.run(), name="relay: wait for a successor")
    try:
        done, _ = await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        serving.cancel()
        await asyncio.wait({serving, waiting})
    for task in done:
        task.result()
    return waiting in done
