"""Signaling over HTTP that the relay reads: WHEP and its kin, JSON over long polls, a backend's own pages.

aiohttp frames both hops. Whatever may hold signaling is read whole, within bounds, and edited; what only pages are made
of is streamed as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from signaling.core.admission import Admitted
from signaling.core.frames import Fate, SignalingEditor
from signaling.core.handshake import HOP_BY_HOP, Head, Translation, authority, session_cookie, translation
from signaling.core.handshake import to_backend as head_to_backend
from signaling.doorkeeper import Doorkeeper
from signaling.errors import TooManyViewers
from signaling.heads import REASONS, reason_body
from signaling.http_viewers import HttpViewer, HttpViewers
from signaling.metrics import FrameDrop, RelayCounters, SignalingRefusal
from signaling.routes import Route
from signaling.settings import RelaySettings

_IDLE_S = 75.0
_LONG_POLL_S = 120.0
_NOT_FORWARDED = HOP_BY_HOP | {"content-length", "content-encoding", "accept-encoding", "expect"}
_PAGE_PARTS = frozenset({"text/html", "text/css", "text/javascript", "application/javascript", "application/wasm"})
_PAGE_PART_KINDS = frozenset({"image", "font", "audio", "video", "model"})
_EVENTS = "text/event-stream"
_DROPS = {Fate.FOREIGN: FrameDrop.FOREIGN_CANDIDATE, Fate.MALFORMED: FrameDrop.MALFORMED}


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def _refused(refusal: SignalingRefusal) -> _Refused:
    return _Refused(REASONS[refusal][0], reason_body(refusal))


class HttpSignaling:
    """The plain HTTP requests of one route's signaling port."""

    def __init__(
        self,
        route: Route,
        settings: RelaySettings,
        counters: RelayCounters,
        viewers: HttpViewers,
        on_refused: Callable[[SignalingRefusal], None],
        doorkeeper: Doorkeeper,
    ) -> None:
        self._doorkeeper = doorkeeper
        self._route = route
        self._settings = settings
        self._counters = counters
        self._on_refused = on_refused
        self._viewers = viewers
        self._server: web.Server | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def connections(self) -> int:
        """Open HTTP connections of clients."""
        return len(self._server.connections) if self._server is not None else 0

    def take(self, transport: asyncio.Transport) -> asyncio.Protocol:
        """The protocol that goes on with a connection whose first head was admitted; it is fed all bytes anew."""
        if self._server is None:
            self._server = web.Server(
                self._handle,
                access_log=None,
                keepalive_timeout=_IDLE_S,
                handler_cancellation=True,
                max_line_size=8190,
                max_field_size=8190,
            )
        protocol = self._server()
        protocol.connection_made(transport)
        return protocol

    async def close(self) -> None:
        """End all requests, in bounded time. Idempotent."""
        server, self._server = self._server, None
        session, self._session = self._session, None
        if server is not None:
            await server.shutdown(self._settings.close_timeout_s)
        if session is not None:
            await session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._carry(request, _head(request))
        except _Refused as refused:
            return web.Response(status=refused.status, body=refused.body, content_type="application/json")

    async def _carry(self, request: web.BaseRequest, head: Head) -> web.StreamResponse:
        admitted = self._doorkeeper.admit(head, self._route)
        if isinstance(admitted, Admitted) and head.is_websocket:
            admitted = SignalingRefusal.BAD_HEAD  # a WebSocket takes a connection of its own
        if not isinstance(admitted, Admitted):
            self._on_refused(admitted)
            raise _refused(admitted)
        with self._viewers.use(head, request.remote or "") as viewer:
            body = await self._read(request)
            edited = self._edit_request(viewer, body)
            if edited is None:
                return web.Response(status=HTTPStatus.NO_CONTENT)
            onward = head_to_backend(head, self._route, viewer.id, admitted.role)
            return await self._exchange(request, head, onward, viewer, edited)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """The request's whole body; bounds of size and time."""
        if not request.body_exists:
            return b""
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._settings.frame_max_bytes:
                        self._counters.frames_dropped.add(FrameDrop.TOO_LARGE)
                        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"detail": "the message is too large"}')
        except TimeoutError:
            raise _refused(SignalingRefusal.HEAD_TIMEOUT) from None
        return bytes(body)

    def _edit_request(self, viewer: HttpViewer, body: bytes) -> bytes | None:
        """The body for the backend; None where nothing is left to tell it."""
        if not body:
            return body
        try:
            text = body.decode()
        except UnicodeDecodeError:
            if self._editor(viewer).leaks_to_backend(body.decode("latin-1")):
                self._drop(Fate.FOREIGN, HTTPStatus.BAD_REQUEST)
            return body
        verdict = self._editor(viewer).to_backend(text, may_withhold=False)
        if verdict.fate is Fate.WITHHELD:
            return None
        if verdict.fate is not Fate.PASSED:
            self._drop(verdict.fate, HTTPStatus.BAD_REQUEST)
        return body if verdict.text == text else verdict.text.encode()

    def _editor(self, viewer: HttpViewer) -> SignalingEditor:
        try:
            return self._viewers.editor(viewer)
        except TooManyViewers:
            self._on_refused(SignalingRefusal.TOO_MANY_VIEWERS)
            raise _refused(SignalingRefusal.TOO_MANY_VIEWERS) from None

    def _drop(self, fate: Fate, status: HTTPStatus) -> None:
        self._counters.frames_dropped.add(_DROPS[fate])
        raise _Refused(status, b'{"detail": "the message names a media address that is not the relay\'s"}')

    async def _exchange(
        self, request: web.BaseRequest, head: Head, onward: Head, viewer: HttpViewer, body: bytes
    ) -> web.StreamResponse:
        headers = [(name, value) for name, value in onward.headers if name.lower() not in _NOT_FORWARDED]
        headers.append((hdrs.ACCEPT_ENCODING, "identity"))
        url = URL(f"http://{authority(self._route)}{onward.target}", encoded=True)
        try:
            async with self._backend().request(
                head.method, url, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                return await self._answer(request, head, viewer, response)
        except (aiohttp.ClientError, TimeoutError):
            self._on_refused(SignalingRefusal.BACKEND_UNREACHABLE)
            raise _refused(SignalingRefusal.BACKEND_UNREACHABLE) from None

    def _backend(self) -> aiohttp.ClientSession:
        if self._session is None:
            source = (self._settings.upstream_host, 0) if self._settings.upstream_host else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.max_handshakes, local_addr=source),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.CONTENT_TYPE),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._settings.backend_timeout_s, sock_read=_LONG_POLL_S
                ),
            )
        return self._session

    async def _answer(
        self, request: web.BaseRequest, head: Head, viewer: HttpViewer, response: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        put = translation(head, self._route)
        answer: web.StreamResponse
        if _is_page_part(response) or response.content_type == _EVENTS:
            answer = web.StreamResponse(status=response.status, reason=response.reason)
            self._put_headers(answer, viewer, response, put)
            await answer.prepare(request)
            async for chunk in self._stream(viewer, response):
                await answer.write(chunk)
            await answer.write_eof()
        else:
            body = await self._read_answer(response)
            answer = web.Response(status=response.status, reason=response.reason)
            answer.body = self._edit_answer(viewer, body)
            self._put_headers(answer, viewer, response, put)
        self._viewers.note(viewer, head, response.status, response.headers.get(hdrs.LOCATION))
        return answer

    def _put_headers(
        self, answer: web.StreamResponse, viewer: HttpViewer, response: aiohttp.ClientResponse, put: Translation
    ) -> None:
        raw = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
        answer.headers.popall(hdrs.CONTENT_TYPE, None)
        for name, value in put.to_client(raw):
            if not self._viewers.leaks_to_client(viewer, value):
                answer.headers.add(name, value)
        if put.prefix and response.content_type == "text/html":
            name, value = session_cookie(self._route)
            answer.headers.add(hdrs.SET_COOKIE, f"{name}={value}; Path=/; HttpOnly; SameSite=Strict")

    async def _read_answer(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._settings.frame_max_bytes:
                self._counters.frames_dropped.add(FrameDrop.TOO_LARGE)
                raise _Refused(HTTPStatus.BAD_GATEWAY, b'{"detail": "the backend\'s message is too large"}')
        return bytes(body)

    def _edit_answer(self, viewer: HttpViewer, body: bytes) -> bytes:
        if not body:
            return body
        try:
            text = body.decode()
        except UnicodeDecodeError:
            if self._viewers.leaks_to_client(viewer, body.decode("latin-1")):
                self._drop(Fate.FOREIGN, HTTPStatus.BAD_GATEWAY)
            return body
        verdict = self._editor(viewer).to_client(text, may_withhold=False)
        if verdict.fate is not Fate.PASSED:
            self._drop(verdict.fate, HTTPStatus.BAD_GATEWAY)
        return body if verdict.text == text else verdict.text.encode()

    async def _stream(self, viewer: HttpViewer, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Parts of pages as they come; of an event stream (WHATWG HTML §9.2) only whole events, edited."""
        if response.content_type != _EVENTS:
            async for chunk in response.content.iter_any():
                yield chunk
            return
        rest = b""
        async for chunk in response.content.iter_any():
            rest += chunk
            end = max(rest.rfind(b"\n\n") + 2, rest.rfind(b"\r\n\r\n") + 4)
            if end >= 4:
                yield self._edit_answer(viewer, rest[:end])
                rest = rest[end:]
            if len(rest) > self._settings.frame_max_bytes:
                return


def _is_page_part(response: aiohttp.ClientResponse) -> bool:
    kind = response.content_type
    return kind in _PAGE_PARTS or kind.partition("/")[0] in _PAGE_PART_KINDS


def _head(request: web.BaseRequest) -> Head:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers)
    return Head(request.method, request.raw_path, f"HTTP/{request.version.major}.{request.version.minor}", headers)
