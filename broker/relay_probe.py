"""Finds out what became of relays that are not announced any more: by connects to signaling ports of their sessions."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from broker.core.ledger import relay_pool
from broker.core.relay_health import Answer, RelayHealth, Sight
from broker.core.session import Session, State
from broker.stores.base import Store

logger = logging.getLogger(__name__)

SILENCE_S = 15.0
_CONNECT_S = 1.0
_LOOK_S = 0.1
_ENDPOINTS = 3
"""So many ports of a relay are tried in turn: one may have been closed with its session."""

_Address = tuple[str, int]


class RelayProbe:
    """Follows announcements, and probes relays that sessions are on and that are missing. `changed` hears of news."""

    def __init__(
        self, store: Store, changed: Callable[[], None] = lambda: None, *, silence_s: float = SILENCE_S
    ) -> None:
        self._store = store
        self._changed = changed
        self._health = RelayHealth(silence_s=silence_s)
        self._known: set[str] | None = None
        self._missing: set[str] = set()
        self._addresses: Mapping[str, Sequence[_Address]] = {}
        self._news = asyncio.Event()
        self._turn = 0

    @property
    def lost(self) -> frozenset[str]:
        """Relays that are gone for good."""
        return self._health.those_in(Sight.LOST)

    @property
    def answering(self) -> frozenset[str]:
        """Relays that live, though they are not announced."""
        return self._health.those_in(Sight.ANSWERING)

    async def see(self, announced: Collection[str]) -> None:
        """These relays are announced now. Raises StoreUnavailable."""
        ledger = await self._store.ledger()
        if self._known is None:
            sessions = (await self._store.sessions()).values()
            self._known = {session.ports.relay_id for session in sessions if session.ports is not None}
        self._known.update(announced)
        self._known = {key for key in self._known if key in announced or ledger.count(relay_pool(key))}
        missing = self._known.difference(announced)
        if missing - self._missing:
            self._addresses = _addresses((await self._store.sessions()).values(), missing)
            logger.warning("not announced any more, and looked for: %s", ", ".join(sorted(missing - self._missing)))
        before = self.lost, self.answering
        self._health.see(missing, (), asyncio.get_running_loop().time())
        self._missing = missing
        self._news.set()
        self._tell_change(before)

    async def run(self) -> None:
        """Probe whoever is missing, until cancelled."""
        while True:
            due = self._health.due(asyncio.get_running_loop().time())
            if due:
                await asyncio.gather(*(self._probe(relay_id) for relay_id in due))
            elif self._missing:
                await asyncio.sleep(_LOOK_S)
            else:
                self._news.clear()
                await self._news.wait()

    async def _probe(self, relay_id: str) -> None:
        answer = await self._connect(relay_id)
        before = self.lost, self.answering
        self._health.probed(relay_id, answer, asyncio.get_running_loop().time())
        if self._health.sight(relay_id) is Sight.LOST:
            logger.warning("relay %s is lost: its ports were %s", relay_id, answer)
        self._tell_change(before)

    async def _connect(self, relay_id: str) -> Answer:
        addresses = self._addresses.get(relay_id)
        if not addresses:
            return Answer.SILENT
        self._turn += 1
        host, port = addresses[self._turn % len(addresses)]
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            return Answer.REFUSED
        except (OSError, TimeoutError):
            return Answer.SILENT
        writer.transport.abort()
        return Answer.ACCEPTED

    def _tell_change(self, before: tuple[frozenset[str], frozenset[str]]) -> None:
        if before != (self.lost, self.answering):
            self._changed()


def _addresses(sessions: Collection[Session], relays: Collection[str]) -> Mapping[str, Sequence[_Address]]:
    """Where ready sessions of these relays have their signaling, a few for each."""
    found: dict[str, list[_Address]] = defaultdict(list)
    for session in sessions:
        ports = session.ports
        if ports is None or session.state is not State.READY or ports.relay_id not in relays:
            continue
        if len(found[ports.relay_id]) < _ENDPOINTS:
            found[ports.relay_id].append((ports.host, ports.signaling_port))
    return found
