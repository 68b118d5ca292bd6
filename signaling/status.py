"""What a relay alone tells those who run it over HTTP: whether it lives, may be given new sessions, and its metrics."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STOP_S = 1.0
_BACKLOG = 128
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Status:
    """`causes` tells why no new session may be given now; nothing where one may."""

    def __init__(self, causes: Callable[[], Sequence[str]], collectors: Sequence[Collector]) -> None:
        self._causes = causes
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    @asynccontextmanager
    async def serving(self, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
        """Answer on these listening sockets while the block lasts."""
        application = web.Application(client_max_size=1)
        application.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        runner = web.AppRunner(application, shutdown_timeout=_STOP_S, access_log=None, keepalive_timeout=15)
        await runner.setup()
        try:
            for bound in sockets:
                await web.SockSite(runner, bound, backlog=_BACKLOG).start()
            yield
        finally:
            await runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        return _json({"status": "ok"}, 200)

    async def _readyz(self, request: web.Request) -> web.Response:
        causes = list(self._causes())
        return _json({"status": "not ready" if causes else "ready", "causes": causes}, 503 if causes else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={**_HEADERS, "Content-Type": _CONTENT_TYPE})


def _json(value: object, status: int) -> web.Response:
    return web.Response(text=json.dumps(value), status=status, content_type="application/json", headers=_HEADERS)
