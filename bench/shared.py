"""Creates a second with one, two and four brokers on one Redis, beside a bare handler that does one EVALSHA."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import psutil
from aiohttp import web
from redis.asyncio import Redis

from bench.figures import percentile
from bench.sessions import BODY, WARM_CYCLES, Caller, NoProvider, Server, measured
from broker.api.models import StartStream
from broker.app import Broker
from broker.core.catalog import Clocks
from broker.listening import ListenAddress, listen
from broker.process import set_aside_what_stays
from broker.redis_state import redis_state
from broker.settings import BrokerSettings
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from signaling.routes import PortRange, RelayInfo, Route, RouteReport, RouteState
from signaling.table_redis import RedisRouteTable
from tests.broker.samples import make_catalog, make_profile
from tests.redis_server import RedisServer, redis_server

BROKERS = (1, 2, 4)
CREATES = 2000
CALLERS = 32
RELAYS = 4
LOOK_EVERY_S = 0.02
# What the least store would do for a session: keep it for a while, and tell of it.
SCRIPT = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', 60)
return redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 's', ARGV[1])
"""


async def serve_broker(bound: socket.socket, url: str) -> None:
    clocks = Clocks(first_connection_s=3600, placement_s=600)
    profile = replace(make_profile(slots=1_000_000, clocks=clocks), queue=0)
    settings = BrokerSettings(quota_total=None)
    async with redis_state(RedisSettings(url=url)) as state:
        broker = Broker(settings, make_catalog(profile), state, own={"process": NoProvider()})
        set_aside_what_stays()
        await broker.run([bound], asyncio.Event(), started=lambda: print("ready", flush=True))


async def serve_bare(bound: socket.socket, url: str) -> None:
    """The least that a create can be: HTTP, the body validated, one script, an answer."""
    redis = Redis.from_url(url)
    sha = await redis.script_load(SCRIPT)
    numbers = iter(range(1_000_000_000))

    async def create(request: web.Request) -> web.Response:
        start = StartStream.model_validate(await request.json())
        session = json.dumps({"id": start.id, "profile": start.profile, "arguments": start.arguments})
        await redis.evalsha(sha, 2, f"{{bare}}:{next(numbers)}", "{bare}:changes", session)
        return web.json_response({"id": start.id, "profile": start.profile}, status=202)

    application = web.Application()
    application.router.add_post("/stream", create)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def serve_relays(url: str) -> None:
    """Relays that serve each route as soon as they see it, and do nothing."""
    table = RedisRouteTable(RedisLink(RedisSettings(url=url), name="bench-relay"))
    async with asyncio.TaskGroup() as group:
        for number in range(RELAYS):
            info = RelayInfo(f"relay-{number}", "127.0.0.1", PortRange(1024, 65535), capacity=100_000, version="0")
            group.create_task(announce(table, info))
            group.create_task(serve_routes(table, info.id))
        print("ready", flush=True)


async def announce(table: RedisRouteTable, info: RelayInfo) -> None:
    while True:
        await table.announce(info)
        await asyncio.sleep(1)


async def serve_routes(table: RedisRouteTable, relay_id: str) -> None:
    served: dict[str, Route] = {}
    async for wanted in table.watch(relay_id):
        for route in [route for key, route in wanted.items() if served.get(key) is not route]:
            ports = (route.signaling_port, route.media_port)
            await table.report(RouteReport(route.session_id, relay_id, *ports, route.backend, RouteState.ACTIVE))
        served = dict(wanted)
        await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def served(kind: str, url: str) -> AsyncIterator[Server]:
    """A server in a process of its own."""
    bound = listen(ListenAddress("127.0.0.1", 0))[0]
    bound.set_inheritable(True)
    command = [sys.executable, "-m", "bench.shared", "--serve", kind, "--redis", url, "--socket", str(bound.fileno())]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, pass_fds=[bound.fileno()])
    try:
        assert process.stdout is not None
        assert await process.stdout.readline(), f"{kind} did not start"
        yield Server(bound.getsockname()[1], psutil.Process(process.pid))
    finally:
        process.kill()
        await process.wait()
        bound.close()


@dataclass(frozen=True, slots=True)
class Shared:
    """Creates a second of all together; CPU for each in servers and Redis; how long each took."""

    rate: float
    server_ms: float
    redis_ms: float
    times_ms: Sequence[float]
    refused: int


