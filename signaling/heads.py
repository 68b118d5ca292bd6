"""Reading the head of a signaling connection, within bounds of size and time, and refusing it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import SecurityError
from websockets.http11 import Response, parse_headers
from websockets.streams import StreamReader

from signaling.core.handshake import Head
from signaling.metrics import SignalingRefusal

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,8000}) (HTTP/1\.[01])")
_METHOD = re.compile(rb"[A-Z]{0,20}(?: |\Z)|[A-Z]{1,19}\Z")
_LINGER_S = 1.0

REASONS: dict[SignalingRefusal, tuple[HTTPStatus, str]] = {
    SignalingRefusal.BAD_HEAD: (HTTPStatus.BAD_REQUEST, "not a signaling handshake"),
    SignalingRefusal.HEAD_TOO_LARGE: (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the handshake's head is too large"),
    SignalingRefusal.HEAD_TIMEOUT: (HTTPStatus.REQUEST_TIMEOUT, "the handshake took too long"),
    SignalingRefusal.WRONG_SESSION: (HTTPStatus.FORBIDDEN, "this port serves another session, or none was named"),
    SignalingRefusal.BAD_ORIGIN: (HTTPStatus.FORBIDDEN, "pages of this origin may not use this session"),
    SignalingRefusal.NO_TOKEN: (HTTPStatus.FORBIDDEN, "an admission token is required"),
    SignalingRefusal.BAD_TOKEN: (HTTPStatus.FORBIDDEN, "the admission token is not one for this session"),
    SignalingRefusal.EXPIRED_TOKEN: (HTTPStatus.FORBIDDEN, "the admission token has expired"),
    SignalingRefusal.VIEWER_ROLE: (HTTPStatus.FORBIDDEN, "this session has no viewers that only watch"),
    SignalingRefusal.TOO_MANY_HANDSHAKES: (HTTPStatus.SERVICE_UNAVAILABLE, "too many connections at once"),
    SignalingRefusal.TOO_MANY_VIEWERS: (HTTPStatus.SERVICE_UNAVAILABLE, "the session has as many viewers as it may"),
    SignalingRefusal.BACKEND_UNREACHABLE: (HTTPStatus.BAD_GATEWAY, "the streaming backend does not answer"),
    SignalingRefusal.BACKEND_REFUSED: (HTTPStatus.BAD_GATEWAY, "the streaming backend refused the handshake"),
}


def parse_head(data: bytes) -> Head:
    """Parse a head up to its blank line; raises ValueError."""
    line, _, rest = data.partition(b"\r\n")
    request = _REQUEST_LINE.fullmatch(line)
    if request is None:
        raise ValueError("invalid request line")
    reader = StreamReader()
    reader.feed_data(rest)
    reader.feed_eof()
    try:
        next(parse_headers(reader.read_line))
    except StopIteration as done:
        headers: Headers = done.value
    except (EOFError, SecurityError) as exc:
        raise ValueError(str(exc)) from exc
    method, target, version = (part.decode("ascii") for part in request.groups())
    return Head(method, target, version, tuple(headers.raw_items()))


def reason_body(refusal: SignalingRefusal) -> bytes:
    """What a refused client is told; never anything of the backend."""
    return json.dumps({"detail": REASONS[refusal][1], "reason": refusal}).encode()


def refusal_response(refusal: SignalingRefusal) -> bytes:
    """The whole HTTP answer to a refused client."""
    body = reason_body(refusal)
    status = REASONS[refusal][0]
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body).serialize()


class HeadReader(asyncio.Protocol):
    """Collects one head, then calls `on_head(reader, head)`, or refuses and closes by itself.

    `on_head` hands the transport over or refuses; its bytes so far are in `data`. With `raw`, bytes that are no HTTP
    are let through with None for a head. `on_done`: the reader is through with the connection.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        timeout_s: float,
        raw: bool,
        on_made: Callable[[HeadReader], None],
        on_head: Callable[[HeadReader, Head | None], None],
        on_refused: Callable[[SignalingRefusal], None],
        on_done: Callable[[HeadReader], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._raw = raw
        self._on_made = on_made
        self._on_head = on_head
        self._on_refused = on_refused
        self._on_done = on_done
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self.data = bytearray()
        self.head_length = 0
        self.transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None

    @property
    def client_host(self) -> str:
        """The address that the connection comes from."""
        return str(self.transport.get_extra_info("peername", ("",))[0])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._timeout_s, self.refuse, SignalingRefusal.HEAD_TIMEOUT)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if not self._reading:
            return
        self.data += data
        if self._raw and not _METHOD.match(self.data[:21]):
            self._finish(None)
            return
        end = self.data.find(b"\r\n\r\n", 0, self._max_bytes)
        if end >= 0:
            self._read_head(end + 4)
        elif len(self.data) >= self._max_bytes:
            self.refuse(SignalingRefusal.HEAD_TOO_LARGE)
        elif not _METHOD.match(self.data[:21]):
            self.refuse(SignalingRefusal.BAD_HEAD)

    def _read_head(self, length: int) -> None:
        self.head_length = length
        try:
            head = parse_head(bytes(self.data[:length]))
        except ValueError:
            self.refuse(SignalingRefusal.BAD_HEAD)
        else:
            self._finish(head)

    def _finish(self, head: Head | None) -> None:
        self._reading = False
        self._cancel_timer()
        self.transport.pause_reading()
        self._on_head(self, head)

    def refuse(self, refusal: SignalingRefusal) -> None:
        """Tell the client why, and close; what it still sends is thrown away for a moment, lest the answer is lost."""
        self._on_refused(refusal)
        self.send_and_close(refusal_response(refusal))

    def send_and_close(self, response: bytes) -> None:
        """Answer and close, in bounded time."""
        self._reading = False
        self.data.clear()
        self._cancel_timer()
        if self.transport.is_closing():
            return
        self.transport.write(response)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self.transport.abort)

    @property
    def is_undecided(self) -> bool:
        """Whether the client was told nothing yet, so that anybody may begin anew with its bytes."""
        return not self.transport.is_closing() and (self._reading or bool(self.data))

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Give the transport to the protocol that goes on; reading stays paused."""
        self._cancel_timer()
        self.transport.set_protocol(protocol)
        self._on_done(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        if self.task is not None:
            self.task.cancel()
        self._on_done(self)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
