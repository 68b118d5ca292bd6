"""Who is let in at a signaling port, and what strangers get."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, SignalingKind
from signaling.settings import RelaySettings
from tests.signaling.ports import BACKEND_HOST, SECRET, SESSION, Relayed, free_port, http_backend, relayed, until

QUICK = RelaySettings(handshake_timeout_s=0.3, close_timeout_s=0.5, max_handshakes=4)


async def answer(relay: Relayed, data: bytes, *, within_s: float = 5) -> bytes:
    """All that the port answers to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
    try:
        writer.write(data)
        async with asyncio.timeout(within_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def head(target: str = "/", *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: relay", "Upgrade: websocket", "Connection: Upgrade", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def guarded(settings: RelaySettings = QUICK, **options: object) -> AsyncIterator[Relayed]:
    """A port whose backend must never be asked."""
    asked = False

    def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked = True
        writer.close()

    port = free_port(BACKEND_HOST)
    server = await asyncio.start_server(note, BACKEND_HOST, port)
    async with server, relayed(port, settings=settings, **options) as relay:  # type: ignore[arg-type]
        yield relay
    assert not asked
    assert not relay.media.paths


@pytest.mark.parametrize(
    "data",
    [
        head("/"),
        head("/session/another"),
        head(f"/?{SESSION}"),
        head(f"/?session={SESSION}"),
        head(f"/session/x{SESSION}"),
        head("/", f"Sec-WebSocket-Protocol: x-nv-sessionid.{SESSION}x"),
        head("/", "Cookie: session=" + SESSION),
        f"POST /stream HTTP/1.1\r\nHost: a\r\nX-Session: {SESSION}\r\n\r\n".encode(),
    ],
)
async def test_a_head_without_the_session_is_forbidden(data: bytes) -> None:
    async with guarded() as relay:
        response = await answer(relay, data)
        assert response.startswith(b"HTTP/1.1 403 ")
        assert json.loads(response.partition(b"\r\n\r\n")[2])["reason"] == "wrong_session"
        assert BACKEND_HOST.encode() not in response
        assert relay.counters.signaling_refused[SignalingRefusal.WRONG_SESSION] == 1


async def test_a_page_of_a_foreign_origin_is_forbidden() -> None:
    async with guarded(origins=("https://good.example", "http://localhost:*")) as relay:
        for origin in ("https://evil.example", "http://localhost.evil.example", "null", "http://localhost:80x"):
            response = await answer(relay, head(f"/session/{SESSION}", f"Origin: {origin}"))
            assert response.startswith(b"HTTP/1.1 403 "), origin
        assert relay.counters.signaling_refused[SignalingRefusal.BAD_ORIGIN] == 4


@pytest.mark.parametrize(
    "data",
    [
        os.urandom(64) + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET http://elsewhere/session/" + SESSION.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        head(f"/session/{SESSION}", "Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13")[:-2] + b"\0\r\n\r\n",
    ],
)
async def test_garbage_is_refused_at_once(data: bytes) -> None:
    async with guarded() as relay:
        response = await answer(relay, data, within_s=2)
        assert response == b"" or response.startswith(b"HTTP/1.1 400 ")
        assert relay.counters.signaling_refused[SignalingRefusal.BAD_HEAD] == 1


async def test_an_oversized_head_is_refused_before_it_ends() -> None:
    async with guarded() as relay:
        response = await answer(relay, b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000)
        assert response == b"" or response.startswith(b"HTTP/1.1 431 ")
        assert relay.counters.signaling_refused[SignalingRefusal.HEAD_TOO_LARGE] == 1


async def test_a_slow_head_is_cut_in_bounded_time_however_it_trickles() -> None:
    async with guarded() as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        async with asyncio.timeout(3):
            for byte in head(f"/session/{SESSION}"):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
                if reader.at_eof() or relay.counters.signaling_refused[SignalingRefusal.HEAD_TIMEOUT]:
                    break
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        assert relay.counters.signaling_refused[SignalingRefusal.HEAD_TIMEOUT] == 1


async def test_half_open_handshakes_are_bounded() -> None:
    async with guarded() as relay:
        opened = [await asyncio.open_connection("127.0.0.1", relay.number) for _ in range(10)]
        await until(lambda: relay.counters.signaling_refused[SignalingRefusal.TOO_MANY_HANDSHAKES] == 6)
        await until(lambda: relay.counters.signaling_refused[SignalingRefusal.HEAD_TIMEOUT] == 4)
        for _, writer in opened:
            writer.close()


async def test_strangers_who_hold_every_handshake_keep_no_viewer_out() -> None:
    settings = QUICK.model_copy(update={"handshake_timeout_s": 60})
    async with http_backend(greet) as backend, relayed(backend, settings=settings) as relay:
        opened = [await asyncio.open_connection("127.0.0.1", relay.number) for _ in range(20)]
        for _, writer in opened[-2:]:
            writer.write(b"GET / HTTP/1.1\r\n")
        await until(lambda: relay.counters.signaling_refused[SignalingRefusal.TOO_MANY_HANDSHAKES] == 16)
        plain = f"GET /session/{SESSION}/ HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n".encode()
        assert (await answer(relay, plain)).startswith(b"HTTP/1.1 200 ")
        for _, writer in opened:
            writer.close()


async def greet(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_a_client_that_leaves_in_its_handshake_leaves_nothing() -> None:
    async with guarded() as relay:
        for data in (b"", b"GET / HTT"):
            _, writer = await asyncio.open_connection("127.0.0.1", relay.number)
            writer.write(data)
            writer.close()
            await writer.wait_closed()


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with guarded() as relay, relayed(1) as other:
        other.port._route = relay.port._route
        with pytest.raises(OSError):
            await other.port.open()


async def test_closing_twice_is_closing_once() -> None:
    async with guarded() as relay:
        await relay.port.close(4001)
        await relay.port.close(4001)


# Opaque signaling.


@asynccontextmanager
async def spliced(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    **options: object,
) -> AsyncIterator[Relayed]:
    port = free_port(BACKEND_HOST)
    async with (
        await asyncio.start_server(serve, BACKEND_HOST, port),
        relayed(port, signaling=SignalingKind.OPAQUE, **options) as relay,  # type: ignore[arg-type]
    ):
        yield relay


async def test_opaque_bytes_pass_both_ways_behind_a_head_that_is_rewritten() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        while data := await reader.read(65536):
            writer.write(data[::-1])
        writer.write(b"last words")
        writer.close()

    async with spliced(serve) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        protocols = f"Sec-WebSocket-Protocol: x-nv-sessionid.{SESSION}, Authorization-Bearer.abc"
        writer.write(head("/sign_in?peer_id=1&version=2", protocols, "Pixelferry-Role: admin") + b"\x00\xff123")
        assert await reader.readexactly(5) == b"321\xff\x00"
        assert relay.port.signaling_open == 1
        writer.write_eof()
        assert await reader.read() == b"last words"
        writer.close()
        await until(lambda: relay.port.signaling_open == 0)
        assert relay.media.hosts == ["127.0.0.1"]
    text = heads[0].decode()
    assert text.startswith("GET /sign_in?peer_id=1&version=2 HTTP/1.1\r\n")
    assert "admin" not in text
    assert "Bearer" not in text
    assert f"Pixelferry-Backend-Secret: {SECRET}\r\n" in text
    assert f"Sec-WebSocket-Protocol: x-nv-sessionid.{SESSION}\r\n" in text


async def test_opaque_bytes_of_a_slow_reader_are_held_back() -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        try:
            for _ in range(2000):
                writer.write(bytes(50_000))
                await writer.drain()
                written += 1
        except ConnectionError:
            pass

    async with spliced(serve) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number, limit=1024)
        writer.write(head(f"/session/{SESSION}"))
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.2)
        assert 0 < written < 1500
        await reader.readexactly(written * 50_000)
        await until(lambda: written > before)
        writer.transport.abort()


async def test_opaque_bytes_that_are_no_http_pass_where_the_address_admits() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    async with spliced(serve, admission=Admission.ADDRESS) as relay:
        hello = b"\x16\x03\x01\x02\x00\x01"
        assert await answer(relay, hello) == hello


async def test_opaque_bytes_of_a_client_are_input_where_they_are_more_than_a_keep_alive() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(65536):
            writer.write(data * 2)
        writer.close()

    async with spliced(serve) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        writer.write(head(f"/session/{SESSION}", f"X-Padding: {'x' * 200}"))
        await until(lambda: relay.port.signaling_open == 1)
        (path,) = relay.media.paths.values()
        for size, inputs in ((64, 0), (65, 1)):
            writer.write(b"x" * size)
            await reader.readexactly(2 * size)
            assert path.inputs == inputs
        writer.close()


async def test_the_end_of_a_route_ends_its_opaque_connections() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with spliced(serve) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        writer.write(head(f"/session/{SESSION}"))
        await until(lambda: relay.port.signaling_open == 1)
        async with asyncio.timeout(3):
            await relay.port.close(4001)
            assert await reader.read() == b""
        writer.close()


async def test_an_opaque_backend_that_is_absent_is_a_bad_gateway() -> None:
    async with relayed(free_port(BACKEND_HOST), signaling=SignalingKind.OPAQUE) as relay:
        assert (await answer(relay, head(f"/session/{SESSION}"))).startswith(b"HTTP/1.1 502 ")


async def test_nothing_is_left_of_connections_of_any_kind() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    port = free_port(BACKEND_HOST)
    upgrade = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    async with await asyncio.start_server(serve, BACKEND_HOST, port):
        tasks, files = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
        async with relayed(port) as relay:
            for data in (head("/"), head(f"/{SESSION}"), head(f"/{SESSION}", *upgrade), b"\x16", b"GET"):
                reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
                writer.write(data)
                await asyncio.sleep(0)
                writer.transport.abort()
            request = f"GET /session/{SESSION}/x HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
                writer.write(request)
                assert b" 502 " in await reader.readline()
                writer.close()
        await until(lambda: asyncio.all_tasks() == tasks)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= files)
