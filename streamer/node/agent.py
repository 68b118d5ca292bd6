"""A node put together: its slots, its registration, and how it ends."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress

import aiohttp

from streamer.node.registration import NotHeard, Refused, Registration
from streamer.node.settings import NodeOptions
from streamer.node.slot import Slot
from streamer.source import JsonObject

logger = logging.getLogger(__name__)


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
            registration = Registration(self._options, http, self._says, self._release)
            self._slots = [self._slot(number, http, registration) for number in range(self._options.slots)]
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    tasks = [group.create_task(slot.run(), name=f"slot {slot.status.number}") for slot in self._slots]
                    registering = group.create_task(registration.run(), name="registration")
                    await self._stop.wait()
                    registration.tell()
                    await self._drained()
                    registering.cancel()
                    await self._goodbye(registration)
                    for task in tasks:
                        task.cancel()
            except ExceptionGroup as errors:
                refused = errors.subgroup(Refused)
                raise (errors if refused is None else refused.exceptions[0]) from None

    def _slot(self, number: int, http: aiohttp.ClientSession, registration: Registration) -> Slot:
        options = self._options
        low, high = options.ports
        each = (high - low + 1) // options.slots

        def changed() -> None:
            self._changed.set()
            registration.tell()

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
        return {
            "host": self._options.host,
            "zone": self._options.zone,
            "labels": dict(self._options.labels),
            "boot": self._boot,
            "version": _version(),
            "draining": self._stop.is_set(),
            "slots": [slot.status.to_json() for slot in self._slots],
        }

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

    async def _goodbye(self, registration: Registration) -> None:
        if registration.is_known:
            try:
                await registration.leave()
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


def _version() -> str:
    try:
        return importlib.metadata.version("pixelferry")
    except importlib.metadata.PackageNotFoundError:
        return ""