class Creates:
    """Asks for sessions; who is refused for the moment asks again, and that is counted."""

    def __init__(self) -> None:
        self.refused = 0

    async def post(self, caller: Caller, times: list[float]) -> None:
        begun = time.perf_counter()
        while True:
            status, answer = await caller.call("POST", "/stream", BODY)
            if status in (200, 202):
                break
            assert status == 503, answer
            self.refused += 1
            await asyncio.sleep(0.1)
        times.append(time.perf_counter() - begun)


async def load(servers: Sequence[Server], redis: RedisServer, creates: int) -> Shared:
    """So many creates, by callers that are spread over the servers."""
    store, ask = Server(redis.port, psutil.Process(redis.pid)), Creates()
    begun, cpu, redis_cpu = time.perf_counter(), sum(one.cpu_s for one in servers), store.cpu_s
    each, callers = creates // len(servers), CALLERS // len(servers)
    figures = await asyncio.gather(*(measured(server, ask.post, callers, each) for server in servers))
    seconds, made = time.perf_counter() - begun, each * len(servers)
    server_ms = 1000 * (sum(one.cpu_s for one in servers) - cpu) / made
    redis_ms = 1000 * (store.cpu_s - redis_cpu) / made
    times_ms = [took for one in figures for took in one.times_ms]
    return Shared(made / seconds, server_ms, redis_ms, times_ms, ask.refused)


def tell(what: str, figures: Shared) -> None:
    p50, p99 = percentile(figures.times_ms, 50), percentile(figures.times_ms, 99)
    print(
        f"shared   {what:24} {figures.rate:6.0f}/s   CPU of each: servers {figures.server_ms:6.3f} ms, "
        f"Redis {figures.redis_ms:6.3f} ms   p50 {p50:6.1f} ms  p99 {p99:6.1f} ms   503: {figures.refused}",
        flush=True,
    )


async def compare() -> None:
    bare: dict[int, Shared] = {}
    for number in BROKERS:
        with redis_server() as redis:
            async with AsyncExitStack() as opened:
                servers = [await opened.enter_async_context(served("bare", redis.url)) for _ in range(number)]
                await load(servers, redis, WARM_CYCLES)
                bare[number] = await load(servers, redis, CREATES)
                tell(f"bare + EVALSHA x{number}", bare[number])
    for number in BROKERS:
        with redis_server() as redis:
            async with AsyncExitStack() as opened:
                await opened.enter_async_context(served("relays", redis.url))
                servers = [await opened.enter_async_context(served("broker", redis.url)) for _ in range(number)]
                await load(servers, redis, WARM_CYCLES)
                made = await load(servers, redis, CREATES)
                tell(f"create, brokers x{number}", made)
                print(f"shared   create / bare x{number}: {made.rate / bare[number].rate:.2f} of its rate, "
                      f"{bare[number].server_ms / made.server_ms:.2f} by the servers' CPU", flush=True)  # fmt: skip
    with redis_server() as redis:
        print(f"shared   redis-benchmark EVALSHA  {await raw(redis):6.0f}/s", flush=True)


async def raw(redis: RedisServer) -> float:
    """The same script, as fast as redis-benchmark calls it."""
    client = Redis.from_url(redis.url)
    sha = str(await client.script_load(SCRIPT))
    await client.aclose()
    command = ["redis-benchmark", "-p", str(redis.port), "-n", "100000", "-c", str(CALLERS), "-q"]
    script = ["EVALSHA", sha, "2", "{bare}:1", "{bare}:changes", "x" * 100]
    process = await asyncio.create_subprocess_exec(*command, *script, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    found = re.findall(r"([\d.]+) requests per second", output.decode())
    assert found, output
    return float(found[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", choices=("broker", "bare", "relays"))
    parser.add_argument("--redis", default="")
    parser.add_argument("--socket", type=int)
    options = parser.parse_args()
    if options.serve is None:
        asyncio.run(compare())
        return
    # What a broker warns of would be written by the process that is measured.
    logging.disable(logging.WARNING)
    bound = socket.socket(fileno=options.socket)
    match options.serve:
        case "broker":
            asyncio.run(serve_broker(bound, options.redis))
        case "bare":
            asyncio.run(serve_bare(bound, options.redis))
        case _:
            bound.close()
            asyncio.run(serve_relays(options.redis))


if __name__ == "__main__":
    main()
