"""A process's way to Redis: a TCP proxy of the test's that can be cut, frozen and delayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum

_CHUNK_BYTES = 65536
_BUFFER_BYTES = 1 << 20


class WayState(StrEnum):
    """`CUT`: connections are reset and refused. `FROZEN`: they stay, and nothing passes, as where packets are lost."""

    OPEN = "open"
    CUT = "cut"
    FROZEN = "frozen"


class Way:
    """Made by `way()`. `port` is where the process believes Redis to be."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._connections: set[asyncio.Task[None]] = set()
        self._passable = asyncio.Event()
        self._passable.set()
        self.state = WayState.OPEN
        self.delay_s = 0.0
        self.port = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def cut(self) -> None:
        """Reset every connection, and refuse those to come."""
        self.state = WayState.CUT
        self._passable.set()
        for connection in self._connections:
            connection.cancel()

    def freeze(self) -> None:
        """Let nothing pass, and say nothing about it."""
        self.state = WayState.FROZEN
        self._passable.clear()

    def mend(self) -> None:
        """Let everything pass again, at once."""
        self.state = WayState.OPEN
        self.delay_s = 0.0
        self._passable.set()

    async def close(self) -> None:
        """Reset every connection."""
        self.cut()
        if self._connections:
            await asyncio.wait(self._connections)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end is gone."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            if self.state is not WayState.CUT:
                from_there, there = await asyncio.open_connection(*self._target, limit=_BUFFER_BYTES)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, there))
                    both.create_task(self._carry(from_there, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # the way ends for both
        finally:
            self._connections.discard(task)
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK_BYTES):
            await self._passable.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            to.write(data)
            await to.drain()
        raise ConnectionError


@asynccontextmanager
async def way(target: tuple[str, int]) -> AsyncIterator[Way]:
    """A way to this address, closed afterwards."""
    made = Way(target)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0, limit=_BUFFER_BYTES)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await made.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await server.wait_closed()
