"""Signaling with clients over WebSocket: one viewer per connection (docs/protocol.md §1)."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from streamer.media_port import MediaPort
from streamer.session import BackendSession
from streamer.settings import StreamSettings
from streamer.source import JsonObject, VideoFormat
from streamer.viewer import BadOffer, Role, Viewer

logger = logging.getLogger(__name__)

PROTOCOL = 1
SESSION_PROTOCOL = "x-nv-sessionid."
MAX_FRAME_BYTES = 64 * 1024
_HEARTBEAT_S = 20
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Signaling:
    """The handler of the signaling port; it knows the viewers that are there."""

    def __init__(self, session: BackendSession, port: MediaPort, settings: StreamSettings) -> None:
        self._session = session
        self._port = port
        self._settings = settings
        self.viewers: dict[str, Viewer] = {}

    def application(self) -> web.Application:
        """The web application of the signaling port; every path takes a WebSocket."""
        app = web.Application(client_max_size=MAX_FRAME_BYTES)
        app.router.add_get("/{path:.*}", self._connect)
        return app

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(
            protocols=[name for name in _protocols(request) if name.startswith(SESSION_PROTOCOL)][:1],
            max_msg_size=MAX_FRAME_BYTES,
            heartbeat=_HEARTBEAT_S,
        )
        await socket.prepare(request)
        await _Conversation(self, socket, request).hold()
        return socket

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Why this handshake is not taken: it must come through the relay, with what only the relay was told."""
        claim = self._session.claim
        if self._settings.standalone:
            origin = request.headers.get("Origin")
            local = origin is None or urlsplit(origin).hostname in _LOCAL_NAMES
            return None if local else web.Response(status=403, text="Pages of this origin may not connect.\n")
        secret = request.headers.get("Pixelferry-Backend-Secret", "")
        session_id = request.headers.get("Pixelferry-Session", "")
        if claim is None or not hmac.compare_digest(secret.encode(), claim.secret.encode()):
            return web.Response(status=403, text="Connect through the relay.\n")
        if session_id != claim.session_id:
            return web.Response(status=403, text="This backend serves another session.\n")
        return None

    def join(self, request: web.Request, conversation: _Conversation) -> Viewer | None:
        """A new viewer; None when there are as many as may be."""
        if len(self.viewers) >= self._settings.max_viewers:
            return None
        trusted = not self._settings.standalone
        asked = request.headers.get("Pixelferry-Viewer") if trusted else None
        viewer_id = asked if asked and asked not in self.viewers else secrets.token_hex(8)
        role = Role.VIEWER if trusted and request.headers.get("Pixelferry-Role") == Role.VIEWER else Role.CONTROLLER
        viewer = Viewer(viewer_id, role, self._session, self._port, self._settings, on_end=conversation.end)
        self.viewers[viewer_id] = viewer
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A viewer is gone. Idempotent."""
        self.viewers.pop(viewer.id, None)

    async def close(self, code: int, reason: str) -> None:
        """End every viewer."""
        for viewer in list(self.viewers.values()):
            await viewer.close(code, reason)

    @property
    def video(self) -> VideoFormat:
        """What is delivered now."""
        return self._session.video

    def wish(self, wanted: object) -> VideoFormat:
        """Follow a client's wish for size and rate within bounds, if it is one; returns what will come."""
        video = _video_wish(wanted, self._settings.video)
        if video is not None and len(self.viewers) <= 1:
            self._session.resize(video)
        return self._session.video


class _Conversation:
    """One client's WebSocket from hello to close."""

    def __init__(self, signaling: Signaling, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._signaling = signaling
        self._socket = socket
        self._viewer = signaling.join(request, self)

    async def hold(self) -> None:
        if self._viewer is None:
            await self._fail("busy", "As many viewers as may be are watching. Close one of them first.", code=4003)
            return
        try:
            await self._send(
                {
                    "type": "hello",
                    "protocol": PROTOCOL,
                    "viewer": self._viewer.id,
                    "role": self._viewer.role.value,
                    "video": asdict(self._signaling.video),
                }
            )
            await self._listen(self._viewer)
        except ConnectionError:
            logger.debug("a client went away in the middle of a message")
        finally:
            self._signaling.leave(self._viewer)
            await self._viewer.close()

    async def end(self, code: str | None, reason: str) -> None:
        """The viewer ended by itself."""
        if self._viewer is not None:
            self._signaling.leave(self._viewer)
        if self._socket.closed:
            return
        if code is not None:
            await self._fail(code, _WORDS.get(code, reason), code=1011)
        else:
            close_code = {"session ended": 4001, "the backend is shutting down": 1012}.get(reason, 1000)
            await self._socket.close(code=close_code, message=reason.encode()[:120])

    async def _listen(self, viewer: Viewer) -> None:
        offered = False
        async for frame in self._socket:
            if frame.type is not WSMsgType.TEXT:
                break
            message = _parse(frame.data)
            match message.get("type") if message is not None else None:
                case "offer" if message is not None and not offered:
                    offered = True
                    if not await self._answer(viewer, message):
                        return
                case "candidate":
                    continue  # the client's own address is learned from its checks (peer-reflexive)
                case "bye":
                    await self._socket.close(code=1000)
                    return
                case _:
                    await self._fail("bad_message", "This is no message of the protocol.", code=1008)
                    return

    async def _answer(self, viewer: Viewer, message: Mapping[str, object]) -> bool:
        sdp = message.get("sdp")
        if not isinstance(sdp, str):
            await self._fail("bad_offer", "The offer has no sdp.", code=1008)
            return False
        video = self._signaling.wish(message.get("video"))
        try:
            answer = await viewer.answer(sdp)
        except BadOffer as error:
            await self._fail("bad_offer", str(error), code=1008)
            return False
        await self._send({"type": "answer", "sdp": answer, "video": asdict(video)})
        return True

    async def _fail(self, error: str, text: str, *, code: int) -> None:
        if not self._socket.closed:
            await self._send({"type": "error", "code": error, "message": text})
            await self._socket.close(code=code, message=error.encode())

    async def _send(self, message: JsonObject) -> None:
        await self._socket.send_str(json.dumps(message))


_WORDS = {"ice_timeout": "No media connection came about within 15 seconds. Is the media port reachable by UDP?"}


def _protocols(request: web.Request) -> list[str]:
    return [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]


def _parse(text: str) -> dict[str, object] | None:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _video_wish(wanted: object, most: VideoFormat) -> VideoFormat | None:
    """A wish within 64x64 at 1 fps and what the backend delivers at most; sides are made even."""
    if not isinstance(wanted, dict):
        return None
    sides = [wanted.get("width"), wanted.get("height"), wanted.get("fps", most.fps)]
    whole = [value for value in sides if isinstance(value, int) and not isinstance(value, bool) and value > 0]
    if len(whole) < len(sides):
        return None
    width, height, fps = whole
    scale = min(1.0, most.width / width, most.height / height)
    width, height = (max(64, int(side * scale) // 2 * 2) for side in (width, height))
    return VideoFormat(min(width, most.width), min(height, most.height), min(fps, most.fps))
