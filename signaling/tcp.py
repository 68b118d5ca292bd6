"""Opaque signaling: bytes spliced between client and backend, with back-pressure and half-close."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from signaling.handover_sockets import Packing
from signaling.handover_state import SpliceSnapshot
from signaling.traffic import INPUT_MESSAGE_BYTES
from signaling.viewer import Viewer, connect_backend, keep_alive

_HIGH_WATER_BYTES = 65536
_FLUSH_S = 10.0


class _Half(asyncio.Protocol):
    """One end of a splice."""

    __slots__ = ("_full", "_held", "_splice", "ended", "peer", "transport")

    def __init__(self, splice: Splice) -> None:
        self._splice = splice
        self._full = False
        self._held = True  # until both ends are there
        self.ended = False
        self.peer: _Half
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self.read_or_wait()

    def start(self) -> None:
        """Read from now on."""
        self._held = False
        self.read_or_wait()

    def data_received(self, data: bytes) -> None:
        if len(data) > INPUT_MESSAGE_BYTES:
            self._splice.heard(self)
        if self.peer.transport is not None:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        self._full = True
        self.peer.read_or_wait()

    def resume_writing(self) -> None:
        self._full = False
        self.peer.read_or_wait()

    def hold(self, *, held: bool) -> None:
        """Read nothing while held."""
        self._held = held
        self.read_or_wait()

    def read_or_wait(self) -> None:
        """Read while what is read has a way on."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._held or self.peer._full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.transport is None or self.transport.get_write_buffer_size() == 0

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
        transport.write(head)

    def start(self, client: asyncio.Transport) -> None:
        """Let bytes flow; the client's transport already has `client` as its protocol."""
        self.client.connection_made(client)
        keep_alive(client)
        self._start()

    def _start(self) -> None:
        self.client.start()
        self._backend.start()
        for half in (self.client, self._backend):
            if half.transport is None and half.peer.transport is not None:
                half.peer.transport.close()

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

    # To a successor.

    def hold(self, *, held: bool) -> None:
        """While held, read nothing that would wait behind what is to be sent already."""
        waits = not self.is_flushed
        for half in (self.client, self._backend):
            half.hold(held=held and waits)

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.client.is_flushed and self._backend.is_flushed

    def snapshot(self, packing: Packing) -> SpliceSnapshot | None:
        """All of it; None where no other process can go on with it. Ends of streams are read again by whoever reads."""
        ends = self.client.transport, self._backend.transport
        if not self.is_flushed or any(end is None or end.is_closing() for end in ends):
            return None
        client, backend = (packing.add(end.get_extra_info("socket")) for end in ends if end is not None)
        return SpliceSnapshot(self.viewer.id, self.viewer.role, client, backend)

    async def resume(self, client: socket.socket, backend: socket.socket) -> None:
        """Go on with a predecessor's sockets."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self.client, client)
        await loop.connect_accepted_socket(lambda: self._backend, backend)
        self._start()
