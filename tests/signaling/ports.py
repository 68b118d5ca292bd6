"""A signaling port on loopback, in front of a backend of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from signaling.doorkeeper import Doorkeeper
from signaling.metrics import RelayCounters
from signaling.port import SignalingPort
from signaling.routes import Admission, Endpoint, Route, SignalingKind
from signaling.settings import RelaySettings
from signaling.tokens import AdmissionKey
from tests.signaling.paths import NotedMedia

SESSION = "3f2b8c1e-5d0a-4b7e-9f3c-2a1d6e8b7c90"
SECRET = "backend secret"
BACKEND_HOST = "127.0.0.2"


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass
class Relayed:
    """An open signaling port and what stands around it."""

    port: SignalingPort
    number: int
    backend_port: int
    counters: RelayCounters = field(default_factory=RelayCounters)
    media: NotedMedia = field(default_factory=NotedMedia)

    @property
    def url(self) -> str:
        """Of the session, for WebSockets."""
        return f"ws://127.0.0.1:{self.number}/session/{SESSION}"

    @property
    def web(self) -> str:
        """Of the backend's own root, for HTTP."""
        return f"http://127.0.0.1:{self.number}/session/{SESSION}"


@asynccontextmanager
async def relayed(
    backend_port: int,
    *,
    signaling: SignalingKind = SignalingKind.READABLE,
    admission: Admission = Admission.SESSION_ID,
    origins: tuple[str, ...] = ("*",),
    settings: RelaySettings | None = None,
    keys: tuple[AdmissionKey, ...] = (),
) -> AsyncIterator[Relayed]:
    """A signaling port for one session, closed afterwards, with nothing left over."""
    number = free_port()
    counters, media = RelayCounters(), NotedMedia()
    route = Route(
        SESSION,
        "relay",
        number,
        number,
        Endpoint(BACKEND_HOST, backend_port, 47001),
        SECRET,
        signaling,
        admission,
        origins,
    )
    port = SignalingPort(
        route, media, settings or RelaySettings(close_timeout_s=0.5), counters, doorkeeper=Doorkeeper(keys)
    )
    await port.open()
    try:
        yield Relayed(port, number, backend_port, counters, media)
    finally:
        await port.close(4001)
        await until(lambda: port.signaling_open == 0)
        assert all(path.closed for path in media.paths.values())


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_backend(handler: Handler) -> AsyncIterator[int]:
    """A backend that answers every request with `handler`; its port."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
    await runner.setup()
    port = free_port(BACKEND_HOST)
    await web.TCPSite(runner, BACKEND_HOST, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool], *, within_s: float = 5) -> None:
    """Wait for a condition, in bounded time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
