"""For those who run it: does the process live, and may it take new work. The two never share a cause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from broker.api.answers import json_answer


class OpsApi:
    """`causes` tells why no new work may be taken now; nothing where it may."""

    def __init__(self, causes: Callable[[], Awaitable[Sequence[str]]]) -> None:
        self._causes = causes

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        return (web.get("/healthz", self.healthz), web.get("/readyz", self.readyz))

    async def healthz(self, request: web.Request) -> web.Response:
        """The process answers, so it lives."""
        return json_answer({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.Response:
        """503 with the causes while it should be given no new work."""
        causes = list(await self._causes())
        status = "not ready" if causes else "ready"
        return json_answer({"status": status, "causes": causes}, status=503 if causes else 200)
