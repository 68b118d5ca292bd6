"""Signaling over WebSockets that the relay reads: two connections, every message edited on its way.

Each hop has its own handshake, compression, pings and fragmentation (`websockets`' Sans-I/O protocol); messages, close
codes and refusals pass. In the steady state a connection costs no task and no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.frames import Close, Frame, Opcode
from websockets.frames import CloseCode as StandardCode
from websockets.http11 import Response
from websockets.protocol import SEND_EOF, Protocol, State
from websockets.server import ServerProtocol

from signaling.core.frames import Fate, SignalingEditor, Verdict
from signaling.core.handshake import Head, selected_protocol, to_backend, translation
from signaling.metrics import FrameDrop
from signaling.traffic import INPUT_MESSAGE_BYTES
from signaling.upgrade import accept, client_protocol, request_of
from signaling.viewer import BackendUnreachable, Viewer, connect_backend, keep_alive

_HIGH_WATER_BYTES = 65536
_DROPS = {Fate.FOREIGN: FrameDrop.FOREIGN_CANDIDATE, Fate.MALFORMED: FrameDrop.MALFORMED}


class BackendRefused(Exception):
    """The backend answered something else than 101; `response` is that, as the client may see it."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response


class _End(asyncio.Protocol):
    """One hop."""

    __slots__ = ("_bridge", "_early", "_length", "_opcode", "_parts", "heard", "opened", "peer", "transport", "ws")

    def __init__(self, bridge: Bridge, ws: Protocol) -> None:
        self._bridge = bridge
        self._parts: list[bytes] = []
        self._opcode = Opcode.TEXT
        self._early: list[Frame] | None = []
        self.ws = ws
        self.heard = True
        self.peer: _End
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
        self._bridge.lost(self)

    def pause_writing(self) -> None:
        # Also the own side: it may answer pings without end.
        for end in (self, self.peer):
            if end.transport is not None and not end.transport.is_closing():
                end.transport.pause_reading()

    def resume_writing(self) -> None:
        for end in (self, self.peer):
            if end.transport is not None and not end.transport.is_closing():
                end.transport.resume_reading()

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
            self._bridge.closing(self)

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
            self._bridge.message(self, payload, is_text=self._opcode is Opcode.TEXT)

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


class Bridge:
    """One viewer's WebSocket signaling; `on_closed` is called once, when no hop is left."""

    def __init__(self, viewer: Viewer, head: Head, raw_head: bytes, on_closed: Callable[[Bridge], None]) -> None:
        self.viewer = viewer
        self._head = head
        self._on_closed = on_closed
        self._editor = SignalingEditor(viewer.path, viewer.route.backend.host)
        self._started = self._leaving = False
        limit = viewer.settings.frame_max_bytes
        accepted = accept(raw_head, limit)
        self._response = accepted.response
        self.client = _End(self, accepted.ws)
        self._backend = _End(
            self, client_protocol(viewer.route.backend, head, limit, compress=bool(accepted.ws.extensions))
        )
        self.client.peer, self._backend.peer = self._backend, self.client

    async def connect(self) -> None:
        """Shake hands with the backend; raises BackendUnreachable, BackendRefused. The caller bounds the time."""
        end, ws = self._backend, self._backend.ws
        assert isinstance(ws, ClientProtocol)
        end.opened = asyncio.get_running_loop().create_future()
        await connect_backend(self.viewer.route, self.viewer.settings, end)
        ws.send_request(request_of(ws, to_backend(self._head, self.viewer.route, self.viewer.id, self.viewer.role)))
        end.flush()
        try:
            response = await end.opened
        except InvalidStatus as exc:
            raise BackendRefused(self._passable(exc.response)) from exc
        except BackendUnreachable:
            raise
        except Exception as exc:  # whatever the library finds wrong with the answer
            raise BackendUnreachable("no WebSocket handshake") from exc
        protocol = selected_protocol(self._head.protocols, self.viewer.route, ws.subprotocol)
        if protocol is not None:
            self._response.headers["Sec-WebSocket-Protocol"] = protocol
        for name, value in self._passable_headers(response):
            self._response.headers[name] = value

    def start(self, client: asyncio.Transport, rest: bytes) -> None:
        """Answer the client and let messages pass; its transport already has `client` as its protocol."""
        ws = self.client.ws
        assert isinstance(ws, ServerProtocol)
        self.client.connection_made(client)
        keep_alive(client)
        ws.send_response(self._response)
        del self._head, self._response
        self._started = True
        self.client.flush()
        self._backend.start()
        self.client.start()
        if rest:
            self.client.data_received(rest)
        if self._backend.transport is None:
            self.lost(self._backend)
        elif self._backend.ws.state is not State.OPEN:
            self.closing(self._backend)

    def message(self, source: _End, payload: bytes, *, is_text: bool) -> None:
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
            leaks = self._editor.leaks_to_backend if from_client else self._editor.leaks_to_client
            verdict = Verdict(Fate.FOREIGN if leaks(payload.decode("latin-1")) else Fate.PASSED)
        else:
            verdict = self._editor.to_backend(text) if from_client else self._editor.to_client(text)
            if verdict.text != text:
                payload = verdict.text.encode()
        if verdict.fate is Fate.PASSED:
            source.peer.send(payload, is_text=is_text)
        elif verdict.fate in _DROPS:
            self.viewer.counters.frames_dropped.add(_DROPS[verdict.fate])

    def closing(self, end: _End) -> None:
        """A hop closes: so does the other, with the same code."""
        if not self._started or end.transport is None:
            return
        if end.ws.close_rcvd is None and end.ws.close_sent is not None:
            if end.ws.close_sent.code == StandardCode.MESSAGE_TOO_BIG:
                self.viewer.counters.frames_dropped.add(FrameDrop.TOO_LARGE)
            self._leave(end.ws.close_sent)
        else:
            self._leave(end.ws.close_rcvd)

    def lost(self, end: _End) -> None:
        """A hop is gone."""
        if not self._started:
            return
        self._leave(end.ws.close_rcvd)
        if self.client.transport is None and self._backend.transport is None:
            self._on_closed(self)

    def _leave(self, close: Close | None) -> None:
        if self._leaving:
            return
        self._leaving = True
        self.viewer.path.close()
        if close is not None and self._editor.leaks_to_client(close.reason):
            close = Close(close.code, "")
        for end in (self.client, self._backend):
            end.leave(close, self.viewer.settings.close_timeout_s)

    def close(self, code: int) -> None:
        """Tell both ends that it is over, and why."""
        self._leave(Close(code, ""))

    def abort(self) -> None:
        """Cut what is left."""
        for end in (self.client, self._backend):
            if end.transport is not None:
                end.transport.abort()

    def sweep(self) -> None:
        """Cut the connection when an end has been silent for two sweeps, else ask whether it is there."""
        if not all([end.ping() for end in (self.client, self._backend)]):
            self.abort()

    def _passable_headers(self, response: Response) -> Iterable[tuple[str, str]]:
        put = translation(self._head, self.viewer.route)
        for name, value in put.to_client(response.headers.raw_items()):
            if not self._editor.leaks_to_client(value):
                yield name, value

    def _passable(self, response: Response) -> bytes:
        """A backend's refusal without anything that the client must not see."""
        body = bytes(response.body)[: self.viewer.settings.frame_max_bytes]
        verdict = self._editor.to_client(body.decode(errors="replace"), may_withhold=False)
        headers = Headers(self._passable_headers(response))
        headers["Content-Length"] = str(len(body := verdict.text.encode()))
        headers["Connection"] = "close"
        return Response(response.status_code, response.reason_phrase, headers, body).serialize()
