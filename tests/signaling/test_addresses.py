"""Where clients reach a relay, and where it is bound: mapped ports, and both families at once."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from signaling.core.handshake import CloseCode
from signaling.core.media_path import TransportAddress
from signaling.forwarder import Forwarder
from signaling.metrics import RelayCounters
from signaling.routes import Endpoint, Route
from signaling.settings import RelaySettings
from signaling.sockets import SocketFactory
from tests.signaling.media_rig import BACKEND_HOST, free_port, media_rig
from tests.signaling.stun_messages import BACKEND, CLIENT, SRTP, request, response

CANDIDATE = f"candidate:1 1 udp 2130706431 {BACKEND_HOST} 47001 typ host"


@asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """A backend that names its candidate to whoever comes."""

    async def name(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "candidate", "candidate": {"candidate": CANDIDATE}}))
        await connection.wait_closed()

    async with serve(name, BACKEND_HOST, 0) as server:
        yield int(next(iter(server.sockets)).getsockname()[1])


@asynccontextmanager
async def forwarding(route: Route, settings: RelaySettings) -> AsyncIterator[None]:
    forwarder = Forwarder(route, settings, RelayCounters(), sockets=SocketFactory(settings.socket_buffer_bytes))
    await forwarder.open()
    try:
        yield
    finally:
        await forwarder.close(CloseCode.DRAINING)


async def candidate(host: str, port: int) -> tuple[str, int]:
    """The media address that a viewer is told who connects here."""
    where = f"[{host}]" if ":" in host else host
    async with connect(f"ws://{where}:{port}/session/s1", proxy=None) as viewer:
        told = json.loads(await viewer.recv())["candidate"]["candidate"].split()
    return told[4], int(told[5])


async def test_clients_are_told_the_ports_and_the_address_that_they_use() -> None:
    signaling, media = free_port(socket.SOCK_STREAM), free_port()
    first, last = min(signaling, media), max(signaling, media) + 1
    settings = RelaySettings(
        host="127.0.0.1",
        advertised_host="198.51.100.7",
        ports=f"{first}-{last}",
        advertised_ports=f"1000-{1000 + last - first}",
        close_timeout_s=1,
    )
    async with backend() as backend_port:
        outside = {port: port - first + 1000 for port in (signaling, media)}
        to = Endpoint(BACKEND_HOST, backend_port, 47001)
        async with forwarding(Route("s1", "r1", outside[signaling], outside[media], to, "x"), settings):
            assert await candidate("127.0.0.1", signaling) == ("198.51.100.7", outside[media])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, pytest.raises(OSError, match="in use"):
                taken.bind(("127.0.0.1", media))


async def test_a_viewer_of_either_family_gets_an_address_of_its_own() -> None:
    settings = RelaySettings(
        host="::",
        advertised_host="relay.example",
        media_host="192.0.2.1",
        media_host_2="2001:db8::1",
        close_timeout_s=1,
    )
    signaling, media = free_port(socket.SOCK_STREAM), free_port()
    async with backend() as backend_port:
        route = Route("s1", "r1", signaling, media, Endpoint(BACKEND_HOST, backend_port, 47001), "x")
        async with forwarding(route, settings):
            assert await candidate("127.0.0.1", signaling) == ("192.0.2.1", media)
            assert await candidate("::1", signaling) == ("2001:db8::1", media)


@pytest.mark.parametrize("client_host", ["127.0.0.1", "::1"])
async def test_media_of_either_family_passes_through_one_port(client_host: str) -> None:
    settings = RelaySettings(host="::", advertised_host="127.0.0.1", media_host_2="::1")
    async with media_rig(settings=settings) as rig:
        rig.open_viewer(host=client_host)
        client, to = rig.peer(client_host), TransportAddress(client_host, rig.port.route.media_port)
        client.send(request(), to)
        asked, upstream = await rig.backend.receive()
        rig.backend.send(response(asked, BACKEND.pwd), upstream)
        await client.receive()
        check = request(to=CLIENT, by=BACKEND)
        rig.backend.send(check, upstream)
        await client.receive()
        client.send(response(check, CLIENT.pwd), to)
        await rig.backend.receive()
        client.send(SRTP, to)
        assert (await rig.backend.receive())[0] == SRTP
        rig.backend.send(SRTP, upstream)
        assert (await client.receive())[0] == SRTP
