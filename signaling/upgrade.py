"""Both handshakes of a relayed WebSocket, prepared for `websockets`' Sans-I/O protocol."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from signaling.core.handshake import HOP_BY_HOP, Head
from signaling.handover_state import DeflateSnapshot
from signaling.routes import Endpoint

_OF_THE_HOP = HOP_BY_HOP | {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
_OF_THE_HOP |= {"content-length", "expect", "host", "sec-websocket-accept"}

_NOWHERE = WebSocketURI(False, "localhost", 0, "/", "")  # an open connection asks nobody for anything


class BadHandshake(Exception):
    """The client's head is no valid WebSocket handshake; `response` says why."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client's handshake, valid in itself."""

    ws: ServerProtocol
    response: Response


def accept(raw_head: bytes, limit: int) -> Accepted:
    """Check the client's handshake and prepare the answer; raises BadHandshake."""
    ws = ServerProtocol(
        # Without context takeover no compressor is kept between messages.
        extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)],
        max_size=limit,
        logger=_silent(),
    )
    ws.receive_data(raw_head)
    for event in ws.events_received():
        if isinstance(event, Request):
            response = ws.accept(event)
            if response.status_code == 101:
                return Accepted(ws, response)
            ws.send_response(response)
    raise BadHandshake(b"".join(ws.data_to_send()))


def refusing(raw_head: bytes, protocol: str | None, code: int, reason: str) -> bytes:
    """A WebSocket opened and closed at once, as bytes for its client; raises BadHandshake."""
    accepted = accept(raw_head, 0)
    if protocol is not None:
        accepted.response.headers["Sec-WebSocket-Protocol"] = protocol
    accepted.ws.send_response(accepted.response)
    accepted.ws.send_close(code, reason)
    return b"".join(accepted.ws.data_to_send())


def client_protocol(backend: Endpoint, head: Head, limit: int, *, compress: bool) -> ClientProtocol:
    """The protocol for the backend's hop, offering what the client offered."""
    deflate = ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
    return ClientProtocol(
        WebSocketURI(False, backend.host, backend.signaling_port, "/", ""),
        extensions=[deflate] if compress else None,
        subprotocols=[Subprotocol(word) for word in head.protocols] or None,
        max_size=limit,
        logger=_silent(),
    )


def deflate_of(ws: Protocol) -> DeflateSnapshot | None:
    """How an open connection compresses."""
    for extension in ws.extensions:
        if isinstance(extension, PerMessageDeflate):
            return DeflateSnapshot(extension.remote_max_window_bits, extension.local_max_window_bits)
    return None


def restored_server(limit: int, deflate: DeflateSnapshot | None) -> ServerProtocol:
    """The client's hop, open, between two messages."""
    ws = ServerProtocol(state=State.OPEN, max_size=limit, logger=_silent())
    ws.extensions = _restored(deflate)
    return ws


def restored_client(limit: int, deflate: DeflateSnapshot | None) -> ClientProtocol:
    """The backend's hop, open, between two messages."""
    ws = ClientProtocol(_NOWHERE, state=State.OPEN, max_size=limit, logger=_silent())
    ws.extensions = _restored(deflate)
    return ws


def _restored(deflate: DeflateSnapshot | None) -> list[Extension]:
    if deflate is None:
        return []
    # Both our offers insist on no context takeover.
    return [PerMessageDeflate(True, True, deflate.remote_window_bits, deflate.local_window_bits)]


def request_of(ws: ClientProtocol, head: Head) -> Request:
    """The client's head with this hop's own WebSocket headers."""
    own = ws.connect().headers
    headers = Headers([("Host", head.get("host") or own["Host"])])
    for name, value in own.raw_items():
        if name.lower() in _OF_THE_HOP and name.lower() != "host":
            headers[name] = value
    for name, value in head.headers:
        if name.lower() not in _OF_THE_HOP:
            headers[name] = value
    return Request(head.target, headers)


def _silent() -> logging.Logger:
    # The library logs frames at DEBUG, and signaling must never be in a log: this one no configuration reaches.
    return logging.Logger("silent", logging.CRITICAL + 1)  # noqa: LOG001
