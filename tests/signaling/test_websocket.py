"""Readable WebSocket signaling through a real signaling port, between real clients and backends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from signaling.metrics import FrameDrop, SignalingRefusal
from signaling.settings import RelaySettings
from tests.signaling.ports import BACKEND_HOST, SECRET, SESSION, Relayed, free_port, relayed, until

SUBPROTOCOL = Subprotocol(f"x-nv-sessionid.{SESSION}")
Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def backend(handler: Handler, **options: object) -> AsyncIterator[int]:
    port = free_port(BACKEND_HOST)
    async with serve(handler, BACKEND_HOST, port, **options):  # type: ignore[arg-type]
        yield port


@asynccontextmanager
async def bridged(
    handler: Handler = echo, *, settings: RelaySettings | None = None, **options: object
) -> AsyncIterator[Relayed]:
    async with backend(handler, **options) as port, relayed(port, settings=settings) as relay:
        yield relay


async def test_text_and_binary_messages_pass_both_ways() -> None:
    async with bridged() as relay, connect(relay.url) as client:
        for message in ("plain words", '{"a": 1}', "ünï", b"\xff\xfe\x00", b"utf-8 bytes", "x" * 200_000):
            await client.send(message)
            assert await client.recv() == message


async def test_fragments_arrive_as_one_message() -> None:
    async with bridged() as relay, connect(relay.url) as client:
        await client.send(["{", '"a"', ": 1}"])
        assert await client.recv() == '{"a": 1}'


async def test_the_backend_sees_who_comes_and_nothing_that_the_client_forged() -> None:
    seen: list[Request] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request)

    async with bridged(note) as relay:
        headers = {"Pixelferry-Role": "admin", "pixelferry_secret": "x", "Cookie": "a=b", "Authorization": "Basic eDp5"}
        protocols = [SUBPROTOCOL, Subprotocol("Authorization-Bearer.abc")]
        async with connect(relay.url + "?version=2", additional_headers=headers, subprotocols=protocols) as client:
            await client.wait_closed()
        assert set(relay.media.paths) == {seen[0].headers["Pixelferry-Viewer"]}
    head = seen[0]
    assert head.path == f"/session/{SESSION}?version=2"
    assert head.headers["Host"] == f"{BACKEND_HOST}:{relay.backend_port}"
    assert head.headers.get_all("Pixelferry-Role") == ["controller"]
    assert head.headers["Pixelferry-Session"] == SESSION
    assert head.headers["Pixelferry-Backend-Secret"] == SECRET
    assert head.headers["Cookie"] == "a=b"
    assert head.headers["Authorization"] == "Basic eDp5"
    assert head.headers["Sec-WebSocket-Protocol"] == SUBPROTOCOL
    assert "pixelferry_secret" not in head.headers


async def test_host_and_origin_are_rewritten_together() -> None:
    seen: list[Request] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request)

    async with bridged(note) as relay, connect(relay.url, origin="http://127.0.0.1:8080") as client:  # type: ignore[arg-type]
        await client.wait_closed()
    assert seen[0].headers["Origin"] == "http://" + seen[0].headers["Host"]


async def test_the_relay_answers_with_the_session_where_the_backend_selects_nothing() -> None:
    async with bridged() as relay, connect(f"ws://127.0.0.1:{relay.number}/", subprotocols=[SUBPROTOCOL]) as client:
        assert client.subprotocol == SUBPROTOCOL


async def test_the_backend_s_choice_of_sub_protocol_wins() -> None:
    janus = Subprotocol("janus-protocol")
    async with bridged(subprotocols=[janus]) as relay:
        async with connect(relay.url, subprotocols=[SUBPROTOCOL, janus]) as client:
            assert client.subprotocol == janus


async def test_each_hop_negotiates_compression_for_itself() -> None:
    async with bridged(compression=None) as relay, connect(relay.url, compression="deflate") as client:
        assert client.protocol.extensions
        await client.send("a" * 10_000)
        assert await client.recv() == "a" * 10_000


async def test_a_message_that_inflates_beyond_the_bound_closes_both_hops() -> None:
    async with bridged(settings=RelaySettings(frame_max_bytes=65536, close_timeout_s=0.5)) as relay:
        async with connect(relay.url, compression="deflate") as client:
            await client.send("a" * 65537)
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert client.close_code == 1009
        await until(lambda: relay.port.signaling_open == 0)
        assert relay.counters.frames_dropped[FrameDrop.TOO_LARGE] == 1


async def test_text_that_is_not_utf_8_closes_the_connection() -> None:
    async with bridged() as relay, connect(relay.url) as client:
        await client.send(b"\xff\xfe", text=True)
        await client.wait_closed()
        assert client.close_code == 1007


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1008, "malformed"), (4003, ""), (1013, "later")])
async def test_the_backend_s_close_reaches_the_client(code: int, reason: str) -> None:
    async def leave(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    async with bridged(leave) as relay, connect(relay.url) as client:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (code, reason)


async def test_the_client_s_close_reaches_the_backend_and_ends_its_media_path() -> None:
    closed: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.put_nowait((connection.close_code, connection.close_reason))

    async with bridged(note) as relay:
        async with connect(relay.url) as client:
            assert relay.port.signaling_open == 1
            await client.close(4010, "done")
        async with asyncio.timeout(5):
            assert await closed.get() == (4010, "done")
        await until(lambda: relay.port.signaling_open == 0)
        assert [path.closed for path in relay.media.paths.values()] == [True]


async def test_a_client_that_vanishes_ends_the_backend_s_hop() -> None:
    closed = asyncio.Event()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        closed.set()

    async with bridged(note) as relay:
        client = await connect(relay.url)
        client.transport.abort()
        async with asyncio.timeout(5):
            await closed.wait()
        await until(lambda: relay.port.signaling_open == 0)


async def test_closing_the_port_tells_the_viewers_why() -> None:
    async with bridged() as relay:
        client = await connect(relay.url)
        await relay.port.close(1012)
        await client.wait_closed()
        assert client.close_code == 1012
        with pytest.raises(OSError):
            await connect(relay.url)


async def test_a_viewer_that_does_not_leave_is_cut_in_bounded_time() -> None:
    async with bridged() as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        writer.write(
            f"GET /session/{SESSION} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readline()
        async with asyncio.timeout(4):
            await relay.port.close(4001)
        assert relay.port.signaling_open == 0
        writer.close()


async def test_a_refusal_of_the_backend_reaches_the_client() -> None:
    async def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(409, "taken by another")

    async with bridged(process_request=refuse) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url)
        assert refused.value.response.status_code == 409
        assert bytes(refused.value.response.body) == b"taken by another"
        assert relay.counters.signaling_refused[SignalingRefusal.BACKEND_REFUSED] == 1


async def test_a_refusal_that_names_the_backend_loses_its_body() -> None:
    async def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(404, f"not on {BACKEND_HOST}:1234")

    async with bridged(process_request=refuse) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url)
        assert bytes(refused.value.response.body) == b""


async def test_an_absent_backend_is_a_bad_gateway_that_names_nobody() -> None:
    async with relayed(free_port(BACKEND_HOST)) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url)
        assert refused.value.response.status_code == 502
        assert BACKEND_HOST.encode() not in refused.value.response.serialize()


async def test_one_viewer_too_many_is_told_so() -> None:
    async with bridged() as relay:
        relay.media.limit = 1
        async with connect(relay.url):
            with pytest.raises(InvalidStatus) as refused:
                await connect(relay.url)
        assert refused.value.response.status_code == 503
        assert relay.counters.signaling_refused[SignalingRefusal.TOO_MANY_VIEWERS] == 1


async def test_candidates_are_exchanged_for_the_relay_s() -> None:
    candidate = "candidate:1 1 udp 2130706431 {} 5000 typ host"
    backend_heard: list[str] = []

    async def swap(connection: ServerConnection) -> None:
        heard = json.loads(await connection.recv())
        backend_heard.append(heard["candidate"]["candidate"])
        await connection.send("thanks")
        await connection.send(json.dumps({"candidate": {"candidate": candidate.format(BACKEND_HOST)}}))

    async with bridged(swap) as relay, connect(relay.url) as client:
        await client.send(json.dumps({"candidate": {"candidate": candidate.format("abc.local")}}))
        assert await client.recv() == "thanks"
        assert backend_heard == ["candidate:1 1 udp 2130706431 127.0.0.1 40001 typ host"]
        assert "127.0.0.1 31001" in str(await client.recv())


async def test_a_message_with_a_foreign_address_is_dropped_and_the_connection_stays() -> None:
    async def tell(connection: ServerConnection) -> None:
        await connection.send(f'{{"where": "{BACKEND_HOST}"}}')
        await connection.send("still here")

    async with bridged(tell) as relay, connect(relay.url) as client:
        assert await client.recv() == "still here"
        assert relay.counters.frames_dropped[FrameDrop.FOREIGN_CANDIDATE] == 1


async def test_a_slow_client_holds_the_backend_back() -> None:
    sent = 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for _ in range(600):
            await connection.send("x" * 50_000)
            sent += 1

    async with bridged(flood, compression=None) as relay:
        async with connect(relay.url, max_queue=1, close_timeout=1, compression=None) as client:
            await client.recv()
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.2)
            assert sent < 500
            for _ in range(sent):
                await client.recv()
            await until(lambda: sent > before)


async def test_a_client_s_message_is_input_where_it_is_longer_than_a_keep_alive() -> None:
    async with bridged() as relay, connect(relay.url) as client:
        for message in ('{"hb": 1}', '{"type":"pong","time":1763737550123}', b"x" * 64):
            await client.send(message)
            await client.recv()
        await (await client.ping(b"x" * 100))
        (path,) = relay.media.paths.values()
        assert path.inputs == 0
        await client.send(json.dumps({"type": "mousemove", "x": 0.123456789, "y": 0.987654321, "buttons": 1}))
        await client.recv()
        assert path.inputs == 1, "what the backend says is none"


async def test_pings_are_answered_by_the_relay_itself() -> None:
    async with bridged() as relay, connect(relay.url) as client:
        async with asyncio.timeout(5):
            await (await client.ping())


async def test_a_silent_end_is_cut_at_the_second_sweep() -> None:
    async with bridged() as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        writer.write(
            f"GET /session/{SESSION} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        async with connect(relay.url) as other:
            relay.port.sweep()
            await (await other.ping())
            await until(lambda: relay.port.signaling_open == 2)
            relay.port.sweep()
            await until(lambda: relay.port.signaling_open == 1)
            await (await other.ping())
        writer.close()
