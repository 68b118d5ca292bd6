"""`pixelferry relay` as processes of its own, on a real Redis: what it serves, and what becomes of that at its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from signaling.routes import Endpoint, PortRange, RelayInfo, Route, RouteReport, RouteState
from signaling.table_redis import RedisRouteTable
from tests.redis_server import redis_server
from tests.signaling.media_rig import until
from tests.signaling.test_relay import backend, close_code, view
from tests.system.ferry import PIXELFERRY, call, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
PORTS = "30300-30339"
"""Below those of outgoing connections: one to a port that is free could else meet itself."""


@contextmanager
def relay_process(settings: RedisSettings, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command with these options; killed with what it started, should it still be there."""
    environment = os.environ | {
        "PIXELFERRY_REDIS__PREFIX": settings.prefix,
        "PIXELFERRY_RELAY__CLOSE_TIMEOUT_S": "1",
        "PIXELFERRY_RELAY__DRAIN_S": "1",
    }
    command = (PIXELFERRY, "relay", "--redis", settings.url, "--id", "edge", "--ports", PORTS, *options)
    with log.open("ab") as errors, subprocess.Popen(command, env=environment, stderr=errors) as process:
        try:
            yield process
        finally:
            for child in psutil.Process(process.pid).children() if process.poll() is None else []:
                child.kill()
            process.kill()


@asynccontextmanager
async def table_of(settings: RedisSettings) -> AsyncIterator[RedisRouteTable]:
    link = RedisLink(settings)
    table = RedisRouteTable(link)
    try:
        await link.call("SET", link.key("epoch"), '{"id": "e1", "state": "ready"}')
        yield table
    finally:
        await table.close()
        await link.close()


async def announced(table: RedisRouteTable, *names: str) -> list[RelayInfo]:
    """These relays, once they are there."""
    async with asyncio.timeout(60):
        async for _ in table.changes():
            relays = await table.relays()
            if all(name in relays for name in names):
                return [relays[name] for name in names]
    raise AssertionError("changes ended")


async def active(table: RedisRouteTable, route: Route) -> RouteReport:
    """The route's report, once it says that both ports are bound."""
    async with asyncio.timeout(60):
        async for _ in table.changes():
            report = await table.report_on(route.session_id)
            if report is not None and report.state is RouteState.ACTIVE and report.is_about(route):
                return report
    raise AssertionError("changes ended")


def route_on(relay: RelayInfo, name: str, backend_port: int) -> Route:
    ports = relay.ports
    return Route(name, relay.id, ports.lo, ports.lo + 1, Endpoint("127.0.0.2", backend_port, 9), "secret")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def worker_with(process: subprocess.Popen[bytes], port: int) -> psutil.Process:
    """The worker that listens on this port."""
    for worker in psutil.Process(process.pid).children():
        if any(bound.laddr and bound.laddr.port == port for bound in worker.net_connections("tcp")):
            return worker
    raise AssertionError(f"no worker listens on {port}")


async def test_workers_share_ports_come_back_when_killed_and_drain_to_the_deadline(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    log = tmp_path / "relay.log"
    options = ("--workers", "2", "--capacity", "5", "--zone", "a")
    async with backend() as port, table_of(redis_settings) as table:
        with relay_process(redis_settings, log, *options) as process:
            first, second = await announced(table, "edge-1", "edge-2")
            assert (first.ports, second.ports) == (PortRange(30300, 30319), PortRange(30320, 30339))
            assert (first.capacity, second.capacity, first.zone) == (2, 3, "a")
            one, other = route_on(first, "s1", port), route_on(second, "s2", port)
            for wanted in (one, other):
                await table.publish(wanted)
                await active(table, wanted)
            bystander = await view(other)
            worker_with(process, one.signaling_port).kill()
            await until(lambda: is_free(one.signaling_port))
            await until(lambda: not is_free(one.signaling_port), timeout_s=60)
            viewer = await view(one)
            await bystander.send("still here")
            assert await bystander.recv() == "still here", "the other worker noticed nothing"
            process.send_signal(signal.SIGTERM)
            assert [await close_code(each) for each in (viewer, bystander)] == [1012, 1012]
            assert await asyncio.to_thread(process.wait, 30) == 0, log.read_text()
        assert await table.relays() == {}
        assert (await table.routes()).keys() == {"s1", "s2"}, "they are the brokers' to move"


async def test_a_second_relay_of_one_name_is_refused_and_told_what_to_do(
    redis_settings: RedisSettings, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    async with table_of(redis_settings) as table:
        with relay_process(redis_settings, first) as process:
            await announced(table, "edge")
            with relay_process(redis_settings, second) as other:
                assert await asyncio.to_thread(other.wait, 60) == 1
            assert "relay 'edge' runs on this host already" in second.read_text()
            assert "--takeover" in second.read_text()
            assert process.poll() is None
            assert (await table.relays()).keys() == {"edge"}


async def test_a_relay_tells_which_redis_is_the_wrong_one_and_serves_once_it_is_right(tmp_path: Path) -> None:
    with redis_server(requirepass="right") as server, socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
        probe.close()
        settings = RedisSettings(url=server.url.replace("redis://", "redis://:wrong@"))
        with relay_process(settings, tmp_path / "log", "--listen", f"127.0.0.1:{port}") as process:
            url = f"http://127.0.0.1:{port}/readyz"
            answer = await asyncio.to_thread(eventually, lambda: not_ready(url), within_s=60, what="a cause")
            assert "refuses the user or the password: mend redis.username and redis.password" in answer
            with socket.create_connection(("127.0.0.1", server.port)) as admin:
                admin.sendall(b"AUTH right\r\nCONFIG SET requirepass wrong\r\n")
                admin.recv(64)
            await asyncio.to_thread(eventually, lambda: is_ready(url), within_s=30, what="readiness")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 30) == 0
        assert "wrong" not in (tmp_path / "log").read_text(), "passwords are never logged"


def not_ready(url: str) -> str | None:
    try:
        answer = call("GET", url)
    except OSError:
        return None
    return answer.body.decode() if answer.status == 503 else None


def is_ready(url: str) -> bool:
    return call("GET", url).status == 200
