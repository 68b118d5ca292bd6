"""A light viewer: opens signaling at a relay, sends numbered datagrams and counts their echoes, path after path.

When its path is lost it asks any broker for the session's routes and connects anew, as the web client does.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from tests.system.failures.history import Cut, Flow

EVERY_S = 0.05
_RETRY_S = 0.2
_CONNECT_WITHIN_S = 3.0
_LATE_S = 2.0
_NUMBER = struct.Struct(">BI")
_DTLS = 22
"""First byte of a datagram that opaque signaling admits without ICE (RFC 7983 §7)."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a session's relay listens, as a broker told it. `relay` is its name, for the history."""

    host: str
    signaling_port: int
    media_port: int
    relay: str


Ask = Callable[[str], Awaitable[Path | None]]
"""From a session's id to its path now; None where it has none, or no broker answers."""


class NoSignaling(Exception):
    """The relay let nobody in."""


@dataclass
class _Counts(asyncio.DatagramProtocol):
    """Datagrams of one path: when each was sent, which came back."""

    path: Path
    node: str
    sent_at: list[float] = field(default_factory=list)
    echoed: set[int] = field(default_factory=set)
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # which asyncio's own is not by its classes

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if len(data) == _NUMBER.size:
            self.echoed.add(_NUMBER.unpack(data)[1])

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there any more, or not yet: that shows in the count."""

    def send(self, now: float) -> None:
        assert self.transport is not None
        with suppress(OSError):
            self.transport.sendto(_NUMBER.pack(_DTLS, len(self.sent_at)))
        self.sent_at.append(now)

    def flow(self, session: str, ended: float, *, left: bool) -> Flow:
        """What became of them. Before the first echo the path was being made; the last may still be on their way."""
        first, last = min(self.echoed, default=len(self.sent_at)), max(self.echoed, default=-1)
        due = sum(at < ended - _LATE_S for at in self.sent_at) if left else len(self.sent_at)
        return Flow(
            session=session,
            relay=self.path.relay,
            node=self.node,
            began=self.sent_at[first] if self.echoed else ended,
            ended=ended,
            sent=len(self.sent_at),
            echoed=len(self.echoed),
            left=left,
            cuts=tuple(_gaps(self.sent_at, self.echoed, first, max(due, last + 1))),
        )


def _gaps(sent_at: list[float], echoed: set[int], first: int, end: int) -> list[Cut]:
    gaps: list[Cut] = []
    begin = None
    for number in range(first, end):
        if number in echoed:
            if begin is not None:
                gaps.append(Cut(sent_at[begin], sent_at[number], number - begin))
            begin = None
        elif begin is None:
            begin = number
    if begin is not None:
        gaps.append(Cut(sent_at[begin], sent_at[end - 1], end - begin))
    return gaps


class Viewer:
    """`run` until cancelled or left; `flows` tells of all paths that it had."""

    def __init__(self, session: str, ask: Ask, *, every_s: float = EVERY_S) -> None:
        self.session = session
        self._ask = ask
        self._every_s = every_s
        self._flows: list[Flow] = []
        self._counts: _Counts | None = None
        self._leaving = asyncio.Event()

    @property
    def flowing(self) -> bool:
        """Whether datagrams came back on the path that it has now."""
        return self._counts is not None and bool(self._counts.echoed)

    @property
    def echoed(self) -> int:
        """Datagrams that came back, on all paths."""
        return sum(flow.echoed for flow in self._flows) + (len(self._counts.echoed) if self._counts else 0)

    @property
    def relay(self) -> str | None:
        """The relay that it is connected to."""
        return self._counts.path.relay if self._counts is not None else None

    def flows(self) -> tuple[Flow, ...]:
        """The paths on which anything came back; what it has now counts as left now."""
        now = asyncio.get_running_loop().time()
        running = [self._counts.flow(self.session, now, left=True)] if self._counts is not None else []
        return tuple(flow for flow in (*self._flows, *running) if flow.echoed)

    def leave(self) -> None:
        """Go of its own accord, as before a delete."""
        self._leaving.set()

    async def run(self) -> None:
        """Watch, path after path, until told to leave."""
        while not self._leaving.is_set():
            path = await self._ask(self.session)
            if path is not None:
                with suppress(NoSignaling):
                    await self._watch(path)
            with suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    await self._leaving.wait()

    async def _watch(self, path: Path) -> None:
        """Until the path's signaling is closed. Raises NoSignaling where it cannot be opened."""
        reader, writer, node = await self._signaling(path)
        loop = asyncio.get_running_loop()
        counts = _Counts(path, node)
        media, _ = await loop.create_datagram_endpoint(lambda: counts, remote_addr=(path.host, path.media_port))
        closed = asyncio.create_task(_until_closed(reader), name=f"signaling of {self.session}")
        leaving = asyncio.create_task(self._leaving.wait(), name=f"leaving of {self.session}")
        self._counts = counts
        try:
            while not (closed.done() or leaving.done()):
                counts.send(loop.time())
                await asyncio.wait((closed, leaving), timeout=self._every_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._counts = None
            self._flows.append(counts.flow(self.session, loop.time(), left=not closed.done()))
            for task in (closed, leaving):
                task.cancel()
            await asyncio.wait((closed, leaving))
            media.close()
            writer.transport.abort()

    async def _signaling(self, path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """Both ends of the connection, and the node that answered."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                reader, writer = await asyncio.open_connection(path.host, path.signaling_port)
                writer.write(_handshake(path, self.session))
                answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            if writer is not None:
                writer.transport.abort()
            raise NoSignaling from error
        if not answer.startswith(b"HTTP/1.1 101"):
            writer.transport.abort()
            raise NoSignaling(answer.partition(b"\r\n")[0].decode())
        return reader, writer, answer.partition(b"Light-Node: ")[2].partition(b"\r\n")[0].decode()


def _handshake(path: Path, session: str) -> bytes:
    lines = (
        f"GET /session/{session} HTTP/1.1",
        f"Host: {path.host}:{path.signaling_port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        f"Sec-WebSocket-Protocol: x-nv-sessionid.{session}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(4096):
            pass
