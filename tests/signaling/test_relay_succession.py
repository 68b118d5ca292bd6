"""A relay that goes on where another was: viewers, backends and strangers notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest
from aiohttp import ClientSession, web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from signaling.core.media_path import TransportAddress
from signaling.metrics import Direction
from signaling.relay import Relay
from signaling.routes import Admission, Endpoint, Route, RouteReport, RouteState, SignalingKind
from signaling.settings import RelaySettings
from signaling.table import MemoryRouteTable
from tests.signaling.admission_tokens import new_key, public, token_of
from tests.signaling.media_rig import BACKEND_HOST, RELAY_HOST, Peer, until
from tests.signaling.ports import http_backend
from tests.signaling.stun_messages import BACKEND, CLIENT, SRTP, request, response
from tests.signaling.succession import running, succeeded
from tests.signaling.test_relay import SETTINGS, KeylessTable, backend, enters, reported, route, view

SDP = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n"
OFFER = SDP.format(CLIENT.ufrag, CLIENT.pwd)
ANSWER = SDP.format(BACKEND.ufrag, BACKEND.pwd)
TO_BACKEND = "to the backend: " + OFFER
TO_CLIENT = "to the client: " + ANSWER
ANSWERS: dict[str | bytes, str] = {
    TO_BACKEND: TO_CLIENT,
    "bounce": "candidate:1 1 udp 1 198.51.100.7 5 typ srflx",
    "leak": "198.51.100.7",
}


@dataclass
class Rig:
    """A relay that serves one route."""

    table: MemoryRouteTable
    relay: Relay
    route: Route
    settings: RelaySettings

    @property
    def url(self) -> str:
        return f"ws://{RELAY_HOST}:{self.route.signaling_port}/session/s1"

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[Relay]:
        """By a successor, while the block lasts."""
        async with succeeded(self.relay, self.table, self.settings) as successor:
            yield successor

    async def report(self) -> RouteReport:
        return (await self.table.reports())["s1"]


@asynccontextmanager
async def served(
    wanted: Route, *, table: MemoryRouteTable | None = None, settings: RelaySettings = SETTINGS
) -> AsyncIterator[Rig]:
    table = table or MemoryRouteTable()
    async with running(Relay(settings, table)) as relay:
        await table.publish(wanted)
        await reported(table, wanted.session_id, RouteState.ACTIVE)
        yield Rig(table, relay, wanted, settings)


Coming = TypeVar("Coming")


async def soon(coming: Coroutine[None, None, Coming]) -> Coming:
    async with asyncio.timeout(5):
        return await coming


async def echoes(viewer: ClientConnection, message: str | bytes) -> None:
    await viewer.send(message)
    assert await soon(viewer.recv()) == message


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_messages_pass_on_both_hops_of_a_connection(compression: str | None) -> None:
    async with backend() as port, served(route(backend_port=port)) as rig:
        async with connect(rig.url, proxy=None, compression=compression) as viewer:
            await echoes(viewer, "a" * 5000)
            async with rig.followed():
                for message in ("still here", b"\xff\x00", "b" * 100_000):
                    await echoes(viewer, message)
                await asyncio.wait_for(await viewer.ping(), 5)
                await view(rig.route)
                await viewer.close(4000, "done")
            assert viewer.close_code == 4000


async def test_a_message_that_was_half_read_arrives_whole() -> None:
    deflate = ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
    async with backend() as port, served(route(backend_port=port)) as rig:
        ws = ClientProtocol(parse_uri(rig.url), extensions=[deflate])
        ws.send_request(ws.connect())
        reader, writer = await asyncio.open_connection(RELAY_HOST, rig.route.signaling_port)
        writer.writelines(ws.data_to_send())
        ws.receive_data(await soon(reader.readuntil(b"\r\n\r\n")))
        ws.events_received()
        assert ws.extensions, "else nothing would be compressed"
        ws.send_text(b"first " * 100, fin=False)
        ws.send_ping(b"between")
        ws.send_continuation(b"second " * 100, fin=True)
        sent = b"".join(ws.data_to_send())
        writer.write(sent[:-9])
        ws.receive_data(await soon(reader.read(100)))
        assert [event.opcode for event in ws.events_received() if isinstance(event, Frame)] == [Opcode.PONG]
        async with rig.followed():
            writer.write(sent[-9:])
            events: list[object] = []
            while not events:
                ws.receive_data(await soon(reader.read(4096)))
                events = list(ws.events_received())
            assert [event.data for event in events if isinstance(event, Frame)] == [b"first " * 100 + b"second " * 100]
            writer.close()


async def test_a_backend_s_message_that_was_half_read_arrives_whole() -> None:
    rest = asyncio.Event()

    async def trickle(connection: ServerConnection) -> None:
        whole = Frame(Opcode.TEXT, b"from the backend").serialize(mask=False)
        connection.transport.write(whole + whole[:7])
        await rest.wait()
        connection.transport.write(whole[7:])
        await connection.wait_closed()

    async with serve(trickle, BACKEND_HOST, 0) as server:
        port = int(next(iter(server.sockets)).getsockname()[1])
        async with served(route(backend_port=port)) as rig, connect(rig.url, proxy=None) as viewer:
            assert await soon(viewer.recv()) == "from the backend"
            async with rig.followed():
                rest.set()
                assert await soon(viewer.recv()) == "from the backend"
                await viewer.close()


async def converse(connection: ServerConnection) -> None:
    """A backend that answers an offer, and tells what it got of anything else."""
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(ANSWERS.get(message, message))


async def confirm(client: Peer, server: Peer, relay: TransportAddress) -> TransportAddress:
    """Take the client through ICE by hand; where the backend sees it."""
    asked = request()
    client.send(asked, relay)
    got, upstream = await server.receive()
    assert got == asked
    check = request(to=CLIENT, by=BACKEND)
    server.send(response(asked, BACKEND.pwd), upstream)
    server.send(check, upstream)
    await client.receive()
    assert (await client.receive())[0] == check
    client.send(response(check, CLIENT.pwd), relay)
    await server.receive()
    return upstream


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[Rig, Peer, Peer, TransportAddress, ClientConnection]]:
    """A relay under a confirmed flow: client, backend, and where the backend sees the client."""
    client, server = Peer(), Peer(BACKEND_HOST)
    try:
        async with serve(converse, BACKEND_HOST, 0) as listening:
            port = int(next(iter(listening.sockets)).getsockname()[1])
            wanted = replace(route(), backend=Endpoint(BACKEND_HOST, port, server.address.port))
            async with served(wanted) as rig, connect(rig.url, proxy=None) as viewer:
                await viewer.send(TO_BACKEND)
                assert await soon(viewer.recv()) == TO_CLIENT
                upstream = await confirm(client, server, TransportAddress(RELAY_HOST, wanted.media_port))
                yield rig, client, server, upstream, viewer
    finally:
        client.close()
        server.close()


async def test_no_datagram_is_lost_or_doubled_and_no_address_changes() -> None:
    async with streaming() as (rig, client, server, upstream, viewer):
        relay = TransportAddress(RELAY_HOST, rig.route.media_port)
        numbered = [SRTP + bytes([number]) for number in range(30)]
        for datagram in numbered[:10]:
            client.send(datagram, relay)
            server.send(datagram, upstream)
        await rig.relay.hold(within_s=1)
        for datagram in numbered[10:20]:  # these wait in the sockets
            client.send(datagram, relay)
            server.send(datagram, upstream)
        async with rig.followed() as successor:
            for datagram in numbered[20:]:
                client.send(datagram, relay)
                server.send(datagram, upstream)
            assert [await server.receive() for _ in numbered] == [(datagram, upstream) for datagram in numbered]
            assert [await client.receive() for _ in numbered] == [(datagram, relay) for datagram in numbered]
            await until(lambda: successor.counters.media_packets[Direction.TO_CLIENT] >= 30)
            await viewer.close()


async def test_what_is_reported_and_counted_goes_on() -> None:
    async with streaming() as (rig, client, server, _, viewer):
        client.send(SRTP, TransportAddress(RELAY_HOST, rig.route.media_port))
        await server.receive()
        await until(lambda: rig.relay.counters.media_packets[Direction.TO_BACKEND] >= 3)
        counted = rig.relay.counters.media_packets[Direction.TO_BACKEND]
        began = (await rig.report()).first_packet_at
        assert began is not None
        async with rig.followed() as successor:
            assert successor.counters.media_packets[Direction.TO_BACKEND] == counted
            await until(lambda: successor.state.sessions == 1)
            report = await rig.report()
            assert (report.first_packet_at, report.viewers, report.signaling_open) == (began, 1, 1)
            await viewer.close()


async def test_a_client_that_moves_after_the_restart_is_known_by_its_credentials() -> None:
    async with streaming() as (rig, _, server, upstream, viewer):
        async with rig.followed():
            moved, stranger = Peer(), Peer()
            relay = TransportAddress(RELAY_HOST, rig.route.media_port)
            stranger.send(request(pwd="wrong-password-wrong-pw"), relay)
            seen = await confirm(moved, server, relay)
            assert seen != upstream
            moved.send(SRTP, relay)
            assert await server.receive() == (SRTP, seen)
            assert stranger.pending() == []
            moved.close()
            stranger.close()
            await viewer.close()


async def test_an_address_that_was_hidden_before_the_restart_stays_hidden() -> None:
    async with streaming() as (rig, _, _, _, viewer):
        await viewer.send("bounce")
        await echoes(viewer, "it was read")
        async with rig.followed():
            await viewer.send("leak")
            await echoes(viewer, "nothing before this")
            await viewer.close()


async def test_opaque_signaling_is_spliced_on_both_ways_to_its_end() -> None:
    received = asyncio.Queue[bytes]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(1000):
            received.put_nowait(data)
            writer.write(b"got " + data)
        writer.write(b"the end")
        writer.close()

    server = await asyncio.start_server(answer, BACKEND_HOST, 0)
    wanted = replace(route(backend_port=server.sockets[0].getsockname()[1]), signaling=SignalingKind.OPAQUE)
    async with server, served(wanted) as rig:
        reader, writer = await asyncio.open_connection(RELAY_HOST, wanted.signaling_port)
        writer.write(b"GET /session/s1 HTTP/1.1\r\nHost: a\r\n\r\nbefore")
        assert await soon(reader.readexactly(10)) == b"got before"
        async with rig.followed():
            writer.write(b"after")
            assert await soon(reader.readexactly(9)) == b"got after"
            writer.write_eof()
            assert await soon(reader.read()) == b"the end"
            writer.close()


async def test_a_viewer_over_http_is_known_by_its_resource() -> None:
    deleted = asyncio.Event()

    async def whep(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.Response(status=201, text=ANSWER, content_type="application/sdp", headers={"Location": "/r/17"})
        deleted.set()
        return web.Response()

    async with http_backend(whep) as port, served(route(backend_port=port)) as rig, ClientSession() as session:
        base = f"http://{RELAY_HOST}:{rig.route.signaling_port}/session/s1"
        async with session.post(base, data=OFFER, headers={"Content-Type": "application/sdp"}) as made:
            assert made.status == 201
        async with rig.followed(), ClientSession() as later:
            await until_open(rig, 1)
            async with later.delete(base + "/r/17") as gone:
                assert gone.status == 200
            await until_open(rig, 0)
        assert deleted.is_set()


async def until_open(rig: Rig, count: int) -> None:
    async with asyncio.timeout(5):
        while (await rig.report()).signaling_open != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_handshake_goes_on_from_the_bytes_that_came() -> None:
    async with backend() as port, served(route(backend_port=port)) as rig:
        ws = ClientProtocol(parse_uri(rig.url))
        ws.send_request(ws.connect())
        head = b"".join(ws.data_to_send())
        reader, writer = await asyncio.open_connection(RELAY_HOST, rig.route.signaling_port)
        writer.write(head[:40])
        await asyncio.sleep(0.05)
        async with rig.followed():
            writer.write(head[40:])
            assert (await soon(reader.readline())).startswith(b"HTTP/1.1 101 ")
            writer.close()


async def test_a_handshake_that_the_backend_did_not_answer_yet_begins_anew() -> None:
    asked = asyncio.Queue[asyncio.StreamWriter]()

    async def hesitate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.put_nowait(writer)

    server = await asyncio.start_server(hesitate, BACKEND_HOST, 0)
    async with server, served(route(backend_port=server.sockets[0].getsockname()[1])) as rig:
        opening = asyncio.create_task(connect(rig.url, proxy=None).__aenter__())
        async with asyncio.timeout(5):
            first = await asked.get()
        async with rig.followed():
            async with asyncio.timeout(5):
                second = await asked.get()
            second.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            async with asyncio.timeout(5):
                [refused] = await asyncio.gather(opening, return_exceptions=True)
            assert "403" in str(refused)
            first.close()
            second.close()


async def test_who_does_not_read_is_cut_and_nobody_else() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            while data := await reader.read(1000):
                for _ in range(1000 if data == b"flood" else 1):
                    writer.write(bytes(100_000) if data == b"flood" else data)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(flood, BACKEND_HOST, 0)
    wanted = replace(route(backend_port=server.sockets[0].getsockname()[1]), signaling=SignalingKind.OPAQUE)
    head = b"GET /session/s1 HTTP/1.1\r\nHost: a\r\n\r\n"
    async with server, served(wanted) as rig:
        (deaf_reader, deaf), (reader, writer) = [
            await asyncio.open_connection(RELAY_HOST, wanted.signaling_port) for _ in range(2)
        ]
        deaf.write(head + b"flood")
        await until(lambda: not rig.relay._forwarders()[0].is_flushed)
        for word, within_s in ((b"after one that failed", 0.3), (b"after one that did not", 0.1)):
            writer.write((head if within_s == 0.3 else b"") + word)
            assert await soon(reader.readexactly(len(word))) == word
            assert not await held_and_flushed(rig, within_s)
            rig.relay.release()
        await rig.relay.hold(within_s=0.1)
        async with rig.followed():
            writer.write(b"still here")
            assert await soon(reader.readexactly(10)) == b"still here"
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await soon(deaf_reader.readexactly(100_000_000))
            writer.close()
            deaf.close()


async def held_and_flushed(rig: Rig, within_s: float) -> bool:
    """Whether all that was to be sent could be before the time was up."""
    began = asyncio.get_running_loop().time()
    await rig.relay.hold(within_s=within_s)
    return asyncio.get_running_loop().time() - began < within_s


async def test_no_route_changes_while_the_relay_is_held() -> None:
    async with served(route()) as rig:
        assert await rig.relay.hold(within_s=1)
        await rig.table.publish(route("s2"))
        await rig.table.withdraw("s1")
        await asyncio.sleep(0.05)
        assert rig.relay.state.sessions == 1
        rig.relay.release()
        await reported(rig.table, "s2", RouteState.ACTIVE)
        await until(lambda: rig.relay.state.sessions == 1)


async def test_routes_that_came_meanwhile_are_the_successor_s_to_open() -> None:
    async with served(route()) as rig:
        assert await rig.relay.hold(within_s=1)
        await rig.table.publish(route("s2"))
        async with rig.followed() as successor:
            await reported(rig.table, "s2", RouteState.ACTIVE)
            assert successor.state.sessions == 2


class NotedTable(MemoryRouteTable):
    """Notes when a relay retires."""

    retired = 0

    async def retire(self, relay_id: str) -> None:
        self.retired += 1
        await super().retire(relay_id)


async def test_the_predecessor_says_nothing_more_to_the_table() -> None:
    table = NotedTable()
    async with served(route(), table=table) as rig:
        async with rig.followed():
            await rig.relay.close()
            assert table.retired == 0
            assert (await rig.report()).state is RouteState.ACTIVE
            await view_refused(rig)
        assert table.retired == 1


async def view_refused(rig: Rig) -> None:
    """The successor's listener answers, though no backend is there."""
    with pytest.raises(Exception, match="502"):
        await view(rig.route)


async def test_the_last_keys_go_along_while_the_table_is_away() -> None:
    table, key = KeylessTable(), new_key()
    settings = SETTINGS.model_copy(update={"table_retry_s": 0.01})
    async with backend() as port:
        wanted = replace(route(backend_port=port), admission=Admission.TOKEN)
        await table.publish_keys([public(key)])
        async with served(wanted, table=table, settings=settings) as rig:
            assert await enters(wanted, token_of(key, session="s1"))
            table.away = True
            async with rig.followed():
                assert await enters(wanted, token_of(key, session="s1"))
                assert not await enters(wanted, token_of(new_key("other"), session="s1"))
