"""The session that a backend serves: its claim, its viewers, the application behind them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.core.ladder import Rung
from streamer.encodings import BestEncoders, Encodings
from streamer.frames import LatestPicture, Picture
from streamer.inbox import MAX_MESSAGE_BYTES
from streamer.input import InputEvent
from streamer.settings import StreamSettings
from streamer.sound import Block, SharedSound
from streamer.source import Application, Audible, JsonObject, VideoFormat
from streamer.stage_thread import StageThread

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 1.5
_MAX_UNHEARD = 32


class ClaimedByAnother(Exception):
    """The backend serves another session, or has not done with the last one."""


class Watcher(Protocol):
    """A viewer as the session sees it."""

    def send(self, message: str) -> bool:
        """Send an application message; False when it cannot be sent now."""

    def wish(self, video: VideoFormat) -> None:
        """Another format is wished for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the backend belongs to."""

    session_id: str
    secret: str


class BackendSession:
    """One application, one session at a time, some viewers. Loop-bound, except `broadcast`."""

    def __init__(self, application: Application, settings: StreamSettings, *, on_fatal: Callable[[str], None]) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._on_fatal = on_fatal
        self._watchers: dict[str, Watcher] = {}
        self._unheard: deque[str] = deque(maxlen=_MAX_UNHEARD)
        self._rungs: dict[str, Rung] = {}
        self._end_once = asyncio.Lock()
        self._stage = StageThread(
            application,
            settings.video,
            on_picture=self._take_picture,
            on_failure=self._take_failure,
            on_sound=self._take_sound,
        )
        self._rendered = settings.video
        self.video = settings.video
        self.audible = isinstance(application, Audible)
        self.encoders = BestEncoders()
        self.sound = SharedSound()
        self.claim: Claim | None = None
        self.ending = False
        self.pictures = LatestPicture()
        self.encodings = Encodings(
            lambda: self.pictures,
            encoders=self.encoders,
            full_size=lambda: self.video,
            ceiling=lambda: settings.bitrates_for(self.video).ceiling,
        )
        self.last_input_at: float | None = None
        self.frames_sent = 0
        self._stage.run()

    @property
    def events_dropped(self) -> int:
        """Input and messages for which the application had no time."""
        return self._stage.events_dropped

    def begin(self, claim: Claim, arguments: Mapping[str, str]) -> None:
        """Serve this session; the same claim again changes nothing. Raises ClaimedByAnother."""
        if self.claim is not None:
            if self.ending or self.claim.session_id != claim.session_id:
                raise ClaimedByAnother
            self.claim = claim
            return
        self.claim = claim
        self._stage.start(dict(arguments), _SessionOutbox(self, claim.session_id))
        logger.info("serving a session", extra={"session": claim.session_id})

    async def end(self, farewell: Callable[[], Awaitable[None]]) -> None:
        """Take no more viewers, let `farewell` end those that are there, stop the application, be idle. Idempotent.

        An application that does not stop in time is the process's end: nothing else would make it clean.
        """
        async with self._end_once:
            if self.claim is None:
                return
            self.ending = True
            await farewell()
            stopped = asyncio.Event()
            self._stage.stop(lambda: self._call(stopped.set))
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await stopped.wait()
            except TimeoutError:
                self._on_fatal(f"it did not stop within {_STOP_TIMEOUT_S:g} seconds")
                return
            self.ending = False
            self._forget()

    async def close(self) -> None:
        """Stop the application and its thread. Idempotent; bounded in time."""
        await self.encodings.close()
        await self.sound.close()
        if self.claim is not None and not self.ending:
            self._stage.stop(lambda: None)
        await asyncio.to_thread(self._stage.close, _STOP_TIMEOUT_S)

    def join(self, viewer_id: str, watcher: Watcher) -> None:
        """A viewer's media is up."""
        self._watchers[viewer_id] = watcher
        self.stand(viewer_id, self._rungs.get(viewer_id, Rung(1.0, self.video.fps)))
        self._stage.watch(True)

    def leave(self, viewer_id: str) -> None:
        """A viewer is gone. Idempotent."""
        self._stage.forget(viewer_id)
        if self._rungs.pop(viewer_id, None) is not None and self._rungs:
            self._render_as_needed()
        if self._watchers.pop(viewer_id, None) is not None and not self._watchers:
            self._stage.watch(False)

    def catch_up(self, watcher: Watcher) -> None:
        """A viewer can be sent messages now: send those that nobody was there to hear."""
        while self._unheard and watcher.send(self._unheard[0]):
            self._unheard.popleft()

    def resize(self, video: VideoFormat) -> None:
        """This format is wished for from now on."""
        if video != self.video:
            self.video = video
            for watcher in self._watchers.values():
                watcher.wish(video)
            self._render_as_needed()

    def stand(self, viewer_id: str, rung: Rung) -> None:
        """A viewer gets this part of what is wished for; no more is rendered than the one who gets most."""
        self._rungs[viewer_id] = rung
        self._render_as_needed()

    def _render_as_needed(self) -> None:
        scale = max((rung.scale for rung in self._rungs.values()), default=1.0)
        fps = max((min(rung.fps, self.video.fps) for rung in self._rungs.values()), default=self.video.fps)
        video = VideoFormat(_even(self.video.width * scale), _even(self.video.height * scale), fps)
        if video != self._rendered:
            self._rendered = video
            self._stage.resize(video)

    def listen(self) -> None:
        """Somebody began or ceased to listen to the sound."""
        self._stage.listen(self.sound.heard)

    def count_frame(self) -> None:
        """A frame was handed to an encoder."""
        self.frames_sent += 1

    def hear(self, event: InputEvent, viewer_id: str, at: float) -> None:
        """A controller's input; `at` in seconds since the epoch."""
        self.last_input_at = at
        self._stage.hear(event, viewer_id)

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """A controller's application message."""
        self._stage.tell(event_type, payload)

    def broadcast(self, event_type: str, payload: JsonObject) -> None:
        """Send an application message to every viewer. Safe from any thread.

        Raises ValueError, TypeError for what is no JSON of at most 64 KiB.
        """
        message = json.dumps({"event_type": event_type, "payload": payload}, allow_nan=False)
        if len(message) > MAX_MESSAGE_BYTES:
            raise ValueError(f"the message {event_type!r} has more than {MAX_MESSAGE_BYTES} bytes")
        self._call(lambda: self._broadcast(message))

    def notify(self, level: str, message: str) -> None:
        """Tell those viewers who are there; who comes later is not concerned."""
        notice = json.dumps({"event_type": "notice", "payload": {"level": level, "message": message}})
        for watcher in list(self._watchers.values()):
            watcher.send(notice)

    def _broadcast(self, message: str) -> None:
        sent = [watcher.send(message) for watcher in list(self._watchers.values())]
        if not any(sent):
            self._unheard.append(message)

    def _forget(self) -> None:
        self.claim = None
        self.last_input_at = None
        self.frames_sent = 0
        self.pictures = LatestPicture()
        self._unheard.clear()
        self._stage.events_dropped = 0
        self._rungs.clear()
        self.video = self._settings.video
        self._render_as_needed()

    def _take_picture(self, picture: Picture) -> None:
        pictures = self.pictures
        self._call(lambda: pictures.put(picture))

    def _take_sound(self, block: Block) -> None:
        self._call(lambda: self.sound.put(block))

    def _take_failure(self, message: str, fatal: bool) -> None:
        if fatal:
            self._call(lambda: self._on_fatal(message))
        else:
            self.broadcast("notice", {"level": "error", "message": f"The application failed: {message}"})

    def _call(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed, and nobody is left to hear
            self._loop.call_soon_threadsafe(function)


class _SessionOutbox:
    """The outbox of one session: what an application sends after its session's end reaches nobody."""

    def __init__(self, session: BackendSession, session_id: str) -> None:
        self._session = session
        self._session_id = session_id

    def send(self, event_type: str, payload: JsonObject) -> None:
        claim = self._session.claim
        if claim is not None and claim.session_id == self._session_id:
            self._session.broadcast(event_type, payload)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)
