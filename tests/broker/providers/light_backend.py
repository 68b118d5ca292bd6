"""A backend that speaks the control protocol and does nothing else, in this process on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from broker.core.node import NodeSlot, SlotState

TOKEN = "a-token-of-a-control-port"


@dataclass
class LightBackend:
    """`session_id` is whose it is; `asked` what it was asked. `open` and `close` as often as wanted, on one port."""

    session_id: str | None = None
    port: int = 0
    tells_whose: bool = True
    token: str = TOKEN
    last_input_at: float | None = None
    asked: list[str] = field(default_factory=list)
    notices: list[object] = field(default_factory=list)
    refuses: int = 0
    _runner: web.AppRunner | None = None

    async def open(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def slot(self, number: int = 0, *, instance: str = "first") -> NodeSlot:
        """As its node tells of it."""
        state = SlotState.IDLE if self.session_id is None else SlotState.CLAIMED
        return NodeSlot(number, 47000, 47001, self.port, TOKEN, instance, state, self.session_id)

    async def _handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path_qs}")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({}, status=401)
        match request.method, request.path:
            case "GET", "/v1/ready":
                return self._ready()
            case "PUT", "/v1/session":
                return self._claim((await request.json())["session_id"])
            case "DELETE", "/v1/session":
                return self._release(request.query.get("session_id"))
            case "POST", "/v1/notice":
                self.notices.append((await request.json())["message"])
                return web.Response(status=204)
            case _:
                return web.json_response({"last_input_at": self.last_input_at, "viewers": []})

    def _ready(self) -> web.Response:
        answer: dict[str, object] = {"state": "idle" if self.session_id is None else "claimed", "protocol": 1}
        if self.session_id is not None and self.tells_whose:
            answer["session_id"] = self.session_id
        return web.json_response(answer)

    def _claim(self, session_id: str) -> web.Response:
        if self.refuses:
            return web.json_response({}, status=self.refuses)
        if self.session_id not in (None, session_id):
            return web.json_response({}, status=409)
        self.session_id = session_id
        return self._ready()

    def _release(self, session_id: str | None) -> web.Response:
        if session_id is not None and self.session_id not in (None, session_id):
            return web.json_response({}, status=409)
        self.session_id = None
        return web.Response(status=204)


@asynccontextmanager
async def light_backend() -> AsyncIterator[LightBackend]:
    backend = LightBackend()
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()
        await asyncio.sleep(0)
