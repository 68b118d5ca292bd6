"""One slot of a light node: a streaming backend that streams nothing, and echoes each datagram that comes."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import cast

_HEAD_MOST_BYTES = 16384


class ServesAnother(Exception):
    """The slot is claimed by another session."""


@dataclass
class NodeSlot:
    """`instance` names this run of the backend, and `token` is its control port's alone.

    `refused` are the sessions that it was given while it had another.
    """

    node: str
    number: int
    signaling_port: int
    media_port: int
    control_port: int
    instance: str = field(default_factory=lambda: secrets.token_hex(8))
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    session: str | None = None
    secret: str = ""
    datagrams: int = 0
    refused: list[str] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set)

    def claim(self, session: str, secret: str) -> None:
        """Serve this session. Raises ServesAnother."""
        if self.session not in (None, session):
            self.refused.append(session)
            raise ServesAnother
        self.session, self.secret = session, secret

    def release(self, session: str | None = None) -> None:
        """Become idle and clean. Raises ServesAnother where that is meant for another session."""
        if session is not None and self.session not in (None, session):
            raise ServesAnother
        self.session, self.secret = None, ""
        for connection in list(self.connections):
            connection.abort()

    def crash(self) -> None:
        """End as a backend that was killed, and begin anew at once."""
        self.release()
        self.instance, self.token = secrets.token_hex(8), secrets.token_hex(16)

    def admits(self, head: bytes) -> bool:
        """Whether a handshake carries the session and its secret."""
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        said = headers.get("pixelferry-session"), headers.get("pixelferry-backend-secret")
        return self.session is not None and said == (self.session, self.secret)


class Echo(asyncio.DatagramProtocol):
    """The media port: every datagram of a claimed backend goes back where it came from."""

    def __init__(self, slot: NodeSlot) -> None:
        self._slot = slot
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # which asyncio's own is not by its classes

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self._slot.session is not None and self._transport is not None:
            self._slot.datagrams += 1
            self._transport.sendto(data, address)


class Signaling(asyncio.Protocol):
    """The signaling port: answers the handshake, then says back what comes."""

    def __init__(self, slot: NodeSlot) -> None:
        self._slot = slot
        self._head: bytes | None = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._slot.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._head is None:
            self._transport.write(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > _HEAD_MOST_BYTES:
                self._transport.abort()
            return
        if not self._slot.admits(head):
            self._transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return
        self._head = None
        told = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(told + f"Light-Node: {self._slot.node}\r\n\r\n".encode() + rest)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._slot.connections.discard(self._transport)
