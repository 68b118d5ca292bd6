"""Signaling over WebSockets that the relay reads: two hops, every message edited on its way.

Each hop has its own handshake, compression, pings and fragmentation; messages, close codes and refusals pass. In the
steady state a connection costs no task and no timer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from websockets.frames import Close
from websockets.frames import CloseCode as StandardCode
from websockets.protocol import Protocol, State

from signaling.core.frames import Fate, SignalingEditor, Verdict
from signaling.handover_sockets import Packing
from signaling.handover_state import BridgeSnapshot
from signaling.hop import Hop
from signaling.metrics import FrameDrop
from signaling.traffic import INPUT_MESSAGE_BYTES
from signaling.upgrade import restored_client, restored_server
from signaling.viewer import Viewer

_DROPS = {Fate.FOREIGN: FrameDrop.FOREIGN_CANDIDATE, Fate.MALFORMED: FrameDrop.MALFORMED}


class Bridge:
    """One viewer's WebSocket signaling; `on_closed` is called once, when no hop is left."""

    def __init__(
        self, viewer: Viewer, client: Protocol, backend: Protocol, on_closed: Callable[[Bridge], None]
    ) -> None:
        self.viewer = viewer
        self.editor = SignalingEditor(viewer.path, viewer.route.backend.host)
        self._on_closed = on_closed
        self._started = self._leaving = False
        limit = viewer.settings.frame_max_bytes
        self.client, self.backend = Hop(self, client, limit), Hop(self, backend, limit)
        self.client.peer, self.backend.peer = self.backend, self.client

    def start(self, rest: bytes = b"") -> None:
        """Let messages pass between both transports, `rest` of the client first."""
        self._started = True
        self.backend.start()
        self.client.start()
        if rest:
            self.client.data_received(rest)
        for end in (self.client, self.backend):
            if end.transport is None:
                self.lost(end)
            elif end.ws.state is not State.OPEN:
                self.closing(end)

    def message(self, source: Hop, payload: bytes, *, is_text: bool) -> None:
        """A message of one end."""
        if self._leaving:
            return
        from_client = source is self.client
        if from_client and len(payload) > INPUT_MESSAGE_BYTES:
            self.viewer.path.note_input()
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            if is_text:
                source.fail(StandardCode.INVALID_DATA)
                return
            leaks = self.editor.leaks_to_backend if from_client else self.editor.leaks_to_client
            verdict = Verdict(Fate.FOREIGN if leaks(payload.decode("latin-1")) else Fate.PASSED)
        else:
            verdict = self.editor.to_backend(text) if from_client else self.editor.to_client(text)
            if verdict.text != text:
                payload = verdict.text.encode()
        if verdict.fate is Fate.PASSED:
            source.peer.send(payload, is_text=is_text)
        elif verdict.fate in _DROPS:
            self.viewer.counters.frames_dropped.add(_DROPS[verdict.fate])

    def closing(self, end: Hop) -> None:
        """A hop closes: so does the other, with the same code."""
        if not self._started or end.transport is None:
            return
        if end.ws.close_rcvd is None and end.ws.close_sent is not None:
            if end.ws.close_sent.code == StandardCode.MESSAGE_TOO_BIG:
                self.viewer.counters.frames_dropped.add(FrameDrop.TOO_LARGE)
            self._leave(end.ws.close_sent)
        else:
            self._leave(end.ws.close_rcvd)

    def lost(self, end: Hop) -> None:
        """A hop is gone."""
        if not self._started:
            return
        self._leave(end.ws.close_rcvd)
        if self.client.transport is None and self.backend.transport is None:
            self._on_closed(self)

    def _leave(self, close: Close | None) -> None:
        if self._leaving:
            return
        self._leaving = True
        self.viewer.path.close()
        if close is not None and self.editor.leaks_to_client(close.reason):
            close = Close(close.code, "")
        for end in (self.client, self.backend):
            end.leave(close, self.viewer.settings.close_timeout_s)

    def close(self, code: int) -> None:
        """Tell both ends that it is over, and why."""
        self._leave(Close(code, ""))

    def abort(self) -> None:
        """Cut what is left."""
        for end in (self.client, self.backend):
            if end.transport is not None:
                end.transport.abort()

    def sweep(self) -> None:
        """Cut the connection when an end has been silent for two sweeps, else ask whether it is there."""
        if not all([end.ping() for end in (self.client, self.backend)]):
            self.abort()

    # To a successor.

    def hold(self, *, held: bool) -> None:
        """While held, read nothing that would wait behind what is to be sent already."""
        waits = not (self.client.is_flushed and self.backend.is_flushed)
        for end in (self.client, self.backend):
            end.hold(held=held and waits)

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.client.is_flushed and self.backend.is_flushed

    def snapshot(self, packing: Packing) -> BridgeSnapshot | None:
        """All of it; None where no other process can go on with it."""
        if self._leaving or not (self.client.is_portable and self.backend.is_portable):
            return None
        hops = self.client.snapshot(packing), self.backend.snapshot(packing)
        return BridgeSnapshot(self.viewer.id, self.viewer.role, *hops, self.editor.snapshot())

    @classmethod
    def restored(cls, viewer: Viewer, told: BridgeSnapshot, on_closed: Callable[[Bridge], None]) -> Bridge:
        """A predecessor's bridge; `resume` makes it go on."""
        limit = viewer.settings.frame_max_bytes
        client, backend = restored_server(limit, told.client.deflate), restored_client(limit, told.backend.deflate)
        bridge = cls(viewer, client, backend, on_closed)
        bridge.editor.restore(told.editor)
        bridge.client.restore(told.client)
        bridge.backend.restore(told.backend)
        return bridge

    async def resume(self, client: socket.socket, backend: socket.socket) -> None:
        """Go on with a predecessor's sockets."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self.client, client)
        await loop.connect_accepted_socket(lambda: self.backend, backend)
        self.start()
