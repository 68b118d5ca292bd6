"""The broker's rate: create, get and delete over HTTP, beside a bare handler that validates the same body."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import psutil
from aiohttp import web

from broker.api.models import StartStream
from broker.app import Broker
from broker.core.catalog import Clocks
from broker.core.slot import Backend, BackendState, SlotRef
from broker.listening import ListenAddress, listen
from broker.process import set_aside_what_stays
from broker.providers.base import Activation, LaunchOrder
from broker.settings import BrokerSettings
from broker.state import state_in_process
from signaling.routes import Endpoint, PortRange, RelayInfo, Route, RouteReport, RouteState
from signaling.table import ChangeSignal, MemoryRouteTable
from tests.broker.samples import make_catalog, make_profile

WARM_CYCLES, CYCLES = 500, 2000
CALLERS = (1, 16, 128)
LISTED = 10_000
# Ports rest for half a minute once they are given back, so that a fast bench needs many of them.
RELAYS = 4
# Who tells of all backends at each change would measure that: providers look at them in turns.
LOOK_EVERY_S = 0.05
BODY = json.dumps({"id": "app", "profile": "default", "version": "1.0.0", "arguments": {"stage": "a.usd"}}).encode()


class NoProvider:
    """Backends that are there as soon as they are asked for, and do nothing."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}
        self._changed = ChangeSignal()
        self._endpoint = Endpoint("127.0.0.2", 47000, 47001)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def launch(self, slot: SlotRef, order: LaunchOrder) -> None:
        self._tell(slot, Backend(BackendState.IDLE, self._endpoint))

    async def adopt(self, slot: SlotRef, order: LaunchOrder, activation: Activation, *, was_ready: bool) -> bool:
        return False

    async def activate(self, slot: SlotRef, activation: Activation) -> None:
        self._tell(slot, Backend(BackendState.CLAIMED, self._endpoint, activation.session_id))

    async def notify(self, slot: SlotRef, warning: str) -> None:
        pass

    async def release(self, slot: SlotRef) -> None:
        if self._backends.pop(slot.id, None) is not None:
            self._changed.fire()

    async def observe(self) -> AsyncGenerator[Mapping[str, Backend], None]:
        async for _ in self._changed.follow():
            yield dict(self._backends)
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell(self, slot: SlotRef, backend: Backend) -> None:
        self._backends[slot.id] = backend
        self._changed.fire()


class ServedTable(MemoryRouteTable):
    """A route table with relays that serve each route as soon as it is wanted, and do nothing."""

    async def announce_all(self) -> None:
        for number in range(RELAYS):
            ports = PortRange(1024, 65535)
            await self.announce(RelayInfo(f"relay-{number}", "127.0.0.1", ports, capacity=100_000, version="0"))

    async def publish(self, route: Route, *, fence: int | None = None) -> None:
        await super().publish(route, fence=fence)
        ports = (route.signaling_port, route.media_port)
        await self.report(RouteReport(route.session_id, route.relay_id, *ports, route.backend, RouteState.ACTIVE))


async def serve_broker(bound: socket.socket) -> None:
    clocks = Clocks(first_connection_s=3600)
    profile = replace(make_profile(slots=2 * LISTED, clocks=clocks), queue=0)
    table = ServedTable()
    await table.announce_all()
    settings = BrokerSettings(quota_total=None)
    broker = Broker(settings, make_catalog(profile), state_in_process(routes=table), own={"process": NoProvider()})
    set_aside_what_stays()
    await broker.run([bound], asyncio.Event(), started=lambda: print("ready", flush=True))


async def serve_bare(bound: socket.socket) -> None:
    async def create(request: web.Request) -> web.Response:
        start = StartStream.model_validate(await request.json())
        return web.json_response({"id": start.id, "profile": start.profile}, status=202)

    application = web.Application()
    application.router.add_post("/stream", create)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


class Caller:
    """A client that costs next to nothing: it writes requests and reads answers of known length."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Caller:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        self._writer.write((head + kind + "\r\n").encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = answer.lower().partition(b"\r\ncontent-length: ")
        length = int(rest.split(b"\r\n", 1)[0]) if rest else 0
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a process of its own."""

    port: int
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """What it used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Figures:
    """How often a second, the server's CPU for each, and how long each create took."""

    rate: float
    cpu_ms: float
    times_ms: list[float]


