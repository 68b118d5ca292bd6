"""The application's own thread: hooks and rendering take turns in it, paced by the stream's frame clock."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping

from streamer.frames import Picture, to_planes
from streamer.input import InputEvent
from streamer.source import Application, Frame, JsonObject, Outbox, VideoFormat

logger = logging.getLogger(__name__)

_MAX_JOBS = 1024
_MAX_RENDER_FAILURES = 30

Job = Callable[[], None]


class StageThread:
    """Runs one application. Its methods may be called from any thread; `on_picture` and `on_failure` are called in it.

    `on_failure` hears of what ends the process (`fatal`), and of errors that viewers should be told.
    """

    def __init__(
        self,
        application: Application,
        video: VideoFormat,
        *,
        on_picture: Callable[[Picture], None],
        on_failure: Callable[[str, bool], None],
    ) -> None:
        self._application = application
        self._video = video
        self._on_picture = on_picture
        self._on_failure = on_failure
        self._jobs: queue.Queue[Job | None] = queue.Queue(_MAX_JOBS)
        self._thread = threading.Thread(target=self._run, name="application", daemon=True)
        self._watched = False
        self._started_at: float | None = None
        self._last: Picture | None = None
        self._failures = 0
        self.jobs_dropped = 0

    def run(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End the thread; an application that does not return within the time is left behind."""
        if self._thread.is_alive():
            self._put(None)
            self._thread.join(timeout_s)

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin a session."""
        self._put(lambda: self._start(arguments, outbox))

    def stop(self, done: Callable[[], None]) -> None:
        """End the session; `done` is called in the application's thread."""
        self._put(lambda: self._stop(done))

    def watch(self, watched: bool) -> None:
        """Render only while somebody watches."""
        self._put(lambda: self._set_watched(watched))

    def hear(self, event: InputEvent) -> None:
        """Hand an input event over; dropped and counted when the application does not keep up."""
        self._put(lambda: self._application.on_input(event))

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """Hand an application message over; dropped like input."""
        self._put(lambda: self._application.on_message(event_type, payload))

    def resize(self, video: VideoFormat) -> None:
        """Render in this format from now on."""

        def change() -> None:
            self._video, self._last = video, None

        self._put(change)

    def _put(self, job: Job | None) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.jobs_dropped += 1

    # In the thread.

    def _run(self) -> None:
        due = 0.0
        while True:
            wait_s = max(0.0, due - time.monotonic()) if self._renders else None
            job = self._next_job(wait_s)
            if job is None:
                return
            if job is not _nothing:
                self._do(job)
            now = time.monotonic()
            if self._renders and now >= due:
                period = 1 / self._video.fps
                due = due + period if now - due < period else now + period
                self._render(now)

    @property
    def _renders(self) -> bool:
        return self._watched and self._started_at is not None

    def _next_job(self, wait_s: float | None) -> Job | None:
        try:
            return self._jobs.get(timeout=wait_s) if wait_s is None or wait_s > 0 else self._jobs.get_nowait()
        except queue.Empty:
            return _nothing

    def _do(self, job: Job) -> None:
        try:
            job()
        except Exception as error:
            logger.exception("the application failed in a hook")
            self._on_failure(_in_words(error), False)

    def _start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        try:
            self._application.start(arguments, outbox)
        except Exception as error:
            logger.exception("the application could not start")
            self._on_failure(_in_words(error), True)
            return
        self._started_at, self._last, self._failures = time.monotonic(), None, 0

    def _stop(self, done: Callable[[], None]) -> None:
        try:
            if self._started_at is not None:
                self._started_at = self._last = None
                self._application.stop()
        finally:
            done()

    def _set_watched(self, watched: bool) -> None:
        self._watched = watched

    def _render(self, now: float) -> None:
        assert self._started_at is not None
        at_s = now - self._started_at
        try:
            frame = self._application.render(self._video, at_s)
            picture = self._picture(frame, at_s)
        except Exception as error:
            logger.exception("the application failed to render")
            self._failures += 1
            fatal = self._failures >= _MAX_RENDER_FAILURES
            if self._failures == 1 or fatal:
                self._on_failure(_in_words(error), fatal)
            return
        self._failures = 0
        if picture is not None:
            self._last = picture
            self._on_picture(picture)

    def _picture(self, frame: Frame | None, at_s: float) -> Picture | None:
        if frame is None:
            return None if self._last is None else Picture(self._last.planes, at_s)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != "uint8" or frame.shape[0] % 2 or frame.shape[1] % 2:
            raise ValueError(
                f"a frame is an array of uint8 and shape (height, width, 3), both even; "
                f"this one is {frame.dtype} {frame.shape}"
            )
        return Picture(to_planes(frame), at_s)


def _nothing() -> None:
    """The job of a turn in which only a frame is due."""


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
