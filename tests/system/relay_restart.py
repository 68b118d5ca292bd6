"""A live stream and a stream of numbered datagrams through one relay, and how long each stands still at its restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import aiohttp
from playwright.async_api import Page, async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve

from broker.providers.base import Activation
from broker.providers.control import ControlClient, NoAnswer
from signaling.core.media_path import TransportAddress
from signaling.redis_settings import RedisSettings
from signaling.routes import Endpoint, Route
from tests.signaling.media_rig import BACKEND_HOST, RELAY_HOST, Peer, free_port
from tests.signaling.stun_messages import SRTP
from tests.signaling.test_relay_succession import TO_BACKEND, TO_CLIENT, confirm, converse
from tests.system.browser import FLAGS, chromium_path
from tests.system.page_server import serving
from tests.system.test_relay_command import active, announced, relay_process, table_of

WEB = Path(__file__).parents[2] / "web"
DATAGRAMS_PER_S = 500
# A page of anybody's: it keeps when each frame was shown.
WATCH = """async ({ session, host, signaling, media }) => {
    const { StreamConnection } = await import("/stream-client.js");
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = video.playsInline = true;
    const shown = (globalThis.shown = []);
    const note = (now) => { shown.push(now); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    globalThis.ended = null;
    const stream = (globalThis.stream = new StreamConnection({
        sessionId: session, host, signalingPort: signaling, mediaPort: media,
        video: { width: 640, height: 360, fps: 30 }, videoElement: video,
    }));
    stream.addEventListener("end", ({ detail }) => { globalThis.ended = String(detail?.reason ?? detail); });
    await stream.ready;
}"""
GAPS = """since => {
    const shown = globalThis.shown.filter((at) => at >= since);
    const gaps = shown.slice(1).map((at, index) => at - shown[index]);
    const longest = Math.max(performance.now() - shown.at(-1), ...gaps);
    return { frames: shown.length, longest, ended: globalThis.ended };
}"""


@dataclass(frozen=True)
class Stood:
    """What a span of time brought: frames and datagrams, and the longest wait for the next of each."""

    frames: int
    frame_ms: float
    datagrams: int
    datagram_ms: float
    lost: int
    doubled: int


@dataclass
class DatagramFlow:
    """Numbered datagrams of a backend, sent evenly by one thread and received by another."""

    client: Peer
    server: Peer
    upstream: TransportAddress
    relay: TransportAddress
    arrived: list[tuple[float, int]] = field(default_factory=list)
    sent: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=work) for work in (self._send, self._receive)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _send(self) -> None:
        began = time.monotonic()
        while not self._over.wait(max(0.0, began + self.sent / DATAGRAMS_PER_S - time.monotonic())):
            self.server.send(SRTP + self.sent.to_bytes(4, "big"), self.upstream)
            self.sent += 1
            if self.sent % DATAGRAMS_PER_S == 0:  # a client that is silent is forgotten
                self.client.send(SRTP, self.relay)

    def _receive(self) -> None:
        receiver = self.client.sock.dup()
        with receiver:
            receiver.settimeout(0.2)
            while not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    data = receiver.recv(2048)
                    if data.startswith(SRTP) and len(data) == len(SRTP) + 4:
                        self.arrived.append((time.monotonic(), int.from_bytes(data[-4:], "big")))


@dataclass
class Rig:
    """Both streams, through a relay that can be restarted."""

    page: Page
    flow: DatagramFlow
    viewer: ClientConnection
    settings: RedisSettings
    folder: Path
    health: str
    running: AsyncExitStack
    process: subprocess.Popen[bytes]

    async def watch(self, seconds: float) -> Stood:
        """Both streams for so long, without a restart."""
        since = await self._now()
        await asyncio.sleep(seconds)
        return await self._stood(since)

    async def restart(self) -> Stood:
        """Let another process take over, until the first has ended and the other served for a while."""
        since = await self._now()
        successor = self.running.enter_context(started(self.settings, self.folder, self.health, "--takeover"))
        assert await asyncio.to_thread(self.process.wait, 60) == 0
        self.process = successor
        await asyncio.sleep(1.5)
        return await self._stood(since)

    async def _now(self) -> tuple[float, float, int]:
        shown: float = await self.page.evaluate("performance.now()")
        return shown, time.monotonic(), self.flow.sent

    async def _stood(self, since: tuple[float, float, int]) -> Stood:
        shown_since, began, first = since
        sent = self.flow.sent
        await asyncio.sleep(0.2)  # for those on their way
        seen: Mapping[str, float] = await self.page.evaluate(GAPS, shown_since)
        assert seen["ended"] is None, f"the browser's stream ended: {seen['ended']}"
        arrived = [(at, number) for at, number in list(self.flow.arrived) if at >= began]
        times = [began, *(at for at, _ in arrived)]
        numbers = [number for _, number in arrived if first <= number < sent]
        return Stood(
            frames=int(seen["frames"]),
            frame_ms=seen["longest"],
            datagrams=len(numbers),
            datagram_ms=max(later - at for at, later in pairwise(times)) * 1000,
            lost=sent - first - len(set(numbers)),
            doubled=len(numbers) - len(set(numbers)),
        )


@contextmanager
def started(settings: RedisSettings, folder: Path, health: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`pixelferry relay`, which tells its health there."""
    own = ("--handover-folder", str(folder / "meet"), "--listen", health)
    with relay_process(settings, folder / "relay.log", *own, *options) as process:
        yield process


@asynccontextmanager
async def streaming_backend(session_id: str, log: Path) -> AsyncIterator[Endpoint]:
    """A streaming backend's process that serves this session."""
    signaling, media, control = (
        free_port(kind, BACKEND_HOST) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM)
    )
    environment = os.environ | {
        "PIXELFERRY_BACKEND_HOST": BACKEND_HOST,
        "PIXELFERRY_SIGNALING_PORT": str(signaling),
        "PIXELFERRY_MEDIA_PORT": str(media),
        "PIXELFERRY_CONTROL_PORT": str(control),
        "PIXELFERRY_CONTROL_TOKEN": (token := secrets.token_hex(16)),
    }
    with log.open("wb") as errors:
        command = (sys.executable, "-m", "streamer", "test-pattern")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=errors)
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            client = ControlClient(http, BACKEND_HOST, control, token)
            while True:
                with contextlib.suppress(NoAnswer):
                    await client.ready()
                    break
                await asyncio.sleep(0.1)
            await client.put_session(Activation(session_id, {}, "secret"))
        yield Endpoint(BACKEND_HOST, signaling, media)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def streaming(settings: RedisSettings, folder: Path) -> AsyncIterator[Rig]:
    """A real browser that watches a real backend, and a flow of datagrams, through one relay process."""
    async with AsyncExitStack() as running:
        table = await running.enter_async_context(table_of(settings))
        health = f"{RELAY_HOST}:{free_port(socket.SOCK_STREAM)}"
        process = running.enter_context(started(settings, folder, health))
        [relay] = await announced(table, "edge")
        client, server = Peer(), Peer(BACKEND_HOST)
        running.callback(client.close)
        running.callback(server.close)
        listening = await running.enter_async_context(serve(converse, BACKEND_HOST, 0))
        echo = int(next(iter(listening.sockets)).getsockname()[1])
        backend = await running.enter_async_context(streaming_backend("picture", folder / "backend.log"))
        picture = Route("picture", relay.id, relay.ports.lo, relay.ports.lo + 1, backend, "secret")
        numbers = replace(
            picture,
            session_id="numbers",
            signaling_port=relay.ports.lo + 2,
            media_port=relay.ports.lo + 3,
            backend=Endpoint(BACKEND_HOST, echo, server.address.port),
        )
        for route in (picture, numbers):
            await table.publish(route)
            await active(table, route)
        url = f"ws://{RELAY_HOST}:{numbers.signaling_port}/session/numbers"
        viewer = await running.enter_async_context(connect(url, proxy=None))
        await viewer.send(TO_BACKEND)
        assert await viewer.recv() == TO_CLIENT
        at = TransportAddress(RELAY_HOST, numbers.media_port)
        flow = DatagramFlow(client, server, await confirm(client, server, at), at)
        page = await running.enter_async_context(watching(picture))
        running.enter_context(flow.flowing())
        yield Rig(page, flow, viewer, settings, folder, health, running, process)


@asynccontextmanager
async def watching(route: Route) -> AsyncIterator[Page]:
    """A browser's page that shows the route's stream."""
    with serving(WEB) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
            try:
                page = await browser.new_page()
                await page.goto(url + "/examples/")
                ports = {"signaling": route.signaling_port, "media": route.media_port}
                await page.evaluate(WATCH, {"session": route.session_id, "host": RELAY_HOST, **ports})
                await page.wait_for_function("globalThis.shown.length > 60", timeout=60_000)
                yield page
            finally:
                await browser.close()
