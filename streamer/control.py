"""The private control port: how the broker claims, releases and watches this backend (docs/protocol.md §4)."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from streamer.ending import SESSION_ENDED
from streamer.session import BackendSession, Claim, ClaimedByAnother
from streamer.signaling import PROTOCOL, Signaling
from streamer.source import JsonObject

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_BODY_BYTES = 64 * 1024
_NOTICE_MOST_CHARS = 1000
_LEVELS = ("info", "warning", "error")


class Control:
    """The handlers of the control port."""

    def __init__(self, session: BackendSession, signaling: Signaling, token: str) -> None:
        self._session = session
        self._signaling = signaling
        self._expected = f"Bearer {token}".encode()

    def application(self) -> web.Application:
        """The web application of the control port."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._authorize])
        app.router.add_get("/v1/ready", self._ready)
        app.router.add_put("/v1/session", self._claim)
        app.router.add_delete("/v1/session", self._release)
        app.router.add_get("/v1/status", self._status)
        app.router.add_post("/v1/notice", self._notice)
        return app

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, self._expected):
            return web.json_response({"detail": "Unauthorized"}, status=401, headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _ready(self, request: web.Request) -> web.Response:
        claim = self._session.claim
        answer: JsonObject = {"state": "idle" if claim is None else "claimed", "protocol": PROTOCOL}
        if claim is not None:
            answer["session_id"] = claim.session_id
        return web.json_response(answer)

    async def _claim(self, request: web.Request) -> web.Response:
        try:
            claim, arguments = _read_claim(await request.read())
        except ValueError as error:
            return web.json_response({"detail": str(error)}, status=422)
        try:
            self._session.begin(claim, arguments)
        except ClaimedByAnother:
            return web.json_response({"detail": "This backend serves another session."}, status=409)
        return await self._ready(request)

    async def _release(self, request: web.Request) -> web.Response:
        meant, claim = request.query.get("session_id"), self._session.claim
        if meant is not None and claim is not None and claim.session_id != meant:
            return web.json_response({"detail": "This backend serves another session."}, status=409)
        await self._session.end(lambda: self._signaling.end_viewers(SESSION_ENDED))
        return web.Response(status=204)

    async def _notice(self, request: web.Request) -> web.Response:
        try:
            level, message = _read_notice(await request.read())
        except ValueError as error:
            return web.json_response({"detail": str(error)}, status=422)
        if self._session.claim is None or self._session.ending:
            return web.json_response({"detail": "This backend serves no session."}, status=409)
        self._session.notify(level, message)
        return web.Response(status=204)

    async def _status(self, request: web.Request) -> web.Response:
        status: JsonObject = {
            "last_input_at": self._session.last_input_at,
            "viewers": [viewer.status() for viewer in self._signaling.viewers.values()],
            "frames_sent": self._session.frames_sent,
            "encodings": self._session.encodings.count,
            "events_dropped": self._session.events_dropped,
        }
        return web.json_response(status)


def _read_object(body: bytes) -> dict[str, object]:
    """Raises ValueError."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body must be JSON") from None
    if not isinstance(message, dict):
        raise ValueError("the body must be a JSON object")
    return message


def _read_notice(body: bytes) -> tuple[str, str]:
    """Raises ValueError naming what does not fit."""
    notice = _read_object(body)
    level, message = notice.get("level"), notice.get("message")
    if not isinstance(level, str) or level not in _LEVELS:
        raise ValueError(f"level must be one of {', '.join(_LEVELS)}")
    if not isinstance(message, str) or not message.strip() or len(message) > _NOTICE_MOST_CHARS:
        raise ValueError(f"message must be a text of 1 to {_NOTICE_MOST_CHARS} characters")
    return level, message


def _read_claim(body: bytes) -> tuple[Claim, Mapping[str, str]]:
    """Raises ValueError naming what does not fit."""
    message = _read_object(body)
    session_id, secret, arguments = (message.get(key) for key in ("session_id", "backend_secret", "arguments"))
    if not isinstance(session_id, str) or not session_id:
        raise ValueError("session_id must be a text")
    if not isinstance(secret, str) or not secret:
        raise ValueError("backend_secret must be a text")
    if not isinstance(arguments, dict) or not all(isinstance(value, str) for value in arguments.values()):
        raise ValueError("arguments must be an object of texts")
    return Claim(session_id, secret), arguments
