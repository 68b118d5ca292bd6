"""Signaling through the relay beside a direct connection, in the same run: connects, message latency, memory.

Backend, relay and client are three processes on loopback. Compare figures of one run only.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from bench.figures import percentile
from signaling.metrics import RelayCounters
from signaling.port import SignalingPort
from signaling.routes import Endpoint, Route
from signaling.settings import RelaySettings
from tests.signaling.paths import NotedMedia
from tests.signaling.ports import BACKEND_HOST, SESSION, free_port

CONNECTS = 300
AT_ONCE = 8
MESSAGES = 1000
IDLE = 300
OFFER = Path(__file__).parent.parent / "tests" / "data" / "signaling" / "chromium-offer.sdp"

Serving = Callable[[int, int, Connection], Coroutine[None, None, None]]


async def backend(port: int, _: int, pipe: Connection) -> None:
    """Echo every message until told to stop."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, BACKEND_HOST, port, compression=None):
        pipe.send(0)
        await asyncio.to_thread(pipe.recv)


async def relay(port: int, backend_port: int, pipe: Connection) -> None:
    """Serve one route; each thing received is answered with the resident bytes of the process."""
    route = Route(SESSION, "relay", port, port, Endpoint(BACKEND_HOST, backend_port, 47001), "secret")
    settings = RelaySettings(max_handshakes=1000)
    signaling = SignalingPort(route, NotedMedia(limit=10_000), settings, RelayCounters())
    await signaling.open()
    pipe.send(0)
    while await asyncio.to_thread(pipe.recv):
        pipe.send(resident_bytes())
    await signaling.close(4001)


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _run(serving: Serving, port: int, other: int, pipe: Connection) -> None:
    asyncio.run(serving(port, other, pipe))


@contextmanager
def process(serving: Serving, port: int, other: int = 0) -> Iterator[Connection]:
    """A server in a process of its own, ready; ended afterwards."""
    context = get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_run, args=(serving, port, other, there), daemon=True)
    child.start()
    here.recv()
    try:
        yield here
    finally:
        here.send(None)
        child.join(10)


def url(host: str, port: int) -> str:
    return f"ws://{host}:{port}/session/{SESSION}"


async def connects_per_s(target: str) -> float:
    """Whole handshakes and closes."""
    left = iter(range(CONNECTS))

    async def visit() -> None:
        for _ in left:
            async with connect(target, compression=None):
                pass

    begin = time.perf_counter()
    await asyncio.gather(*(visit() for _ in range(AT_ONCE)))
    return CONNECTS / (time.perf_counter() - begin)


async def latencies_us(connection: ClientConnection, message: str) -> list[float]:
    """Round trips, one after another."""
    samples = []
    for _ in range(MESSAGES):
        begin = time.perf_counter()
        await connection.send(message)
        await connection.recv()
        samples.append((time.perf_counter() - begin) * 1e6)
    return samples


@asynccontextmanager
async def idle_connections(target: str, count: int) -> AsyncIterator[None]:
    connections = [await connect(target, compression=None) for _ in range(count)]
    yield
    await asyncio.gather(*(connection.close() for connection in connections))


async def measure(direct: str, relayed: str, pipe: Connection) -> None:
    print(f"signaling connects/s ({AT_ONCE} at once): ", end="")
    here, there = await connects_per_s(direct), await connects_per_s(relayed)
    print(f"direct {here:.0f}, relay {there:.0f}")
    messages = {
        "small message": json.dumps({"type": "ping", "seq": 1}),
        "Chromium's offer": json.dumps({"type": "offer", "sdp": OFFER.read_bytes().decode()}),
    }
    for name, message in messages.items():
        async with connect(direct, compression=None) as one, connect(relayed, compression=None) as other:
            here_us, there_us = await latencies_us(one, message), await latencies_us(other, message)
        print(
            f"round trip of a {name} ({len(message)} bytes), p50/p99 us: "
            f"direct {percentile(here_us, 50):.0f}/{percentile(here_us, 99):.0f}, "
            f"relay {percentile(there_us, 50):.0f}/{percentile(there_us, 99):.0f}"
        )
    pipe.send(True)
    before = pipe.recv()
    async with idle_connections(relayed, IDLE):
        pipe.send(True)
        after = pipe.recv()
    print(f"memory per idle viewer: {(after - before) / IDLE / 1024:.1f} KiB")


def main() -> None:
    backend_port, relay_port = free_port(BACKEND_HOST), free_port()
    with ExitStack() as stack:
        stack.enter_context(process(backend, backend_port))
        pipe = stack.enter_context(process(relay, relay_port, backend_port))
        asyncio.run(measure(url(BACKEND_HOST, backend_port), url("127.0.0.1", relay_port), pipe))


if __name__ == "__main__":
    main()
