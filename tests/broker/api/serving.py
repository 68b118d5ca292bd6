"""The real broker on a real port, with the memory store, a relay that carries nothing and backends only said to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from broker.app import Broker
from broker.core.catalog import Application, ApplicationPattern, ApplicationVersion, Catalog, Profile
from broker.core.slot import Backend, BackendState, SlotRef
from broker.listening import ListenAddress, listen
from broker.node_file import clocks_of
from broker.providers.base import Activation, LaunchOrder
from broker.settings import BrokerSettings
from broker.state import state_in_process
from broker.stores.base import Store
from broker.stores.memory import MemoryStore
from signaling.routes import Json, RelayInfo
from signaling.table import ChangeSignal, MemoryRouteTable
from tests.broker.relay import ReportingRelay
from tests.broker.samples import ENDPOINT, RELAY, make_profile

JsonObject = dict[str, Json]


class SaidProvider:
    """Backends that are idle as soon as they are launched; `hold` keeps them starting, `fail` says why they cannot."""

    def __init__(self) -> None:
        self.hold = False
        self.fail = ""
        self.orders: list[LaunchOrder] = []
        self.activations: list[Activation] = []
        self.warnings: list[tuple[str, str]] = []
        self._backends: dict[str, Backend] = {}
        self._changed = ChangeSignal()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def launch(self, slot: SlotRef, order: LaunchOrder) -> None:
        if slot.id in self._backends:
            return
        self.orders.append(order)
        state = BackendState.STARTING if self.hold else BackendState.IDLE
        self._tell(slot, Backend(BackendState.FAILED, message=self.fail) if self.fail else Backend(state, ENDPOINT))

    async def adopt(self, slot: SlotRef, order: LaunchOrder, activation: Activation, *, was_ready: bool) -> bool:
        return False

    async def activate(self, slot: SlotRef, activation: Activation) -> None:
        self.activations.append(activation)
        self._tell(slot, Backend(BackendState.CLAIMED, ENDPOINT, activation.session_id))

    async def notify(self, slot: SlotRef, warning: str) -> None:
        self.warnings.append((slot.id, warning))

    async def release(self, slot: SlotRef) -> None:
        self._backends.pop(slot.id, None)
        self._changed.fire()

    async def observe(self) -> AsyncGenerator[Mapping[str, Backend], None]:
        async for _ in self._changed.follow():
            yield dict(self._backends)

    def go_on(self) -> None:
        """Backends that were held start."""
        self._backends = {key: replace(backend, state=BackendState.IDLE) for key, backend in self._backends.items()}
        self._changed.fire()

    @property
    def running(self) -> list[str]:
        """The slots that are taken."""
        return sorted(self._backends)

    def kill_all(self, message: str) -> None:
        """Every backend fails."""
        self._backends = {key: Backend(BackendState.FAILED, message=message) for key in self._backends}
        self._changed.fire()

    def _tell(self, slot: SlotRef, backend: Backend) -> None:
        self._backends[slot.id] = backend
        self._changed.fire()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> JsonObject:
        value = json.loads(self.body)
        assert isinstance(value, dict), value
        return value

    @property
    def items(self) -> list[JsonObject]:
        items = self.json["items"]
        assert isinstance(items, list)
        return [item for item in items if isinstance(item, dict)]

    @property
    def problem(self) -> JsonObject:
        """The one thing that a 422 complains of."""
        assert self.status == 422, self
        detail = self.json["detail"]
        assert isinstance(detail, list) and len(detail) == 1, detail
        assert isinstance(detail[0], dict) and set(detail[0]) == {"loc", "msg", "type"}
        return detail[0]


@dataclass
class Served:
    """A running broker and a client of it."""

    broker: Broker
    provider: SaidProvider
    relay: ReportingRelay
    stop: asyncio.Event
    port: int
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(
        self, method: str, path: str, body: object = None, data: bytes | None = None, **headers: str
    ) -> Answer:
        """One request; `headers` with underscores for dashes. A `body` goes as JSON, `data` as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.http.request(method, self.url + path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def start(self, path: str = "/stream", **headers: str) -> Answer:
        """A create that waits for readiness."""
        data = b'{"id": "app", "profile": "default"}'
        return await self.call("POST", path, None, data, **{"Prefer": "wait=10", **headers})

    async def raw(self, request: bytes, *, cut: bool = False) -> bytes:
        """The head that comes back for these bytes; with `cut`, whatever comes once nothing more is to be sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            async with asyncio.timeout(5):
                if not cut:
                    return await reader.readuntil(b"\r\n\r\n")
                writer.write_eof()
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def until(self, path: str, status: int) -> Answer:
        """The answer once it has this status."""
        for _ in range(500):
            if (answer := await self.call("GET", path)).status == status:
                return answer
            await asyncio.sleep(0.01)
        raise AssertionError(f"{path} was never answered with {status}")


def make_catalog(profile: Profile) -> Catalog:
    """`app` in three versions and `other`, which the profile `special` serves too."""
    versions = {name: ApplicationVersion(name) for name in ("1.0.0", "1.10.0", "1.9.0")}
    one = {"1.0.0": ApplicationVersion("1.0.0")}
    special = make_profile()
    fields = {name: getattr(special, name) for name in Profile.__slots__}
    special = Profile(**{**fields, "id": "special", "applications": (ApplicationPattern("other"),)})
    return Catalog(
        {
            "app": Application("app", "App", "An application", ("a", "b"), None, versions),
            "other": Application("other", "Other", "", ("b",), None, one, default_profile="special"),
        },
        {profile.id: profile, special.id: special},
    )


@asynccontextmanager
async def serving(
    *,
    store: Store | None = None,
    table: MemoryRouteTable | None = None,
    provider: SaidProvider | None = None,
    profile: Profile | None = None,
    host: str = "127.0.0.1",
    relay_info: RelayInfo = RELAY,
    **settings: object,
) -> AsyncIterator[Served]:
    """A broker as `pixelferry up` composes it, but for relay and provider."""
    table, provider, stop = table or MemoryRouteTable(), provider or SaidProvider(), asyncio.Event()
    relay = ReportingRelay(table, relay_info)
    catalog = make_catalog(profile or make_profile(slots=8))
    checked = BrokerSettings(**settings)  # type: ignore[arg-type]
    state = state_in_process(routes=table, store=store or MemoryStore(), node_clocks=clocks_of(checked.nodes))
    broker = Broker(checked, catalog, state, own={"process": provider})
    sockets = listen(ListenAddress(host, 0))
    started = asyncio.Event()
    relaying = asyncio.create_task(relay.run())
    running = asyncio.create_task(broker.run(sockets, stop, started=started.set))
    try:
        async with asyncio.timeout(5):
            await started.wait()
        async with aiohttp.ClientSession() as http:
            yield Served(broker, provider, relay, stop, sockets[0].getsockname()[1], http)
    finally:
        stop.set()
        try:
            await asyncio.wait_for(running, 15)
        finally:
            relaying.cancel()
            await asyncio.wait((relaying,))
            for bound in sockets:
                bound.close()
