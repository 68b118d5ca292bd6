"""What sessions, brokers and relays cost in Redis: commands, bytes, memory, connections (docs/scaling.md)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.asyncio import Redis

from bench.sessions import BODY, Caller, Server
from bench.shared import RELAYS, served
from tests.redis_server import RedisServer, redis_server

SESSIONS = 500
BROKERS = 2
IDLE_S = 10.0
# In which each broker reads everything once, as it does to find what was missed.
REREAD_S = 45.0
CALLERS = 8


@dataclass(frozen=True, slots=True)
class Used:
    """What Redis did so far; `commands` are those of scripts, too."""

    commands: int
    received: int
    sent: int
    memory: int
    cpu_s: float


async def used(client: Redis) -> Used:
    stats: Mapping[str, float] = await client.info("stats")
    memory: Mapping[str, int] = await client.info("memory")
    cpu: Mapping[str, float] = await client.info("cpu")
    return Used(
        int(stats["total_commands_processed"]),
        int(stats["total_net_input_bytes"]),
        int(stats["total_net_output_bytes"]),
        memory["used_memory"],
        cpu["used_cpu_user"] + cpu["used_cpu_sys"],
    )


async def each(servers: list[Server], method: str, paths: list[str], body: bytes = b"") -> list[str]:
    """Call each path once, spread over the servers and a few callers; the ids that were answered."""
    left = iter(list(enumerate(paths)))
    ids: list[str] = []

    async def work(server: Server) -> None:
        caller = await Caller(server.port).open()
        for _, path in left:
            status, answer = await caller.call(method, path, body)
            while status == 503:
                await asyncio.sleep(0.2)
                status, answer = await caller.call(method, path, body)
            assert status in (200, 202, 204), answer
            if answer:
                ids.append(str(json.loads(answer)["id"]))
        caller.close()

    await asyncio.gather(*(work(servers[number % len(servers)]) for number in range(CALLERS)))
    return ids


async def until_ready(servers: list[Server], ids: list[str]) -> None:
    caller = await Caller(servers[0].port).open()
    waiting = list(ids)
    for _ in range(300):
        waiting = [one for one in waiting if (await caller.call("GET", f"/stream/{one}"))[0] != 200]
        if not waiting:
            break
        await asyncio.sleep(0.2)
    assert not waiting, f"{len(waiting)} sessions are not ready"
    caller.close()


async def idle(client: Redis, what: str, sessions: int, *, seconds: float = IDLE_S) -> None:
    before = await used(client)
    await asyncio.sleep(seconds)
    after = await used(client)
    commands, received, sent = (
        after.commands - before.commands,
        after.received - before.received,
        after.sent - before.sent,
    )
    print(
        f"costs    {what}, {sessions} sessions that do nothing: {commands / seconds:6.1f} commands/s, "
        f"{received / seconds / 1024:6.1f} KiB/s in, {sent / seconds / 1024:6.1f} KiB/s out, "
        f"{100 * (after.cpu_s - before.cpu_s) / seconds:4.1f} % of a core",
        flush=True,
    )


def tell(what: str, before: Used, after: Used, times: int) -> None:
    print(
        f"costs    a {what}: {(after.commands - before.commands) / times:5.1f} commands, "
        f"{(after.received - before.received) / times / 1024:5.1f} KiB in, "
        f"{(after.sent - before.sent) / times / 1024:5.1f} KiB out, "
        f"{1000 * (after.cpu_s - before.cpu_s) / times:5.2f} ms of Redis' CPU",
        flush=True,
    )


async def measure(redis: RedisServer) -> None:
    client = Redis.from_url(redis.url)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(served("relays", redis.url))
        await asyncio.sleep(2)
        await idle(client, f"{RELAYS} relays", 0)
        servers = [await opened.enter_async_context(served("broker", redis.url)) for _ in range(BROKERS)]
        await each(servers, "POST", ["/stream"] * 20, BODY)
        await asyncio.sleep(2)
        await idle(client, f"{RELAYS} relays and {BROKERS} brokers", 20)
        empty = await used(client)
        ids = await each(servers, "POST", ["/stream"] * SESSIONS, BODY)
        await until_ready(servers, ids)
        await asyncio.sleep(1)
        full = await used(client)
        tell("create, until it is ready", empty, full, SESSIONS)
        print(
            f"costs    memory of a live session: {(full.memory - empty.memory) / SESSIONS / 1024:.1f} KiB", flush=True
        )
        await idle(client, f"{RELAYS} relays and {BROKERS} brokers", SESSIONS, seconds=REREAD_S)
        before = await used(client)
        await each(servers, "GET", [f"/stream/{session_id}" for session_id in ids])
        read = await used(client)
        tell("get", before, read, SESSIONS)
        await each(servers, "DELETE", [f"/stream/{session_id}" for session_id in ids])
        await asyncio.sleep(2)
        tell("delete, until all is given back", read, await used(client), SESSIONS)
        names = Counter(str(one["name"]) or "without a name" for one in await client.client_list())
        print(f"costs    connections: {dict(names)}", flush=True)
    await client.aclose()


def main() -> None:
    logging.disable(logging.WARNING)
    with redis_server() as redis:
        asyncio.run(measure(redis))


if __name__ == "__main__":
    main()
