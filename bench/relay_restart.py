"""A relay's restart under a live stream: the longest gap in a browser's frames and in datagrams, beside none.

Chromium, the streaming backend, Redis and both relay processes are on one machine; the start of the new process is part
of the time that is watched.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from signaling.core.media_path import TransportAddress
from signaling.redis_settings import RedisSettings
from signaling.routes import Endpoint, Route, RouteState
from signaling.table import RouteTable
from tests.redis_server import redis_server
from tests.signaling.media_rig import BACKEND_HOST, Peer, free_port
from tests.signaling.test_relay_succession import TO_BACKEND, confirm, converse
from tests.system.relay_restart import DATAGRAMS_PER_S, Stood, started, streaming
from tests.system.test_relay_command import announced, table_of

RESTARTS = 5
SESSIONS = 100
WATCHED_S = 8.0


def show(what: str, stood: Stood) -> None:
    print(
        f"restart  {what:11}  {stood.frames:4} frames, longest gap {stood.frame_ms:5.0f} ms   "
        f"{stood.datagrams:5} datagrams at {DATAGRAMS_PER_S}/s, longest gap {stood.datagram_ms:5.1f} ms, "
        f"lost {stood.lost}, doubled {stood.doubled}"
    )


async def measure(settings: RedisSettings, folder: Path) -> None:
    async with streaming(settings, folder) as rig:
        show("without", await rig.watch(WATCHED_S))
        for number in range(1, RESTARTS + 1):
            show(f"restart {number}", await rig.restart())
    tell_of_standstill(folder)


def tell_of_standstill(folder: Path) -> None:
    for line in (folder / "relay.log").read_text().splitlines():
        if "handed over" in line:
            print("restart  " + line.partition("handover: ")[2])


async def measure_many(settings: RedisSettings, folder: Path) -> None:
    """How long a relay of many sessions stands still, each with live signaling and a confirmed flow."""
    health, ports = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}", ("--ports", "29000-29399", "--capacity", "200")
    async with AsyncExitStack() as running:
        table = await running.enter_async_context(table_of(settings))
        first = running.enter_context(started(settings, folder, health, *ports))
        [relay] = await announced(table, "edge")
        listening = await running.enter_async_context(serve(converse, BACKEND_HOST, 0))
        echo = int(next(iter(listening.sockets)).getsockname()[1])
        for number in range(SESSIONS):
            client, server = Peer(), Peer(BACKEND_HOST)
            running.callback(client.close)
            running.callback(server.close)
            backend, port = Endpoint(BACKEND_HOST, echo, server.address.port), relay.ports.lo + 2 * number
            route = Route(f"s{number}", relay.id, port, port + 1, backend, "secret")
            await table.publish(route)
            async with asyncio.timeout(10):
                while not await is_served(table, route):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            url = f"ws://127.0.0.1:{route.signaling_port}/session/s{number}"
            viewer = await running.enter_async_context(connect(url, proxy=None))
            await viewer.send(TO_BACKEND)
            await viewer.recv()
            await confirm(client, server, TransportAddress("127.0.0.1", route.media_port))
        running.enter_context(started(settings, folder, health, *ports, "--takeover"))
        await asyncio.to_thread(first.wait, 20)
    tell_of_standstill(folder)


async def is_served(table: RouteTable, route: Route) -> bool:
    report = await table.report_on(route.session_id)
    return report is not None and report.state is RouteState.ACTIVE


def main() -> None:
    with redis_server() as server, TemporaryDirectory() as folder, TemporaryDirectory() as other:
        asyncio.run(measure(RedisSettings(url=server.url), Path(folder)))
        asyncio.run(measure_many(RedisSettings(url=server.url, prefix="many"), Path(other)))


if __name__ == "__main__":
    main()
