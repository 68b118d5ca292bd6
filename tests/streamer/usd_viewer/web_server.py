"""A server of stages on loopback, and a resolver that knows its names."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from streamer.usd_viewer.web_policy import is_public


@dataclass
class Names(AbstractResolver):
    """Knows names; remembers what it was asked."""

    known: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError(None, "no such name")
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in self.known[host]
        ]

    async def close(self) -> None:
        pass


class Server:
    """Serves what `answers` holds by path, in a thread of its own; remembers the heads of requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[web.Request], AsyncIterator[bytes] | web.Response]] = {}
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="test-web-server")
        self._thread.start()
        assert self._ready.wait(5)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append({"target": request.raw_path, **request.headers})
        make = self.answers.get(request.path)
        if make is None:
            return web.Response(status=404)
        answer = make(request)  # type: ignore[arg-type]
        if isinstance(answer, web.Response):
            return answer
        streamed = web.StreamResponse()
        await streamed.prepare(request)
        async for chunk in answer:
            await streamed.write(chunk)
        return streamed


def admit_loopback(address: str) -> bool:
    """The internet's rule, but that the test's server may be reached."""
    return address == "127.0.0.1" or is_public(address)