@asynccontextmanager
async def served(kind: str) -> AsyncIterator[Server]:
    """A server in a process of its own, as it would be."""
    bound = listen(ListenAddress("127.0.0.1", 0))[0]
    bound.set_inheritable(True)
    command = [sys.executable, "-m", "bench.sessions", "--serve", kind, "--socket", str(bound.fileno())]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, pass_fds=[bound.fileno()])
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield Server(bound.getsockname()[1], psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()
        bound.close()


Doing = Callable[[Caller, list[float]], Awaitable[None]]


async def cycle(caller: Caller, times: list[float]) -> None:
    begun = time.perf_counter()
    status, answer = await caller.call("POST", "/stream", BODY)
    times.append(time.perf_counter() - begun)
    assert status in (200, 202), answer
    path = "/stream/" + json.loads(answer)["id"]
    status, answer = await caller.call("GET", path)
    assert status in (200, 202), answer
    status, answer = await caller.call("DELETE", path)
    assert status == 204, answer


async def post(caller: Caller, times: list[float]) -> None:
    begun = time.perf_counter()
    status, answer = await caller.call("POST", "/stream", BODY)
    times.append(time.perf_counter() - begun)
    assert status in (200, 202), answer


async def measured(server: Server, do: Doing, callers: int, times_in_all: int) -> Figures:
    """Do it so often, by so many callers at once."""
    port = server.port
    opened = [await Caller(port).open() for _ in range(callers)]
    left = iter(range(times_in_all))
    times: list[float] = []

    async def work(caller: Caller) -> None:
        for _ in left:
            await do(caller, times)

    gc.disable()
    begun, cpu_begun = time.perf_counter(), server.cpu_s
    await asyncio.gather(*(work(caller) for caller in opened))
    seconds, cpu_s = time.perf_counter() - begun, server.cpu_s - cpu_begun
    gc.enable()
    for caller in opened:
        caller.close()
    return Figures(times_in_all / seconds, 1000 * cpu_s / times_in_all, [1000 * one for one in times])


def tell(what: str, callers: int, figures: Figures) -> None:
    p50, p99 = statistics.median(figures.times_ms), statistics.quantiles(figures.times_ms, n=100)[98]
    print(
        f"sessions {what:18} {callers:4} callers {figures.rate:6.0f}/s  server's CPU {figures.cpu_ms:6.3f} ms each"
        f"   create p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
    )


async def compare() -> None:
    bare: dict[int, Figures] = {}
    async with served("bare") as server:
        await measured(server, post, 16, WARM_CYCLES)
        for callers in CALLERS:
            bare[callers] = await measured(server, post, callers, CYCLES)
            tell("bare handler", callers, bare[callers])
    async with served("broker") as server:
        await measured(server, cycle, 16, WARM_CYCLES)
        for callers in CALLERS:
            tell("create+get+delete", callers, await measured(server, cycle, callers, CYCLES))
    async with served("broker") as server:
        await measured(server, cycle, 16, WARM_CYCLES)
        before = server.process.memory_info().rss
        for callers in CALLERS:
            figures = await measured(server, post, callers, LISTED // len(CALLERS))
            tell("create", callers, figures)
            rate, cpu = figures.rate / bare[callers].rate, bare[callers].cpu_ms / figures.cpu_ms
            print(f"sessions create / bare    {callers:4} callers   {rate:5.2f} of its rate, {cpu:5.2f} by CPU")
        await tell_list(server.port)
        print(f"sessions memory of one: {(server.process.memory_info().rss - before) / LISTED / 1024:.1f} KiB")


async def tell_list(port: int) -> None:
    caller = await Caller(port).open()
    for query in ("", "?offset=9000", "?limit=1000"):
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            status, answer = await caller.call("GET", "/stream" + query)
            times.append(1000 * (time.perf_counter() - begun))
            assert status == 200, answer
        print(f"sessions a page of {LISTED} ({query or 'first 50'}): {statistics.median(times):.1f} ms")
    caller.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", choices=("broker", "bare"))
    parser.add_argument("--socket", type=int)
    options = parser.parse_args()
    if options.serve is None:
        asyncio.run(compare())
    else:
        bound = socket.socket(fileno=options.socket)
        asyncio.run(serve_broker(bound) if options.serve == "broker" else serve_bare(bound))


if __name__ == "__main__":
    main()
