"""What media tests share: a media port on loopback, plain sockets and ICE agents at its two ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

import aioice

from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.metrics import MediaDrop, RelayCounters
from signaling.routes import Endpoint, Route, SignalingKind
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from signaling.udp import UdpMediaPort
from signaling.viewer_path import UdpViewerPath
from tests.signaling.stun_messages import BACKEND, CLIENT

RELAY_HOST = "127.0.0.1"
BACKEND_HOST = "127.0.0.2"


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM, host: str = RELAY_HOST) -> int:
    """A port that nobody held a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


async def until(condition: Callable[[], object], *, timeout_s: float = 5) -> None:
    """Wait, bounded, for a condition."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - datagrams raise no event
            await asyncio.sleep(0.002)


class Peer:
    """A plain UDP socket that speaks for a client or a backend."""

    def __init__(self, host: str = RELAY_HOST) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((host, 0))
        self.address = TransportAddress(host, int(self.sock.getsockname()[1]))

    def send(self, datagram: bytes, to: TransportAddress) -> None:
        self.sock.sendto(datagram, (to.host, to.port))

    async def receive(self, *, timeout_s: float = 5) -> tuple[bytes, TransportAddress]:
        async with asyncio.timeout(timeout_s):
            data, source = await asyncio.get_running_loop().sock_recvfrom(self.sock, 65536)
        return data, TransportAddress(source[0], source[1])

    def pending(self) -> list[bytes]:
        """All that has come and was not received yet."""
        found = []
        while True:
            try:
                found.append(self.sock.recv(65536))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self.sock.close()


@dataclass
class Rig:
    """An open media port and what its test looks at."""

    port: UdpMediaPort
    counters: RelayCounters
    backend: Peer
    address: TransportAddress
    peers: ExitStack

    def peer(self, host: str = RELAY_HOST) -> Peer:
        """One more socket, closed with the rig."""
        peer = Peer(host)
        self.peers.callback(peer.close)
        return peer

    def open_viewer(self, viewer_id: str = "v1", *, host: str = RELAY_HOST) -> UdpViewerPath:
        """A viewer whose descriptions were read: both sides' credentials and the backend's candidate."""
        path = self.port.open_viewer(viewer_id, host)
        path.learn_credentials(Side.CLIENT, CLIENT)
        path.learn_credentials(Side.BACKEND, BACKEND)
        assert path.learn_backend_candidate(self.backend.address, ufrag=BACKEND.ufrag)
        return path

    async def dropped(self, cause: MediaDrop, count: int = 1) -> None:
        await until(lambda: self.counters.media_dropped[cause] >= count)


@asynccontextmanager
async def media_rig(
    *,
    signaling: SignalingKind = SignalingKind.READABLE,
    host: str = RELAY_HOST,
    backend_host: str = BACKEND_HOST,
    route_host: str | None = None,
    clock: Callable[[], float] = lambda: 1234.5,
    monotonic: Callable[[], float] = time.monotonic,
    settings: RelaySettings | None = None,
) -> AsyncIterator[Rig]:
    """A media port that is open while the block lasts."""
    backend = Peer(backend_host)
    endpoint = Endpoint(route_host or backend_host, 1, backend.address.port)
    route = Route("s1", "relay", 1, free_port(host=host), endpoint, "secret", signaling)
    counters = RelayCounters()
    settings = settings or RelaySettings(host=host)
    sockets = SocketFactory(settings.socket_buffer_bytes)
    port = UdpMediaPort(route, settings, counters, sockets=sockets, clock=clock, monotonic=monotonic)
    port.open()
    with ExitStack() as peers:
        peers.callback(backend.close)
        peers.callback(port.close)
        yield Rig(port, counters, backend, TransportAddress(host, route.media_port), peers)


async def gathered(host: str, *, controlling: bool) -> aioice.Connection:
    """An ICE agent with one host candidate, on loopback (which it skips by itself)."""
    agent = aioice.Connection(ice_controlling=controlling)
    with patch("aioice.ice.get_host_addresses", return_value=[host]):
        await agent.gather_candidates()
    return agent


def credentials_of(agent: aioice.Connection) -> IceCredentials:
    return IceCredentials(agent.local_username, agent.local_password)


async def introduce(agent: aioice.Connection, peer: aioice.Connection, at: TransportAddress) -> None:
    """Tell an agent its peer's credentials, and that the peer is at this address."""
    agent.remote_username, agent.remote_password = peer.local_username, peer.local_password
    await agent.add_remote_candidate(aioice.Candidate("1", 1, "udp", 2130706431, at.host, at.port, "host"))
    await agent.add_remote_candidate(None)
