"""One session of the USD viewer: opens stages, shows one, draws what is to be seen."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.input import InputEvent
from streamer.source import Frame, JsonObject, Outbox, VideoFormat
from streamer.usd_viewer.backdrop import waiting_picture
from streamer.usd_viewer.camera import Camera
from streamer.usd_viewer.conversation import Conversation
from streamer.usd_viewer.fetcher import Network
from streamer.usd_viewer.loaded_stage import LoadedStage
from streamer.usd_viewer.openings import Openings
from streamer.usd_viewer.progress import Progress
from streamer.usd_viewer.quality import Quality
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, UsdSettings
from streamer.usd_viewer.stage_policy import StageRefused
from streamer.usd_viewer.stage_view import Change, StageView
from streamer.usd_viewer.web_policy import shown_url

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
    selected: tuple[str, ...]
    wireframe: bool


class ViewerSession:
    """At most one stage shown and one being opened. Everything happens in one thread."""

    def __init__(self, settings: UsdSettings, network: Network, outbox: Outbox) -> None:
        self._settings = settings
        self._openings = Openings(network)
        self._progress = Progress(outbox)
        self._conversation = Conversation(outbox, open_stage=self.open, opening=lambda: self._openings.uri)
        self._view = StageView(None)
        self._scenes = 0
        self._caption = ("", "")
        self._caption_until_s: float | None = None
        self._at_s = 0.0
        self._quality = Quality()
        self._shown: _Shown | None = None
        self._renderer: Renderer | None = None
        # VTK takes a while to import; the waiting picture is streamed meanwhile.
        self._graphics = threading.Thread(target=_import_graphics, name="usd-graphics-import")
        self._graphics.start()

    def open(self, url: str | None) -> None:
        """Begin to open a stage, in place of one that is being opened; the sample where none is named."""
        settings = self._settings if url is not None else replace(self._settings, root=SAMPLES)
        url = SAMPLE_STAGE if url is None else url
        self._openings.request(url, settings, self._at_s)
        logger.info("opening stage %s", shown_url(url))

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        """The picture, or None while nothing changes."""
        elapsed_s, self._at_s = max(at_s - self._at_s, 0.0), at_s
        self._adopt()
        self._conversation.answer()
        self._conversation.tell(self._view.advance(elapsed_s))
        waiting = self._view.scene is None and self._openings.uri is not None
        if waiting or self._graphics.is_alive():
            self._shown = None
            return waiting_picture(video.width, video.height, at_s)
        if self._caption_until_s is not None and at_s >= self._caption_until_s:
            self._say("", "", None)
        self._view.navigator.set_aspect(video.width / video.height)
        self._point()
        wanted = self._wanted(video)
        fine = self._quality.wants(
            changed=wanted != self._shown, still_before=self._by_itself(wanted), at_s=at_s, fps=video.fps
        )
        return None if fine is None else self._draw(wanted, fine=fine)

    def on_input(self, event: InputEvent) -> None:
        """Move the camera, the time or the selection."""
        self._conversation.tell(self._view.handle(event))

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """Do what a message asks for."""
        self._conversation.take(event_type, payload)

    def close(self) -> None:
        """End everything that the session holds. Idempotent."""
        self._openings.close()
        self._graphics.join()
        if self._renderer:
            self._renderer.close()
            self._renderer = None
        if dropped := self._conversation.dropped:
            logger.info("messages dropped: %s", ", ".join(f"{count} {cause}" for cause, count in dropped.items()))
            dropped.clear()

    def _adopt(self) -> None:
        """Take over what the opening has brought."""
        ended = self._openings.poll(self._at_s)
        if ended is None:
            if told := self._openings.progress:
                self._progress.tell(*told)
            return
        self._progress.end()
        url, outcome = ended
        if isinstance(outcome, StageRefused):
            self._refuse(url, outcome.reason)
        else:
            self._show(url, outcome)

    def _show(self, url: str, stage: LoadedStage) -> None:
        scene = stage.scene
        self._view = StageView(scene)
        self._scenes += 1
        self._say("", "", None)
        logger.info("opened stage %s: %d prims, %d triangles", shown_url(url), scene.prims, scene.triangles)
        self._conversation.turn_to(url, self._view, stage.tree)
        if not scene.batches:
            self._say("This stage is empty", "It holds nothing that can be drawn.", None)
        if scene.omissions:
            told = "; ".join(scene.omissions)
            logger.warning("of stage %s not all is drawn: %s", shown_url(url), told)
            self._conversation.notify("warning", f"Not drawn as it is meant: {told}")

    def _refuse(self, url: str, reason: str) -> None:
        shown = shown_url(url)
        logger.warning("stage %s is not opened: %s", shown, reason)
        self._conversation.tell_result(url, reason)
        self._conversation.notify("error", f"{shown or 'The stage'} cannot be opened: {reason}")
        self._say("This stage cannot be opened", reason, self._at_s + CAPTION_S if self._view.scene else None)

    def _say(self, title: str, text: str, until_s: float | None) -> None:
        self._caption, self._caption_until_s = (title, text), until_s

    def _point(self) -> None:
        """Do what needs the picture that is seen: select what was clicked, frame what was asked for."""
        click, framing = self._view.take_wishes()
        renderer = self._renderer if self._shown is not None and self._shown.scene == self._scenes else None
        if click is not None and renderer is not None:
            hit = renderer.pick(click.x, click.y)
            if self._view.selection.click(hit, toggle=click.toggle):
                self._conversation.tell(Change.SELECTION)
        if framing is not None:
            bounds = renderer.bounds_of(framing) if renderer is not None else None
            if bounds is not None:
                self._view.navigator.frame_box(bounds)
            self._conversation.tell_framed("" if bounds is not None else "nothing is drawn of these prims")

    def _wanted(self, video: VideoFormat) -> _Shown:
        view = self._view
        return _Shown(
            video,
            view.navigator.camera,
            view.playback.frame,
            self._caption,
            self._scenes,
            view.selection.paths,
            view.wireframe,
        )

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
            self._renderer.show(self._view.scene)
        self._renderer.say(*wanted.caption)
        self._renderer.wireframe(wanted.wireframe)
        self._renderer.outline(wanted.selected)
        self._shown = wanted
        video = wanted.video
        coarse = self._quality.coarse and not fine
        picture = self._renderer.draw(wanted.camera, wanted.frame, video.width, video.height, fine=fine, coarse=coarse)
        self._quality.took(time.perf_counter() - begun, fine=fine, fps=video.fps)
        return picture


def _import_graphics() -> None:
    import streamer.usd_viewer.renderer  # noqa: F401
