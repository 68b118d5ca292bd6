"""The provider that runs streaming backends as child processes on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import aiohttp

from broker.core.slot import Backend, BackendState, SlotRef
from broker.providers.base import Activation, LaunchOrder
from broker.providers.occupant import Occupant
from broker.providers.ports import PortPool, is_free
from signaling.table import ChangeSignal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Where backends listen: the address they bind, the ports handed out to them (both ends included)."""

    backend_host: str
    port_lo: int = 47000
    port_hi: int = 47999
    end_grace_s: float = 3.0


def usual_backend_host() -> str:
    """127.0.0.2 where it can be bound (Linux), so that a backend's address is never its relay's; else 127.0.0.1."""
    return "127.0.0.2" if is_free("127.0.0.2", 0, socket.SOCK_DGRAM) else "127.0.0.1"


class ProcessProvider:
    """Backends as children of this process: they end when `run` does, and die with this process at the latest."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        lo, hi = settings.port_lo, settings.port_hi
        start = lo + secrets.randbelow(hi - lo + 1)  # so that two brokers on one machine seldom meet
        self._pool = PortPool(settings.backend_host, lo, hi, start=start)
        self._occupants: dict[str, tuple[Occupant, asyncio.Task[None]]] = {}
        self._releasing: set[str] = set()
        self._backends: dict[str, Backend] = {}
        self._changed = ChangeSignal()
        self._open: tuple[asyncio.TaskGroup, aiohttp.ClientSession] | None = None

    async def run(self) -> None:
        """Serve until cancelled; then end all backends, in bounded time."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as http:
            try:
                async with asyncio.TaskGroup() as group:
                    self._open = group, http
                    await asyncio.Event().wait()
            finally:
                self._open = None

    async def launch(self, slot: SlotRef, order: LaunchOrder) -> None:
        if slot.id in self._occupants:
            return
        if self._open is None:
            raise RuntimeError("the process provider launches only while run() is running")
        group, http = self._open

        def tell(backend: Backend) -> None:
            self._backends[slot.id] = backend
            self._changed.fire()

        occupant = Occupant(slot.id, order, self._pool, http, tell, end_grace_s=self._settings.end_grace_s)
        tell(Backend(BackendState.STARTING))
        self._occupants[slot.id] = occupant, group.create_task(self._keep(occupant), name=f"backend {slot.id}")

    async def adopt(self, slot: SlotRef, order: LaunchOrder, activation: Activation, *, was_ready: bool) -> bool:
        return False

    async def activate(self, slot: SlotRef, activation: Activation) -> None:
        if slot.id in self._occupants:
            self._occupants[slot.id][0].activate(activation)

    async def notify(self, slot: SlotRef, warning: str) -> None:
        if slot.id in self._occupants:
            self._occupants[slot.id][0].notify(warning)

    async def release(self, slot: SlotRef) -> None:
        if slot.id not in self._occupants:
            return
        _, task = self._occupants[slot.id]
        if slot.id not in self._releasing:
            self._releasing.add(slot.id)
            task.cancel()
        await asyncio.wait((task,))
        self._occupants.pop(slot.id, None)
        self._releasing.discard(slot.id)
        if self._backends.pop(slot.id, None) is not None:
            self._changed.fire()

    async def observe(self) -> AsyncGenerator[Mapping[str, Backend], None]:
        async for _ in self._changed.follow():
            yield dict(self._backends)

    async def _keep(self, occupant: Occupant) -> None:
        """A backend's task; whatever it meets is that backend's trouble alone."""
        try:
            await occupant.live(os.environ)
        except Exception:
            logger.exception("backend %s could not be kept", occupant.name)
            occupant.fail("The broker met an error of its own; its log says more")
