"""The provider of streaming backends that run on nodes by themselves: it hands them sessions and takes them back.

Nothing is started or ended here, and all of it outlives a broker: another one takes up what it finds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from contextlib import aclosing

import aiohttp

from broker.core.node import Node, Presence, presence_in
from broker.core.slot import Backend, BackendState, SlotRef
from broker.errors import BackendFailed, StoreUnavailable
from broker.providers.base import Activation, LaunchOrder
from broker.providers.nodes import Nodes
from broker.providers.prober import Prober
from broker.providers.tenancy import Tenancy
from signaling.table import ChangeSignal

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


class StaticProvider:
    """Backends on nodes. `listed` are nodes of a file, which do not register: they are asked for instead."""

    def __init__(self, nodes: Nodes, *, listed: Sequence[Node] = ()) -> None:
        self._nodes = nodes
        self._listed = listed
        self._tenancies: dict[str, tuple[Tenancy, asyncio.Task[None]]] = {}
        self._releasing: dict[str, asyncio.Task[None]] = {}
        self._backends: dict[str, Backend] = {}
        self._known: dict[str, Node] = {}
        self._changed = ChangeSignal()
        self._open: tuple[asyncio.TaskGroup, aiohttp.ClientSession] | None = None

    async def run(self) -> None:
        """Serve until cancelled. Backends go on with what they do."""
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as http:
            try:
                async with asyncio.TaskGroup() as group:
                    self._open = group, http
                    group.create_task(self._follow_nodes(), name="nodes")
                    group.create_task(self._notice_silence(), name="silence of nodes")
                    if self._listed:
                        prober = Prober(self._listed, self._nodes, http)
                        group.create_task(prober.run(), name="nodes of the file")
            finally:
                self._open = None
                self._tenancies.clear()
                self._known.clear()
                self._backends.clear()

    async def launch(self, slot: SlotRef, order: LaunchOrder) -> None:
        self._take_up(slot, order)

    async def adopt(self, slot: SlotRef, order: LaunchOrder, activation: Activation, *, was_ready: bool) -> bool:
        self._take_up(slot, order, expected=activation if was_ready else None)
        return True

    async def activate(self, slot: SlotRef, activation: Activation) -> None:
        if slot.id in self._tenancies:
            self._tenancies[slot.id][0].activate(activation)

    async def notify(self, slot: SlotRef, warning: str) -> None:
        if slot.id in self._tenancies:
            self._tenancies[slot.id][0].notify(warning)

    async def release(self, slot: SlotRef) -> None:
        if slot.id not in self._releasing:
            group, _ = self._running()
            task = group.create_task(self._release(slot), name=f"release of {slot.id}")
            self._releasing[slot.id] = task
            task.add_done_callback(lambda _: self._releasing.pop(slot.id, None))
        task = self._releasing[slot.id]
        await asyncio.wait((task,))
        if task.cancelled():
            raise BackendFailed("The streaming backend could not be taken back before the broker ended")

    async def observe(self) -> AsyncGenerator[Mapping[str, Backend], None]:
        async for _ in self._changed.follow():
            yield dict(self._backends)

    def _take_up(self, slot: SlotRef, order: LaunchOrder, *, expected: Activation | None = None) -> None:
        if slot.id in self._tenancies:
            return
        group, http = self._running()

        def tell(backend: Backend) -> None:
            self._backends[slot.id] = backend
            self._changed.fire()

        asks_activity = order.profile.clocks.idle_s is not None
        tenancy = Tenancy(slot, self._nodes, http, tell, expected=expected, asks_activity=asks_activity)
        tell(Backend(BackendState.STARTING))
        self._tenancies[slot.id] = tenancy, group.create_task(self._keep(tenancy), name=f"backend {slot.id}")

    async def _release(self, slot: SlotRef) -> None:
        """A release's task; a backend that makes trouble is seen to by who has its slot next."""
        if slot.id in self._tenancies:
            tenancy, task = self._tenancies[slot.id]
            task.cancel()
            await asyncio.wait((task,))
        else:
            tenancy = Tenancy(slot, self._nodes, self._running()[1], lambda backend: None)
        try:
            await tenancy.give_back()
        except Exception:
            logger.exception("backend %s could not be given back", slot.id)
        self._tenancies.pop(slot.id, None)
        if self._backends.pop(slot.id, None) is not None:
            self._changed.fire()

    def _running(self) -> tuple[asyncio.TaskGroup, aiohttp.ClientSession]:
        if self._open is None:
            raise RuntimeError("the static provider serves only while run() is running")
        return self._open

    async def _keep(self, tenancy: Tenancy) -> None:
        """A backend's task; whatever it meets is that backend's trouble alone."""
        try:
            await tenancy.live()
        except Exception:
            logger.exception("backend %s could not be kept", tenancy.slot.id)
            tenancy.fail("The broker met an error of its own; its log says more")

    async def _follow_nodes(self) -> None:
        while True:
            try:
                async with aclosing(self._nodes.changes()) as changes:
                    async for _ in changes:
                        self._look(self._with_news())
            except StoreUnavailable as error:
                logger.warning("what nodes say is not heard for now: %r", error)
                await asyncio.sleep(_RETRY_S)

    async def _notice_silence(self) -> None:
        """A node that falls silent says nothing of it."""
        while True:
            fleet, now = self._nodes.fleet(), self._nodes.now()
            await asyncio.sleep(fleet.clocks.probe_every_s)
            nodes = fleet.nodes.items()
            self._look({name for name, node in nodes if presence_in(fleet, node, now) is Presence.SILENT})

    def _with_news(self) -> set[str]:
        """The nodes that say something else than they did, or are not there any more."""
        nodes = self._nodes.fleet().nodes
        news = {name for name, node in nodes.items() if not _says_the_same(self._known.get(name), node)}
        news |= self._known.keys() - nodes.keys()
        self._known = dict(nodes)
        return news

    def _look(self, nodes: Set[str]) -> None:
        if nodes:
            for tenancy, _ in self._tenancies.values():
                if tenancy.slot.node in nodes:
                    tenancy.look()


def _says_the_same(before: Node | None, after: Node) -> bool:
    return before is not None and (before.slots, before.boot, before.left) == (after.slots, after.boot, after.left)
