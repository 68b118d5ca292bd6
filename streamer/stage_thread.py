"""The application's own thread: hooks and rendering take turns in it, paced by the stream's frame clock."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from streamer.core.timing import StillClock
from streamer.frames import Drawing, Picture, to_planes
from streamer.host_frame import to_host
from streamer.input import InputEvent
from streamer.sound import BLOCK_S, BLOCK_SAMPLES, Block, check_sound
from streamer.source import AnyFrame, Application, Audible, JsonObject, Outbox, VideoFormat

logger = logging.getLogger(__name__)

_MAX_WAITING_EVENTS = 1024
_MAX_RENDER_FAILURES = 30
_TELL_INTERVAL_S = 5.0
_MAX_SOUND_BEHIND_S = 0.2

Job = Callable[[], None]


class StageThread:
    """Runs one application. Its methods may be called from any thread; `on_picture` and `on_failure` are called in it.

    `on_failure` hears of what ends the process (`fatal`), and now and then of errors that viewers should be told.
    """

    def __init__(
        self,
        application: Application,
        video: VideoFormat,
        *,
        on_picture: Callable[[Picture], None],
        on_failure: Callable[[str, bool], None],
        on_sound: Callable[[Block], None] = lambda block: None,
    ) -> None:
        self._application = application
        self._audible = application if isinstance(application, Audible) else None
        self._video = video
        self._on_picture = on_picture
        self._on_failure = on_failure
        self._on_sound = on_sound
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A daemon, so that an application that never returns cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="application", daemon=True)
        self._watched = self._heard = False
        self._sound_due = 0.0
        self._still = StillClock()
        self._number = 0
        self._inputs: dict[str, int] = {}
        self._started_at: float | None = None
        self._last: Picture | None = None
        self._failures = 0
        self._told_at = -_TELL_INTERVAL_S
        self.events_dropped = 0

    def run(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End the thread; an application that does not return within the time is left behind. Blocks."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join(timeout_s)

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin a session."""
        self._jobs.put(lambda: self._start(arguments, outbox))

    def stop(self, done: Callable[[], None]) -> None:
        """End the session; `done` is called in the application's thread."""
        self._jobs.put(lambda: self._stop(done))

    def watch(self, watched: bool) -> None:
        """Render only while somebody watches."""
        self._jobs.put(lambda: self._set_watched(watched))

    def resize(self, video: VideoFormat) -> None:
        """Render in this format from now on."""
        self._jobs.put(lambda: self._resize(video))

    def listen(self, heard: bool) -> None:
        """Ask for sound only while somebody listens."""
        self._jobs.put(lambda: self._set_heard(heard))

    def hear(self, event: InputEvent, viewer: str = "") -> None:
        """Hand a viewer's input event over; dropped and counted when the application does not keep up."""
        self._put_event(lambda: self._take_input(event, viewer))

    def forget(self, viewer: str) -> None:
        """This viewer is gone."""
        self._jobs.put(lambda: self._forget_input(viewer))

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """Hand an application message over; dropped like input."""
        self._put_event(lambda: self._application.on_message(event_type, payload))

    def _put_event(self, job: Job) -> None:
        if self._jobs.qsize() < _MAX_WAITING_EVENTS:
            self._jobs.put(job)
        else:
            self.events_dropped += 1

    # In the thread.

    def _run(self) -> None:
        due = 0.0
        while self._do_jobs(min(due, self._sound_due) if self._sounds else due):
            self._sound(time.monotonic())
            now = time.monotonic()
            if self._renders and now >= due:
                period = 1 / self._video.fps
                due = due + period if now - due < period else now + period
                self._render(now)

    def _do_jobs(self, due: float) -> bool:
        """Do all jobs that wait, so that none grows old behind slow frames; or wait for one until `due`."""
        wait_s = max(0.0, due - time.monotonic()) if self._renders else None
        for turn in range(max(1, self._jobs.qsize())):
            try:
                job = self._jobs.get(timeout=wait_s if turn == 0 else 0)
            except queue.Empty:
                return True
            if job is None:
                return False
            self._do(job)
        return True

    @property
    def _renders(self) -> bool:
        return self._watched and self._started_at is not None

    @property
    def _sounds(self) -> bool:
        return self._heard and self._renders and self._audible is not None

    def _do(self, job: Job) -> None:
        try:
            job()
        except Exception as error:
            self._report(error, "the application failed in a hook")

    def _start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        try:
            self._application.start(arguments, outbox)
        except Exception as error:
            logger.exception("the application could not start")
            self._on_failure(_in_words(error), True)
            return
        self._started_at, self._last, self._failures = time.monotonic(), None, 0
        self._number, self._inputs = 0, {}

    def _stop(self, done: Callable[[], None]) -> None:
        try:
            if self._started_at is not None:
                self._started_at = self._last = None
                self._application.stop()
        finally:
            done()

    def _set_watched(self, watched: bool) -> None:
        self._watched = watched

    def _set_heard(self, heard: bool) -> None:
        self._heard, self._sound_due = heard, 0.0

    def _take_input(self, event: InputEvent, viewer: str) -> None:
        # A new mapping, since pictures that are on their way keep theirs.
        self._inputs = self._inputs | {viewer: max(event.seq, self._inputs.get(viewer, 0))}
        self._application.on_input(event)

    def _forget_input(self, viewer: str) -> None:
        self._inputs = {name: seq for name, seq in self._inputs.items() if name != viewer}

    def _sound(self, now: float) -> None:
        """All blocks of sound that are due: several after a frame that took long, but not those of a long pause."""
        if not self._sounds or self._audible is None or self._started_at is None:
            return
        if now - self._sound_due > _MAX_SOUND_BEHIND_S:
            self._sound_due = now
        while self._sound_due <= now:
            at_s = self._sound_due - self._started_at
            self._sound_due += BLOCK_S
            try:
                sound = self._audible.audio(at_s, BLOCK_SAMPLES)
                if sound is not None:
                    check_sound(sound, BLOCK_SAMPLES)
            except Exception as error:
                self._report(error, "the application failed to sound")
                sound = None
            self._on_sound(Block(sound, at_s))

    def _resize(self, video: VideoFormat) -> None:
        self._video, self._last = video, None

    def _render(self, now: float) -> None:
        assert self._started_at is not None
        at_s = now - self._started_at
        began_at = time.time()
        try:
            frame = self._application.render(self._video, at_s)
            picture = self._picture(frame, at_s, Drawing(began_at, 1000 * (time.monotonic() - now)))
        except Exception as error:
            self._failures += 1
            if self._failures == _MAX_RENDER_FAILURES:
                logger.exception("the application failed to render %d times in a row", self._failures)
                self._on_failure(_in_words(error), True)
                self._started_at = None
            else:
                self._report(error, "the application failed to render")
            return
        self._failures = 0
        if picture is not None:
            self._last = picture
            self._on_picture(picture)

    def _picture(self, frame: AnyFrame | None, at_s: float, drawing: Drawing) -> Picture | None:
        """What is sent on; a frame that still holds only now and then."""
        began, last = time.monotonic(), self._last
        if frame is not None:
            self._still.changed(began)
            self._number += 1
            planes = to_planes(to_host(frame))
        elif last is not None and self._still.due(began):
            planes = last.planes
        else:
            return None
        done = time.monotonic()
        return Picture(
            planes,
            at_s,
            taken_at=done,
            number=self._number,
            asked=self._video,
            repeated=frame is None,
            drawing=replace(drawing, convert_ms=1000 * (done - began), inputs=self._inputs),
        )

    def _report(self, error: Exception, what: str) -> None:
        """Log and tell viewers, but not for each of a thousand events."""
        now = time.monotonic()
        if now - self._told_at >= _TELL_INTERVAL_S:
            self._told_at = now
            logger.error(what, exc_info=error)
            self._on_failure(_in_words(error), False)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
