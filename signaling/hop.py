"""One hop of a relayed WebSocket: its handshake, compression, pings, fragmentation and back-pressure."""

from __future__ import annotations

import asyncio
from typing import Protocol

from websockets.frames import Close, Frame, Opcode
from websockets.frames import CloseCode as StandardCode
from websockets.http11 import Response
from websockets.protocol import SEND_EOF, Side, State
from websockets.protocol import Protocol as WebSocket

from signaling.core.unfinished import UnfinishedMessage
from signaling.handover_sockets import Packing
from signaling.handover_state import HopSnapshot
from signaling.upgrade import deflate_of
from signaling.viewer import BackendUnreachable

_HIGH_WATER_BYTES = 65536


class HopOwner(Protocol):
    """What joins two hops."""

    def message(self, source: Hop, payload: bytes, *, is_text: bool) -> None:
        """A message of one end."""

    def closing(self, end: Hop) -> None:
        """A hop closes."""

    def lost(self, end: Hop) -> None:
        """A hop is gone."""


class Hop(asyncio.Protocol):
    """Its messages wait for `start`, as before they would have no way on."""

    __slots__ = (
        "_early",
        "_full",
        "_held",
        "_opcode",
        "_owner",
        "_parts",
        "_unfinished",
        "heard",
        "opened",
        "peer",
        "transport",
        "ws",
    )

    def __init__(self, owner: HopOwner, ws: WebSocket, limit: int) -> None:
        self._owner = owner
        self._parts: list[bytes] = []
        self._opcode = Opcode.TEXT
        self._early: list[Frame] | None = []
        self._full = self._held = False
        # Bytes of a message that is compressed or comes in many pieces may be more than those of what it says.
        self._unfinished = UnfinishedMessage(
            2 * limit, after_head=ws.side is Side.CLIENT and ws.state is State.CONNECTING
        )
        self.ws = ws
        self.heard = True
        self.peer: Hop
        self.opened: asyncio.Future[Response] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self.ws.state is State.CLOSED:
            return
        self._unfinished.feed(data)
        self.ws.receive_data(data)
        self.advance()

    def eof_received(self) -> bool:
        self.ws.receive_eof()
        self.advance()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.ws.receive_eof()
        self._refuse_opening()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._full = True
        self._read_or_wait()

    def resume_writing(self) -> None:
        self._full = False
        self._read_or_wait()

    def hold(self, *, held: bool) -> None:
        """Read nothing while held."""
        self._held = held
        self._read_or_wait()

    def _read_or_wait(self) -> None:
        # Also the own side waits for its output to go: it may answer pings without end.
        for end in (self, self.peer):
            if end.transport is not None and not end.transport.is_closing():
                if end._held or end._full or end.peer._full:
                    end.transport.pause_reading()
                else:
                    end.transport.resume_reading()

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.transport is None or self.transport.get_write_buffer_size() == 0

    def advance(self) -> None:
        """Handle what came, send what is due."""
        for event in self.ws.events_received():
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Response) and self.ws.handshake_exc is None:
                self._open(event)
        self.flush()
        if self.ws.handshake_exc is not None:
            self._refuse_opening()
        elif self.ws.state in (State.CLOSING, State.CLOSED):
            self._owner.closing(self)

    def _open(self, response: Response) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        if self.opened is not None and not self.opened.done():
            self.opened.set_result(response)

    def _refuse_opening(self) -> None:
        if self.opened is not None and not self.opened.done():
            self.opened.set_exception(self.ws.handshake_exc or BackendUnreachable("closed in its handshake"))

    def flush(self) -> None:
        """Write what the protocol has to send."""
        for data in self.ws.data_to_send():
            if self.transport is None or self.transport.is_closing():
                return
            if data is SEND_EOF or not data:
                self.transport.close()
            else:
                self.transport.write(data)

    def start(self) -> None:
        """Let messages pass, those first that came meanwhile."""
        early, self._early = self._early or [], None
        for frame in early:
            self._take(frame)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _take(self, frame: Frame) -> None:
        if self._early is not None:
            self._early.append(frame)
            return
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # the library answers pings, and the state tells of a close
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        if frame.data:
            self._parts.append(bytes(frame.data))
        if frame.fin:
            payload = b"".join(self._parts)
            self._parts.clear()
            self._owner.message(self, payload, is_text=self._opcode is Opcode.TEXT)

    def send(self, payload: bytes, *, is_text: bool) -> None:
        """Send one message, unless the hop is closing."""
        if self.ws.state is State.OPEN:
            if is_text:
                self.ws.send_text(payload)
            else:
                self.ws.send_binary(payload)
            self.flush()

    def fail(self, code: StandardCode) -> None:
        """Close for a fault of the other end."""
        self.ws.fail(code)
        self.advance()

    def leave(self, close: Close | None, within_s: float) -> None:
        """Close with the other hop's code and reason (None: it just went away), in bounded time."""
        if self.transport is None:
            return
        if self.ws.state is State.OPEN and close is not None:
            if close.code == StandardCode.NO_STATUS_RCVD:
                self.ws.send_close()
            else:
                self.ws.send_close(close.code, close.reason)
            self.flush()
        elif close is None:
            self.transport.close()
        if not self.transport.is_closing():
            self.transport.resume_reading()
        asyncio.get_running_loop().call_later(within_s, self.transport.abort)

    def ping(self) -> bool:
        """Ask whether the other end is there; False when it has not been heard of since the last time."""
        heard, self.heard = self.heard, False
        if self.ws.state is State.OPEN:
            self.ws.send_ping(b"")
            self.flush()
        return heard

    @property
    def is_portable(self) -> bool:
        """Whether another process can go on with it: open, with nothing to send, no message half read beyond bounds."""
        if self.transport is None or self.transport.is_closing() or not self.is_flushed:
            return False
        return self.ws.state is State.OPEN and self._unfinished.rest is not None

    def snapshot(self, packing: Packing) -> HopSnapshot:
        """All of it, while it is portable."""
        assert self.transport is not None and self._unfinished.rest is not None
        sock = packing.add(self.transport.get_extra_info("socket"))
        return HopSnapshot(sock, deflate_of(self.ws), self._unfinished.rest)

    def restore(self, told: HopSnapshot) -> None:
        """Come to where the predecessor was in its stream, before there is a transport."""
        if told.unfinished:
            self.data_received(told.unfinished)
