"""What is no HTTP, and what takes for ever."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

import pytest

from tests.broker.api.serving import Served, serving

HOST = b"Host: 127.0.0.1\r\n"


async def closed_after(served: Served, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes until the connection is closed, nothing more being sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"GET /stream HTTP/9.9\r\n" + HOST + b"\r\n",
        b"G\x00T / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /stream HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST /stream HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_so_as_json_and_fills_no_log(
    served: Served, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        head, _, body = (await closed_after(served, data)).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), head
    assert b"content-type: application/json" in head.lower()
    assert b"python" not in head.lower()
    assert set(json.loads(body)) == {"detail"}
    assert data[:20] not in body
    assert b"aaaa" not in body
    assert not caplog.records


async def test_who_says_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.app._HEAD_S", 0.2)
    async with serving() as served:
        assert await closed_after(served) == b""


async def test_a_head_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.app._HEAD_S", 0.2)
    async with serving() as served:
        assert await closed_after(served, b"GET /stream HTTP/1.1\r\n" + HOST) == b""


async def test_a_head_that_trickles_in_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.app._HEAD_S", 0.2)
    async with serving() as served:
        trickle = [b"X-%d: a\r\n" % number for number in range(30)]
        assert await closed_after(served, b"GET /stream HTTP/1.1\r\n", *trickle, pause_s=0.02) == b""


async def test_the_second_head_of_a_connection_has_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.app._HEAD_S", 0.2)
    async with serving() as served:
        first = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
        told = await closed_after(served, first, b"GET /healthz HTTP/1.1\r\n", pause_s=0.05)
        assert told.count(b"HTTP/1.1 200 ") == 1


async def test_a_body_and_the_time_between_requests_are_not_the_heads_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.app._HEAD_S", 0.1)
    async with serving() as served:
        head = b"POST /stream HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 2\r\n"
        parts = (head + b"\r\n", b"{", b"}", b"", b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        told = await closed_after(served, *parts, pause_s=0.2)
        assert told.count(b"HTTP/1.1 422 ") == 1
        assert told.count(b"HTTP/1.1 200 ") == 1
