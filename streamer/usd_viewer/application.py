"""The application `usd-viewer`: opens stages in the background, draws them and lets viewers move about."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.input import InputEvent, Key
from streamer.source import Frame, JsonObject, Outbox, VideoFormat
from streamer.usd_viewer.backdrop import waiting_picture
from streamer.usd_viewer.camera import Bounds, Camera, UpAxis
from streamer.usd_viewer.egl import require_egl
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.opening import StageOpening
from streamer.usd_viewer.quality import Quality
from streamer.usd_viewer.scene import Scene
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, UsdSettings, settings_from
from streamer.usd_viewer.stage_policy import StageRefused, shorten

if TYPE_CHECKING:
    from streamer.usd_viewer.renderer import Renderer

logger = logging.getLogger(__name__)

CAPTION_S = 8.0
"""How long a refusal stands over a scene that stays."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """Everything that tells one picture from another."""

    video: VideoFormat
    camera: Camera
    frame: int
    caption: tuple[str, str]
    scene: int


class UsdViewer:
    """A streamed application (`streamer.source.Application`); its settings come from the environment unless given."""

    def __init__(self, settings: UsdSettings | None = None) -> None:
        self._settings = settings
        self._session: _Session | None = None

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin to open the stage that the argument `usd_stage_uri` names. Without one it is the sample.

        NoGraphics where nothing can be drawn, BadSettings for a wrong environment variable.
        """
        settings = self._settings or settings_from(os.environ)
        require_egl()
        self._session = _Session(settings, outbox)
        self._session.open(arguments.get("usd_stage_uri"))

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        """The picture, or None while nothing changes."""
        return self._session.render(video, at_s) if self._session else None

    def on_input(self, event: InputEvent) -> None:
        """Move the camera."""
        if self._session:
            self._session.on_input(event)

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Answer the messages of docs/protocol.md §2."""
        if self._session:
            self._session.on_message(event_type, payload)

    def stop(self) -> None:
        """Close the stage, end its loading and give the renderer back."""
        session, self._session = self._session, None
        if session:
            session.close()


class _Session:
    """One session: at most one stage shown and one being opened."""

    def __init__(self, settings: UsdSettings, outbox: Outbox) -> None:
        self._settings = settings
        self._outbox = outbox
        self._opening: StageOpening | None = None
        self._told_prims = 0
        self._url = ""
        self._scene: Scene | None = None
        self._scenes = 0
        self._navigator = Navigator(Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)), UpAxis.Y)
        self._caption = ("", "")
        self._caption_until_s: float | None = None
        self._playing = True
        self._played_s = 0.0
        self._last_at_s = 0.0
        self._quality = Quality()
        self._shown: _Shown | None = None
        self._renderer: Renderer | None = None
        # VTK takes a while to import; the waiting picture is streamed meanwhile.
        self._graphics = threading.Thread(target=_import_graphics, name="usd-graphics-import")
        self._graphics.start()

    def open(self, url: str | None) -> None:
        """Begin to open a stage, in place of one that is being opened; the sample where none is named."""
        if self._opening:
            self._opening.close()
        settings = self._settings
        if url is None:
            settings = replace(settings, root=SAMPLES)
        self._told_prims = 0
        self._opening = StageOpening(SAMPLE_STAGE if url is None else url, settings)
        logger.info("opening stage %s", shorten(self._opening.uri))

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        """The picture, or None while nothing changes."""
        self._adopt(at_s)
        self._play(at_s)
        waiting = self._scene is None and self._opening is not None
        if waiting or self._graphics.is_alive():
            self._shown = None
            return waiting_picture(video.width, video.height, at_s)
        if self._caption_until_s is not None and at_s >= self._caption_until_s:
            self._say("", "", None)
        self._navigator.set_aspect(video.width / video.height)
        wanted = _Shown(video, self._navigator.camera, self._frame(), self._caption, self._scenes)
        fine = self._quality.wants(
            changed=wanted != self._shown, still_before=self._by_itself(wanted), at_s=at_s, fps=video.fps
        )
        return None if fine is None else self._draw(wanted, fine=fine)

    def on_input(self, event: InputEvent) -> None:
        """Move the camera; space stops and plays."""
        if isinstance(event, Key) and event.down and event.key == " " and not event.repeat:
            self._playing = not self._playing
        else:
            self._navigator.handle(event)

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Answer a message."""
        match event_type:
            case "openStageRequest":
                url = payload.get("url")
                if isinstance(url, str):
                    self.open(url)
                else:
                    self._refuse("", "openStageRequest names no url", self._last_at_s)
            case "loadingStateQuery":
                state = "busy" if self._opening else "idle"
                url = self._opening.uri if self._opening else self._url
                self._outbox.send("loadingStateResponse", {"loading_state": state, "url": url})
            case "resetStage":
                self._navigator.reset()
                self._played_s = 0.0
            case _:
                logger.debug("a message of another application: %s", shorten(event_type))

    def close(self) -> None:
        """End everything that the session holds. Idempotent."""
        if self._opening:
            self._opening.close()
            self._opening = None
        self._graphics.join()
        if self._renderer:
            self._renderer.close()
            self._renderer = None

    def _adopt(self, at_s: float) -> None:
        """Take over what the opening has brought."""
        opening = self._opening
        if opening is None:
            return
        if opening.prims != self._told_prims:
            self._told_prims = opening.prims
            self._outbox.send("updateProgressActivity", {"text": f"{opening.prims:,} prims read"})
        outcome = opening.outcome
        if outcome is None:
            return
        opening.close()
        self._opening = None
        if isinstance(outcome, StageRefused):
            self._refuse(opening.uri, outcome.reason, at_s)
        else:
            self._show(opening.uri, outcome)

    def _show(self, url: str, scene: Scene) -> None:
        self._url, self._scene = url, scene
        self._scenes += 1
        self._navigator = Navigator.of(scene)
        self._played_s = 0.0
        self._say("", "", None)
        logger.info("opened stage %s: %d prims, %d triangles", shorten(url), scene.prims, scene.triangles)
        self._outbox.send("openedStageResult", {"result": "success", "url": url, "error": ""})
        if not scene.batches:
            self._say("This stage is empty", "It holds nothing that can be drawn.", None)
        if scene.omissions:
            told = "; ".join(scene.omissions)
            logger.warning("of stage %s not all is drawn: %s", shorten(url), told)
            self._outbox.send("notice", {"level": "warning", "message": f"Not drawn as it is meant: {told}"})

    def _refuse(self, url: str, reason: str, at_s: float) -> None:
        logger.warning("stage %s is not opened: %s", shorten(url), reason)
        message = f"{shorten(url) or 'The stage'} cannot be opened: {reason}"
        self._outbox.send("openedStageResult", {"result": "error", "url": url, "error": reason})
        self._outbox.send("notice", {"level": "error", "message": message})
        self._say("This stage cannot be opened", reason, at_s + CAPTION_S if self._scene else None)

    def _say(self, title: str, text: str, until_s: float | None) -> None:
        self._caption, self._caption_until_s = (title, text), until_s

    def _play(self, at_s: float) -> None:
        if self._playing:
            self._played_s += max(at_s - self._last_at_s, 0.0)
        self._last_at_s = at_s

    def _frame(self) -> int:
        timeline = self._scene.timeline if self._scene else None
        return int(self._played_s * timeline.frames_per_second) % timeline.frames if timeline else 0

    def _by_itself(self, wanted: _Shown) -> bool:
        """Whether what changed is another scene, message or size, not a movement."""
        last = self._shown
        return last is None or (last.scene, last.caption, last.video) != (wanted.scene, wanted.caption, wanted.video)

    def _draw(self, wanted: _Shown, *, fine: bool) -> Frame:
        begun = time.perf_counter()
        if self._renderer is None:
            from streamer.usd_viewer.renderer import Renderer

            self._renderer = Renderer()
        if self._shown is None or self._shown.scene != wanted.scene:
            self._renderer.show(self._scene)
        self._renderer.say(*wanted.caption)
        self._shown = wanted
        video = wanted.video
        picture = self._renderer.draw(wanted.camera, wanted.frame, video.width, video.height, fine=fine)
        self._quality.took(time.perf_counter() - begun, fine=fine)
        return picture


def _import_graphics() -> None:
    import streamer.usd_viewer.renderer  # noqa: F401
