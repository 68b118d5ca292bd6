"""One relay process from its start to its end: it serves, drains when it is told to stop, and ends in bounded time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from signaling.exposition import RelayCollector, RelayStateCollector
from signaling.handover import HandoverPort
from signaling.relay import Relay
from signaling.settings import RelaySettings
from signaling.status import Status

logger = logging.getLogger(__name__)

EXIT_FORCED = 130


@dataclass(frozen=True, slots=True)
class Stop:
    """The first call drains, the second ends at once, a third ends without any clean-up."""

    drain: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self) -> None:
        if self.end.is_set():
            os._exit(EXIT_FORCED)
        (self.end if self.drain.is_set() else self.drain).set()

    def now(self) -> None:
        """Skip draining."""
        self.drain.set()
        self.end.set()


def stop_by_signal(stop: Stop) -> None:
    """SIGTERM and SIGINT stop."""

    def tell(number: int) -> None:
        if not stop.drain.is_set():
            logger.info("draining; %s once more ends it at once", signal.Signals(number).name)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, tell, number)


def stop_with(lifeline: int, stop: Stop) -> None:
    """Stop at once when the other end of this pipe is gone: who looks after this process has died."""

    def look() -> None:
        if not os.read(lifeline, 64):
            asyncio.get_running_loop().remove_reader(lifeline)
            logger.warning("the process that looks after this one is gone, ending")
            stop.now()

    os.set_blocking(lifeline, False)
    asyncio.get_running_loop().add_reader(lifeline, look)


async def serve(
    relay: Relay,
    settings: RelaySettings,
    stop: Stop,
    *,
    listening: Sequence[socket.socket] = (),
    started: Callable[[], None] = lambda: None,
    successors: HandoverPort | None = None,
) -> None:
    """Run the relay until it was told to stop and is drained, has to end, or a successor has taken over.

    `listening`: where it tells its status. `successors` is open.
    """
    status = Status(lambda: relay.causes, (RelayCollector(relay.counters), RelayStateCollector(lambda: relay.state)))
    async with asyncio.TaskGroup() as group:
        relaying = group.create_task(relay.run(), name="relay")
        awaiting = group.create_task(_succeeded(successors, stop), name="relay: wait for a successor")
        async with status.serving(listening):
            started()
            await stop.drain.wait()
            relay.drain()
            await _drained(relay, settings.drain_s, stop)
            for task in (awaiting, relaying):
                task.cancel()
            await asyncio.wait([awaiting, relaying])


async def _succeeded(successors: HandoverPort | None, stop: Stop) -> None:
    """Stop without draining once a successor has everything."""
    if successors is not None:
        await successors.run()
        stop.now()


async def _drained(relay: Relay, within_s: float, stop: Stop) -> None:
    """Wait until nothing is served, the time is up, or somebody will not wait."""
    waits = [asyncio.create_task(relay.drained()), asyncio.create_task(stop.end.wait())]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if relay.state.sessions:
            logger.warning("%d sessions were still here, their viewers are sent away", relay.state.sessions)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
