"""StreamServer: an application behind one TCP signaling port, one UDP media port and a control port."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import dataclass

from aiohttp import web

from streamer import hardware
from streamer.aiortc_patch import remember, show_at_once
from streamer.control import Control
from streamer.encodings import BestEncoders
from streamer.ending import SHUTTING_DOWN, Ending
from streamer.media_port import MediaPort
from streamer.session import BackendSession, Claim
from streamer.settings import StreamSettings
from streamer.signaling import Signaling
from streamer.source import Application

logger = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 0.5


@dataclass(eq=False)
class PortTaken(Exception):
    """Another process holds one of the ports."""

    what: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"The {self.what} port {self.host}:{self.port} is taken by another process."


class StreamServer:
    """Streams one application, for one session at a time, to some viewers.

    `open` binds the ports, `wait` returns the reason when the application failed for good, `close` ends everything.
    """

    def __init__(self, application: Application, settings: StreamSettings) -> None:
        self._application = application
        self._settings = settings
        self._runners: list[web.AppRunner] = []
        self._media = MediaPort(settings.host, settings.media_port)
        self._session: BackendSession | None = None
        self._signaling: Signaling | None = None
        self._search: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[str] | None = None
        self.signaling_port = settings.signaling_port
        self.control_port = settings.control_port

    @property
    def media_port(self) -> int:
        """The bound UDP port."""
        return self._media.address[1]

    @property
    def viewers(self) -> int:
        """How many are there, from their handshake on."""
        return len(self._signaling.viewers) if self._signaling is not None else 0

    @property
    def datagrams_dropped(self) -> int:
        """Datagrams on the media port that no viewer's credentials vouched for."""
        return self._media.dropped

    async def open(self) -> None:
        """Bind and serve. Raises PortTaken, OSError."""
        settings = self._settings
        remember(settings.bitrates_for(settings.video).ceiling)
        show_at_once()
        self._failure = asyncio.get_running_loop().create_future()
        self._open_media()
        self._session = BackendSession(self._application, settings, on_fatal=self._fail)
        self._signaling = Signaling(self._session, self._media, settings)
        self.signaling_port = await self._open_signaling(self._signaling)
        if settings.control_token is None:
            self._session.begin(Claim("standalone", "standalone"), {})
        else:
            control = Control(self._session, self._signaling, settings.control_token)
            self.control_port = await self._open_control(control.application())
        if settings.hardware:
            self._search = asyncio.create_task(self._prefer_hardware(self._session.encoders), name="hardware-search")

    async def wait(self) -> str:
        """Why the application failed, once it has."""
        if self._failure is None:
            raise RuntimeError("the server is not open")
        return await asyncio.shield(self._failure)

    async def close(self, ending: Ending = SHUTTING_DOWN) -> None:
        """End viewers, application and ports. Idempotent; bounded in time."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.wait([self._search])
        if self._signaling is not None:
            await self._signaling.end_viewers(ending)
            await self._signaling.close()
        if self._session is not None:
            await self._session.close()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self._media.close()

    async def _prefer_hardware(self, encoders: BestEncoders) -> None:
        """Software encodes until one is found, so that nobody waits for this."""
        found = await hardware.find()
        if found is not None:
            encoders.prefer(found)

    def _open_media(self) -> None:
        try:
            self._media.open()
        except OSError as error:
            raise _or_taken(error, "media", self._settings.host, self._settings.media_port) from error

    async def _open_signaling(self, signaling: Signaling) -> int:
        try:
            return await signaling.open()
        except OSError as error:
            raise _or_taken(error, "signaling", self._settings.host, self._settings.signaling_port) from error

    async def _open_control(self, app: web.Application) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.control_port).start()
        except OSError as error:
            raise _or_taken(error, "control", self._settings.host, self._settings.control_port) from error
        bound: int = runner.addresses[0][1]
        return bound

    def _fail(self, reason: str) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(reason)


def _or_taken(error: OSError, what: str, host: str, port: int) -> Exception:
    return PortTaken(what, host, port) if error.errno == errno.EADDRINUSE else error
