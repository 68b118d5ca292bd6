"""A node put together: its slots, its registration, and how it ends."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

import aiohttp

from streamer.node.registration import NotHeard, Refused, Registration
from streamer.node.settings import NodeOptions
from streamer.node.slot import Slot, SlotStatus
from streamer.source import JsonObject

logger = logging.getLogger(__name__)

_MESSAGES_MOST = 2_800
"""Characters in all, so that what a node says is never more than a broker reads."""


class Agent:
    """Runs until `stop` is set: then no session comes any more, and those that are there may go on for a while."""

    def __init__(self, options: NodeOptions, environment: Mapping[str, str], stop: asyncio.Event) -> None:
        self._options = options
        self._environment = environment
        self._stop = stop
        self._boot = secrets.token_hex(8)
        self._slots: list[Slot] = []
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Raises Refused where no broker takes it as it is."""
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as http:
            registering = Registration(self._options, http, self._says, self._release)
            self._slots = [self._slot(number, http, registering) for number in range(self._options.slots)]
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    tasks = [group.create_task(slot.run(), name=f"slot {slot.status.number}") for slot in self._slots]
                    telling = group.create_task(registering.run(), name="registration")
                    await self._stop.wait()
                    registering.tell()
                    await self._drained()
                    telling.cancel()
                    await self._goodbye(registering)
                    for task in tasks:
                        task.cancel()
            except ExceptionGroup as errors:
                refused = errors.subgroup(Refused)
                raise (errors if refused is None else refused.exceptions[0]) from None

    def _slot(self, number: int, http: aiohttp.ClientSession, registering: Registration) -> Slot:
        options = self._options
        low, high = options.ports
        each = (high - low + 1) // options.slots

        def changed() -> None:
            self._changed.set()
            registering.tell()

        ports = range(low + number * each, low + (number + 1) * each)
        environment = self.environment_of(number)
        return Slot(number, options.command, environment, http, host=options.host, ports=ports, changed=changed)

    def environment_of(self, number: int) -> dict[str, str]:
        """What the backend in this slot gets besides its ports: its number, and its GPU where they are shared out."""
        environment = {**self._environment, "PIXELFERRY_SLOT": str(number)}
        if self._options.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._options.gpus[number % len(self._options.gpus)]
        return environment

    def _says(self) -> JsonObject:
        statuses = [slot.status for slot in self._slots]
        return registration(self._options, statuses, boot=self._boot, draining=self._stop.is_set())

    def _release(self, number: int, session_id: str) -> None:
        slot = next((slot for slot in self._slots if slot.status.number == number), None)
        if slot is not None:
            logger.info("slot %d: its session is over and is ended", number)
            self._group.create_task(slot.release(session_id), name=f"release of slot {number}")

    async def _drained(self) -> None:
        """Until no backend has a session, for `drain_s` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_s):
                while serving := sum(slot.status.session_id is not None for slot in self._slots):
                    logger.info("stopping: %d sessions go on; once more to force it", serving)
                    self._changed.clear()
                    await self._changed.wait()

    async def _goodbye(self, registering: Registration) -> None:
        if registering.is_known:
            try:
                await registering.leave()
            except (NotHeard, Refused) as error:
                logger.warning("%s", error)


async def serve(options: NodeOptions, environment: Mapping[str, str]) -> None:
    """Serve until a signal; a second one ends it at once. Raises Refused."""
    stop, main, loop = asyncio.Event(), asyncio.current_task(), asyncio.get_running_loop()

    def tell() -> None:
        if stop.is_set() and main is not None:
            main.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell)
    with suppress(asyncio.CancelledError):
        await Agent(options, environment, stop).run()


def registration(options: NodeOptions, slots: Sequence[SlotStatus], *, boot: str, draining: bool) -> JsonObject:
    """What the broker is told of the node."""
    return {
        "host": options.host,
        "zone": options.zone,
        "labels": dict(options.labels),
        "boot": boot,
        "version": _version(),
        "draining": draining,
        "slots": [slot.to_json(message_most=_MESSAGES_MOST // len(slots)) for slot in slots],
    }


def _version() -> str:
    try:
        return importlib.metadata.version("pixelferry")
    except importlib.metadata.PackageNotFoundError:
        return ""
