"""A deployment in miniature: real redis-server, brokers, relays and nodes, each a process, each with a way to fail."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.redis_server import RedisServer, redis_server
from tests.system.failures.addresses import Addresses, addresses
from tests.system.failures.members import Member, false_clock_environment
from tests.system.failures.node import ADMIN_PORT
from tests.system.failures.nursery import MODULES, Nursery, nursery
from tests.system.failures.recorder import Recorder
from tests.system.failures.schedule import Cast
from tests.system.failures.way import way

NODE_TOKEN = "light nodes share a token".replace(" ", "-")
ADMISSION_SECRET = "the brokers of one deployment share this secret"
CATALOG = Path(__file__).with_name("catalog.toml")
_HTTP_PORT = 8080
RELAY_PORTS = "21000-21199"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of what. `scarce_slots` are those of the one node of profile `scarce`."""

    brokers: int = 2
    relays: int = 2
    nodes: int = 2
    slots: int = 8
    scarce_slots: int = 2


@dataclass
class Cluster:
    """Made by `cluster()`, all of it running."""

    redis: RedisServer
    nursery: Nursery
    addresses: Addresses
    folder: Path
    http: aiohttp.ClientSession
    brokers: dict[str, Member] = field(default_factory=dict)
    relays: dict[str, Member] = field(default_factory=dict)
    nodes: dict[str, Member] = field(default_factory=dict)
    recorder: Recorder = field(init=False)

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.http, {}, {})

    @property
    def cast(self) -> Cast:
        """To whom something may happen."""
        return Cast(tuple(self.brokers), tuple(self.relays), tuple(self.nodes))

    def url(self, broker: str) -> str:
        """Where a broker listens."""
        return self.recorder.brokers[broker]

    def node_host(self, name: str) -> str:
        """The address of a node."""
        return self.addresses.node([*self.nodes].index(name))

    def logs(self) -> str:
        """What all of them said, for people."""
        members = (*self.brokers.values(), *self.relays.values(), *self.nodes.values())
        return "\n".join(f"== {member.name}\n{member.said()}" for member in members)


@asynccontextmanager
async def cluster(
    shape: Shape, *, redis_options: Mapping[str, str], false_clocks: bool = False
) -> AsyncIterator[Cluster]:
    """A cluster that is up; nothing of it is left afterwards. `false_clocks`: `Member.set_clock` works."""
    async with AsyncExitStack() as opened:
        redis = opened.enter_context(redis_server(**redis_options))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pf-cluster-")))
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        http = await opened.enter_async_context(aiohttp.ClientSession(connector=connector, trust_env=False))
        modules = (*MODULES, "tests.system.failures.node")
        clocks = false_clock_environment() if false_clocks else {}
        born = await opened.enter_async_context(nursery(modules, environment=clocks))
        made = Cluster(redis, born, addresses(), folder, http)
        await _populate(made, shape, opened)
        members = (*made.brokers.values(), *made.relays.values(), *made.nodes.values())
        for member in members:
            await member.start()
        for member in members:
            await member.up(http)
        yield made


async def _populate(made: Cluster, shape: Shape, opened: AsyncExitStack) -> None:
    target = ("127.0.0.1", made.redis.port)
    broker_urls = {
        f"b{number}": f"http://{made.addresses.broker(number)}:{_HTTP_PORT}" for number in range(shape.brokers)
    }
    relay_hosts = {f"r{number}": made.addresses.relay(number) for number in range(shape.relays)}
    made.recorder = Recorder(made.http, broker_urls, {host: name for name, host in relay_hosts.items()})
    secret = made.folder / "secret"
    secret.write_text(ADMISSION_SECRET)
    secret.chmod(0o600)
    for name, url in broker_urls.items():
        own = await opened.enter_async_context(way(target))
        made.brokers[name] = Member(
            name=name,
            nursery=made.nursery,
            target="broker.cli:main",
            arguments=("broker",),
            environment=_broker_environment(url, own.port, secret),
            folder=made.folder,
            health=f"{url}/healthz",
            way=own,
        )
    for name, host in relay_hosts.items():
        own = await opened.enter_async_context(way(target))
        made.relays[name] = Member(
            name=name,
            nursery=made.nursery,
            target="broker.cli:main",
            arguments=("relay",),
            environment=_relay_environment(name, host, own.port),
            folder=made.folder,
            health=f"http://{host}:{_HTTP_PORT}/healthz",
            way=own,
        )
    nodes = {f"n{number}": (shape.slots, "usual") for number in range(shape.nodes)} | {
        "s0": (shape.scarce_slots, "scarce")
    }
    for number, (name, (slots, kind)) in enumerate(nodes.items()):
        host = made.addresses.node(number)
        made.nodes[name] = Member(
            name=name,
            nursery=made.nursery,
            target="tests.system.failures.node:main",
            arguments=_node_arguments(name, host, slots, kind, tuple(broker_urls.values())),
            environment={},
            folder=made.folder,
            health=f"http://{host}:{ADMIN_PORT}/slots",
        )


def _broker_environment(url: str, redis_port: int, secret: Path) -> dict[str, str]:
    digest = hashlib.sha256(NODE_TOKEN.encode()).hexdigest()
    return {
        "PIXELFERRY_REDIS__URL": f"redis://127.0.0.1:{redis_port}/0",
        "PIXELFERRY_LISTEN": url.removeprefix("http://"),
        "PIXELFERRY_CATALOG": str(CATALOG),
        "PIXELFERRY_ADMISSION__SECRET_FILE": str(secret),
        "PIXELFERRY_NODES__TOKENS": json.dumps({"nodes": {"sha256": digest, "nodes": ["n*", "s*"]}}),
        "PIXELFERRY_NODES__NETWORKS": "127.0.0.0/8",
        "PIXELFERRY_NODES__ALLOW_LOOPBACK": "true",
        "PIXELFERRY_NODES__HEARTBEAT_S": "0.5",
        "PIXELFERRY_NODES__SUSPECT_S": "2",
        "PIXELFERRY_NODES__GRACE_S": "4",
        "PIXELFERRY_NODES__SETTLE_S": "1",
        "PIXELFERRY_NODES__PROBE_EVERY_S": "0.3",
    }


def _relay_environment(name: str, host: str, redis_port: int) -> dict[str, str]:
    return {
        "PIXELFERRY_REDIS__URL": f"redis://127.0.0.1:{redis_port}/0",
        "PIXELFERRY_RELAY__ID": name,
        "PIXELFERRY_RELAY__HOST": host,
        "PIXELFERRY_RELAY__PORTS": RELAY_PORTS,
        "PIXELFERRY_LISTEN": f"{host}:{_HTTP_PORT}",
    }


def _node_arguments(name: str, host: str, slots: int, kind: str, brokers: tuple[str, ...]) -> tuple[str, ...]:
    told = [f"--name={name}", f"--host={host}", f"--slots={slots}", f"--token={NODE_TOKEN}", f"--label=kind={kind}"]
    return (*told, "--heartbeat-s=0.5", *(f"--broker={url}" for url in brokers))
