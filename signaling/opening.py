"""The opening of a relayed WebSocket: the backend is asked first, and the client is answered as the backend did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from signaling.core.handshake import Head, selected_protocol, to_backend, translation
from signaling.upgrade import accept, client_protocol, request_of
from signaling.viewer import BackendUnreachable, Viewer, connect_backend, keep_alive
from signaling.websocket import Bridge


class BackendRefused(Exception):
    """The backend answered something else than 101; `response` is that, as the client may see it."""

    def __init__(self, response: bytes) -> None:
        super().__init__()
        self.response = response


class Opening:
    """One viewer's handshakes; `bridge` is what they open, and `on_closed` its own."""

    def __init__(self, viewer: Viewer, head: Head, raw_head: bytes, on_closed: Callable[[Bridge], None]) -> None:
        """Raises BadHandshake."""
        self._viewer = viewer
        self._head = head
        limit = viewer.settings.frame_max_bytes
        accepted = accept(raw_head, limit)
        self._client, self._response = accepted.ws, accepted.response
        self._backend = client_protocol(viewer.route.backend, head, limit, compress=bool(accepted.ws.extensions))
        self.bridge = Bridge(viewer, self._client, self._backend, on_closed)

    async def connect(self) -> None:
        """Shake hands with the backend; raises BackendUnreachable, BackendRefused. The caller bounds the time."""
        viewer, end, ws = self._viewer, self.bridge.backend, self._backend
        end.opened = asyncio.get_running_loop().create_future()
        await connect_backend(viewer.route, viewer.settings, end)
        ws.send_request(request_of(ws, to_backend(self._head, viewer.route, viewer.id, viewer.role)))
        end.flush()
        try:
            response = await end.opened
        except InvalidStatus as exc:
            raise BackendRefused(self._passable(exc.response)) from exc
        except BackendUnreachable:
            raise
        except Exception as exc:  # whatever the library finds wrong with the answer
            raise BackendUnreachable("no WebSocket handshake") from exc
        protocol = selected_protocol(self._head.protocols, viewer.route, ws.subprotocol)
        if protocol is not None:
            self._response.headers["Sec-WebSocket-Protocol"] = protocol
        for name, value in self._passable_headers(response):
            self._response.headers[name] = value

    def start(self, client: asyncio.Transport, rest: bytes) -> None:
        """Answer the client and let messages pass; its transport already has the bridge's client as its protocol."""
        end = self.bridge.client
        end.connection_made(client)
        keep_alive(client)
        self._client.send_response(self._response)
        end.flush()
        self.bridge.start(rest)

    def _passable_headers(self, response: Response) -> Iterable[tuple[str, str]]:
        put = translation(self._head, self._viewer.route)
        for name, value in put.to_client(response.headers.raw_items()):
            if not self.bridge.editor.leaks_to_client(value):
                yield name, value

    def _passable(self, response: Response) -> bytes:
        """A backend's refusal without anything that the client must not see."""
        body = bytes(response.body)[: self._viewer.settings.frame_max_bytes]
        verdict = self.bridge.editor.to_client(body.decode(errors="replace"), may_withhold=False)
        headers = Headers(self._passable_headers(response))
        headers["Content-Length"] = str(len(body := verdict.text.encode()))
        headers["Connection"] = "close"
        return Response(response.status_code, response.reason_phrase, headers, body).serialize()
