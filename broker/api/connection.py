"""One HTTP connection: aiohttp's handler of it, but that errors are told as JSON and no head may take for ever."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.api.answers import UNEXPECTED, refusal

logger = logging.getLogger(__name__)

_QUOTED = re.compile(r":? b(ytearray\(b)?['\"]")


class Connection(web.RequestHandler):
    """From a request's first byte, or the connection's begin, to the end of the head no more than `head_s` pass.

    Else the connection is closed: who says nothing holds a descriptor, and there are only so many.

    The time of the body is its reader's affair, that between two requests the server's `keepalive_timeout`.
    """

    def __init__(self, server: web.Server, *, head_s: float, keepalive_s: float) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,
            keepalive_timeout=keepalive_s,
        )
        self._head_s = head_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._serving = False
        self._lost = asyncio.Event()

    async def lost(self) -> None:
        """Wait until whoever is at the other end is gone."""
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first head is awaited from now on."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """More bytes of a head, or of a body that its handler reads."""
        if data and not self._serving and self._head_timer is None:
            self._start_timer()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave no timer behind."""
        self._stop_timer()
        self._lost.set()
        super().connection_lost(exc)

    def serving(self, serves: bool) -> None:
        """A head is complete and its request is being answered, or that is done."""
        self._serving = serves
        self._stop_timer()

    def _start_timer(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(self._head_s, self.force_close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP; no line in the log, which whoever sends such bytes could fill."""
        if status >= 500:
            logger.error("a request was not answered", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        answer = refusal(status, UNEXPECTED if status >= 500 else f"This is no HTTP request: {_first_line(message)}.")
        answer.headers["Server"] = "pixelferry"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.force_close()
        return answer


async def until_lost(request: web.Request) -> None:
    """Wait until whoever sent the request is gone: a stream that is seldom written to would not notice."""
    connection = request.protocol
    await (connection.lost() if isinstance(connection, Connection) else asyncio.Event().wait())


def heads_watched() -> Middleware:
    """The outermost middleware: tells each connection when a request's head is complete, and when it is answered."""

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await handler(request)
        connection.serving(True)
        try:
            return await handler(request)
        finally:
            connection.serving(False)

    return watch


def connections_of(server: web.Server, *, head_s: float, keepalive_s: float) -> Callable[[], asyncio.Protocol]:
    """What makes a connection's protocol, for `loop.create_server`."""
    return lambda: Connection(server, head_s=head_s, keepalive_s=keepalive_s)


def _first_line(message: str | None) -> str:
    """What the parser says, without the bytes that it quotes behind it or below."""
    said = (message or "bad request").partition("\n")[0]
    return _QUOTED.split(said, maxsplit=1)[0].strip().rstrip(":.")
