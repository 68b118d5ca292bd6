"""Opaque signaling: bytes spliced between client and backend, with back-pressure and half-close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from signaling.traffic import INPUT_MESSAGE_BYTES
from signaling.viewer import Viewer, connect_backend, keep_alive

_HIGH_WATER_BYTES = 65536
_FLUSH_S = 10.0


class _Half(asyncio.Protocol):
    """One end of a splice."""

    __slots__ = ("_splice", "ended", "peer", "transport")

    def __init__(self, splice: Splice) -> None:
        self._splice = splice
        self.ended = False
        self.peer: _Half
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        if len(data) > INPUT_MESSAGE_BYTES:
            self._splice.heard(self)
        if self.peer.transport is not None:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        other = self.peer.transport
        if other is None or other.is_closing():
            return False
        if other.can_write_eof():
            other.write_eof()
        return not self.peer.ended

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.peer.transport is not None:
            self.peer.transport.close()
            asyncio.get_running_loop().call_later(_FLUSH_S, self.peer.transport.abort)
        self._splice.lost()


class Splice:
    """Both ends of one opaque signaling connection; `on_closed` is called once, when neither is left."""

    def __init__(self, viewer: Viewer, on_closed: Callable[[Splice], None]) -> None:
        self.viewer = viewer
        self._on_closed = on_closed
        self.client, self._backend = _Half(self), _Half(self)
        self.client.peer, self._backend.peer = self._backend, self.client

    async def connect(self, head: bytes) -> None:
        """Open the backend's end and send it the head; raises BackendUnreachable."""
        transport = await connect_backend(self.viewer.route, self.viewer.settings, self._backend)
        transport.pause_reading()
        transport.write(head)

    def start(self, client: asyncio.Transport) -> None:
        """Let bytes flow; the client's transport already has `client` as its protocol."""
        self.client.connection_made(client)
        keep_alive(client)
        client.resume_reading()
        if self._backend.transport is None:
            client.close()
        else:
            self._backend.transport.resume_reading()

    def heard(self, half: _Half) -> None:
        """An end sent more than a keep-alive: input, where it is the client."""
        if half is self.client:
            self.viewer.path.note_input()

    def lost(self) -> None:
        """An end is gone."""
        self.viewer.path.close()
        if self.client.transport is None and self._backend.transport is None:
            self._on_closed(self)

    def close(self, code: int) -> None:
        """End both directions; opaque bytes have no place for a reason."""
        for transport in (self.client.transport, self._backend.transport):
            if transport is not None:
                transport.close()

    def abort(self) -> None:
        """Cut what is left."""
        for transport in (self.client.transport, self._backend.transport):
            if transport is not None:
                transport.abort()

    def sweep(self) -> None:
        """The kernel's keep-alive looks after both ends."""
