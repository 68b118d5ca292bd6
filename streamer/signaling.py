"""Signaling with clients over WebSocket: one viewer per connection (docs/protocol.md §1)."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from streamer.ending import BUSY, LEFT, NO_MESSAGE, Ending, bad_offer
from streamer.media_port import MediaPort
from streamer.offer import BadOffer
from streamer.session import BackendSession
from streamer.settings import StreamSettings
from streamer.source import JsonObject
from streamer.video_wish import fulfil
from streamer.viewer import Role, Viewer

logger = logging.getLogger(__name__)

PROTOCOL = 1
SESSION_PROTOCOL = "x-nv-sessionid."
MAX_FRAME_BYTES = 64 * 1024
_MAX_MESSAGES = 256
_CLOSE_TIMEOUT_S = 1.0
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Signaling:
    """The signaling port; it knows the viewers that are there."""

    def __init__(self, session: BackendSession, port: MediaPort, settings: StreamSettings) -> None:
        self._session = session
        self._port = port
        self._settings = settings
        self._server: Server | None = None
        self.viewers: dict[str, Viewer] = {}

    async def open(self) -> int:
        """Bind and serve; returns the bound port. Raises OSError."""
        self._server = await serve(
            self._converse,
            self._settings.host,
            self._settings.signaling_port,
            process_request=self._refuse,
            select_subprotocol=_select_subprotocol,
            open_timeout=self._settings.handshake_timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            compression=None,
            logger=_quiet_logger(),
            server_header=None,
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def end_viewers(self, ending: Ending) -> None:
        """End every viewer."""
        await asyncio.gather(*(viewer.close(ending) for viewer in self.viewers.values()))
        self.viewers.clear()

    async def close(self) -> None:
        """Give the port back. Idempotent."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Why this handshake is not taken: it must come through the relay, with what only the relay was told."""
        if self._settings.standalone:
            origin = request.headers.get("Origin")
            local = origin is None or urlsplit(origin).hostname in _LOCAL_NAMES
            return None if local else connection.respond(403, "Pages of this origin may not connect.\n")
        claim = self._session.claim if not self._session.ending else None
        secret = _only(request.headers, "Pixelferry-Backend-Secret")
        if claim is None or not hmac.compare_digest(secret.encode(errors="replace"), claim.secret.encode()):
            return connection.respond(403, "Connect through the relay.\n")
        if _only(request.headers, "Pixelferry-Session") != claim.session_id:
            return connection.respond(403, "This backend serves another session.\n")
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        conversation = _Conversation(socket, self._session, self._wish)
        if len(self.viewers) >= self._settings.max_viewers:
            await conversation.end(BUSY)
            return
        viewer = self._new_viewer(socket, conversation)
        self.viewers[viewer.id] = viewer
        try:
            await conversation.hold(viewer)
        except Exception:
            logger.exception("signaling failed", extra={"viewer": viewer.id})
        finally:
            await viewer.close(LEFT)
            self.viewers.pop(viewer.id, None)

    def _wish(self, viewer: Viewer, wanted: object) -> None:
        """Follow a client's wish for size and rate, if it is one and nobody else would have to share it."""
        video = fulfil(wanted, self._settings.video)
        if video is not None and viewer.role is Role.CONTROLLER and len(self.viewers) == 1:
            self._session.resize(video)

    def _new_viewer(self, socket: ServerConnection, conversation: _Conversation) -> Viewer:
        headers = socket.request.headers if socket.request is not None and not self._settings.standalone else Headers()
        asked = _only(headers, "Pixelferry-Viewer")
        viewer_id = asked if asked and asked not in self.viewers else secrets.token_hex(8)
        role = Role.VIEWER if _only(headers, "Pixelferry-Role") == Role.VIEWER else Role.CONTROLLER
        return Viewer(viewer_id, role, self._session, self._port, self._settings, on_end=conversation.end)


class _Conversation:
    """One client's WebSocket from hello to close."""

    def __init__(
        self, socket: ServerConnection, session: BackendSession, wish: Callable[[Viewer, object], None]
    ) -> None:
        self._socket = socket
        self._session = session
        self._wish = wish

    async def hold(self, viewer: Viewer) -> None:
        try:
            await self._send(
                {
                    "type": "hello",
                    "protocol": PROTOCOL,
                    "viewer": viewer.id,
                    "role": viewer.role.value,
                    "video": asdict(self._session.video),
                }
            )
            await self._listen(viewer)
        except ConnectionClosed:
            logger.debug("a client went away")

    async def end(self, ending: Ending) -> None:
        """Tell the client why, and close. Idempotent."""
        try:
            if ending.error is not None:
                await self._send({"type": "error", "code": ending.error, "message": ending.reason})
            await self._socket.close(ending.code, ending.reason)
        except ConnectionClosed:
            logger.debug("a client was gone before it could be told why")

    async def _listen(self, viewer: Viewer) -> None:
        offered = False
        for _ in range(_MAX_MESSAGES):
            message = _parse(await self._socket.recv())
            match message.get("type"):
                case "offer" if not offered:
                    offered = True
                    await self._answer(viewer, message)
                case "candidate":
                    continue  # the client's own address is learned from its checks (peer-reflexive)
                case "bye":
                    return
                case _:
                    break
        await viewer.close(NO_MESSAGE)

    async def _answer(self, viewer: Viewer, message: Mapping[str, object]) -> None:
        sdp = message.get("sdp")
        try:
            if not isinstance(sdp, str):
                raise BadOffer("the offer has no sdp")
            answer = await viewer.answer(sdp)
        except BadOffer as error:
            await viewer.close(bad_offer(f"{error}."))
            return
        self._wish(viewer, message.get("video"))
        await self._send({"type": "answer", "sdp": answer, "video": asdict(self._session.video)})

    async def _send(self, message: JsonObject) -> None:
        await self._socket.send(json.dumps(message))


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name.startswith(SESSION_PROTOCOL)), None)


def _only(headers: Headers, name: str) -> str:
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else ""


def _parse(frame: str | bytes) -> dict[str, object]:
    """The message; an empty one for what is none."""
    try:
        message = json.loads(frame) if isinstance(frame, str) else None
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _quiet_logger() -> logging.Logger:
    """websockets logs a traceback for each bad handshake, which anybody can send; what is ours to log, we log."""
    quiet = logging.getLogger("streamer.signaling.websockets")
    quiet.setLevel(logging.CRITICAL)
    return quiet
