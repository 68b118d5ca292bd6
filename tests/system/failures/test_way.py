"""The way to Redis passes bytes on, and fails as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.system.failures.way import Way, way


@asynccontextmanager
async def echoing() -> AsyncIterator[Way]:
    """A way to what sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with way(server.sockets[0].getsockname()) as made:
        yield made
    server.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes, *, within_s: float = 5) -> bytes:
    writer.write(word)
    async with asyncio.timeout(within_s):
        return await reader.read(100)


async def is_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        return not await ask(reader, writer, b"?")
    except ConnectionError:
        return True
    finally:
        writer.close()


async def test_bytes_pass_both_ways_and_an_end_passes_too() -> None:
    async with echoing() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await ask(reader, writer, b"hello") == b"hello"
        writer.close()
        async with asyncio.timeout(5):
            while made.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_cut_way_resets_and_refuses_until_it_is_mended() -> None:
    async with echoing() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await ask(reader, writer, b"hello") == b"hello"
        made.cut()
        assert await is_over(reader, writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await is_over(reader, writer)
        made.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await ask(reader, writer, b"hello") == b"hello"
        writer.close()


async def test_a_frozen_way_loses_nothing_but_time() -> None:
    async with echoing() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        made.freeze()
        with pytest.raises(TimeoutError):
            await ask(reader, writer, b"hello", within_s=0.1)
        made.mend()
        assert await ask(reader, writer, b"!") in (b"hello", b"hello!")
        writer.close()


async def test_a_delayed_way_takes_its_time() -> None:
    async with echoing() as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        made.delay_s = 0.1
        before = asyncio.get_running_loop().time()
        assert await ask(reader, writer, b"hello") == b"hello"
        assert asyncio.get_running_loop().time() - before >= 0.2
        writer.close()


async def test_a_way_to_nobody_resets() -> None:
    async with way(("127.0.0.1", 1)) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await is_over(reader, writer)
