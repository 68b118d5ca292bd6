"""The session that a backend serves: its claim, its viewers, the application behind them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.frames import LatestPicture, Picture
from streamer.input import InputEvent
from streamer.source import Application, JsonObject, VideoFormat
from streamer.stage_thread import StageThread

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 5.0


class ClaimedByAnother(Exception):
    """The backend serves another session."""


class Watcher(Protocol):
    """A viewer as the session sees it."""

    def send(self, event_type: str, payload: JsonObject) -> None:
        """Send an application message."""

    async def close(self, code: int, reason: str) -> None:
        """End the viewer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the backend belongs to."""

    session_id: str
    secret: str


class BackendSession:
    """One application, one session at a time, some viewers. Loop-bound, except `Outbox.send`."""

    def __init__(self, application: Application, video: VideoFormat, *, on_fatal: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_fatal = on_fatal
        self._watchers: dict[str, Watcher] = {}
        self.video = video
        self.claim: Claim | None = None
        self.pictures = LatestPicture()
        self.last_input_at: float | None = None
        self._stage = StageThread(application, video, on_picture=self._take_picture, on_failure=self._take_failure)
        self._stage.run()

    def begin(self, claim: Claim, arguments: Mapping[str, str]) -> None:
        """Serve this session; the same claim again changes nothing. Raises ClaimedByAnother."""
        if self.claim is not None:
            if self.claim.session_id == claim.session_id:
                self.claim = claim
                return
            raise ClaimedByAnother
        self.claim = claim
        self.last_input_at = None
        self._stage.start(dict(arguments), _SessionOutbox(self))

    async def end(self) -> None:
        """Close the viewers, stop the application, be idle. Idempotent."""
        if self.claim is None:
            return
        await self._close_watchers(4001, "session ended")
        stopped = asyncio.Event()
        self._stage.stop(lambda: self._call(stopped.set))
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await stopped.wait()
        self.claim = None
        self.pictures = LatestPicture()

    async def close(self) -> None:
        """End everything. Idempotent."""
        await self._close_watchers(1012, "the backend is shutting down")
        await asyncio.to_thread(self._stage.close, _STOP_TIMEOUT_S)

    def join(self, viewer_id: str, watcher: Watcher) -> None:
        """A viewer's media is up."""
        self._watchers[viewer_id] = watcher
        self._stage.watch(True)

    def leave(self, viewer_id: str) -> None:
        """A viewer is gone. Idempotent."""
        self._watchers.pop(viewer_id, None)
        if not self._watchers:
            self._stage.watch(False)

    def resize(self, video: VideoFormat) -> None:
        """Render in this format from now on."""
        if video != self.video:
            self.video = video
            self._stage.resize(video)

    def hear(self, event: InputEvent, at: float) -> None:
        """A controller's input; `at` in seconds since the epoch."""
        self.last_input_at = at
        self._stage.hear(event)

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """A controller's application message."""
        self._stage.tell(event_type, payload)

    def broadcast(self, event_type: str, payload: JsonObject) -> None:
        """Send an application message to every viewer. Safe from any thread."""
        self._call(lambda: self._broadcast(event_type, payload))

    def _broadcast(self, event_type: str, payload: JsonObject) -> None:
        for watcher in list(self._watchers.values()):
            watcher.send(event_type, payload)

    async def _close_watchers(self, code: int, reason: str) -> None:
        watchers = list(self._watchers.values())
        await asyncio.gather(*(watcher.close(code, reason) for watcher in watchers))

    def _take_picture(self, picture: Picture) -> None:
        self._call(lambda: self.pictures.put(picture))

    def _take_failure(self, message: str, fatal: bool) -> None:
        self.broadcast("notice", {"level": "error", "message": f"The application failed: {message}"})
        if fatal:
            self._call(lambda: self._on_fatal(message))

    def _call(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)


class _SessionOutbox:
    def __init__(self, session: BackendSession) -> None:
        self._session = session

    def send(self, event_type: str, payload: JsonObject) -> None:
        self._session.broadcast(event_type, payload)
