"""One stage as its viewers see it: where they stand, what they selected, what time it is. Knows no renderer."""

from enum import Enum, auto

from streamer.input import InputEvent, Key, Modifiers
from streamer.usd_viewer.camera import Bounds, UpAxis
from streamer.usd_viewer.clicks import Click, Clicks
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.playback import Playback
from streamer.usd_viewer.scene import Scene, Timeline
from streamer.usd_viewer.selection import Selection


class Change(Enum):
    """What input changed that viewers' pages should hear of."""

    TIMELINE = auto()
    OPTIONS = auto()
    SELECTION = auto()


class StageView:
    """Input and time go in; clicks and wishes to frame prims wait for whoever draws, in `take_wishes`."""

    def __init__(self, scene: Scene | None) -> None:
        self.scene = scene
        self.navigator = (
            Navigator(Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)), UpAxis.Y) if scene is None else Navigator.of(scene)
        )
        self.playback = Playback(Timeline() if scene is None else scene.timeline)
        self.selection = Selection()
        self.turntable = False
        self.wireframe = False
        self._click: Click | None = None
        self._framing: tuple[str, ...] | None = None
        self._clicks = Clicks()

    def handle(self, event: InputEvent) -> Change | None:
        """Do what an event asks for; what of it viewers should hear."""
        if isinstance(event, Key):
            return self._press(event) if event.down else None
        # Of several clicks between two pictures only the last is of use.
        self._click = self._clicks.take(event) or self._click
        self.navigator.handle(event)
        return None

    def advance(self, seconds: float) -> Change | None:
        """Time goes by."""
        if self.turntable:
            self.navigator.turn(seconds)
        return Change.TIMELINE if self.playback.advance(seconds) else None

    def reset(self) -> None:
        """Go back to how the stage was opened; the selection stays, as Kit has it."""
        self.navigator.reset()
        self.playback.go_to(0.0)
        self.turntable = False

    def ask_framing(self, paths: tuple[str, ...] | None) -> None:
        """Frame these prims with the next picture; what is selected for None, everything where that is nothing."""
        self._framing = (self.selection.paths if paths is None else paths) or ("/",)

    def take_wishes(self) -> tuple[Click | None, tuple[str, ...] | None]:
        """The click and the prims to frame that wait, once."""
        wishes = self._click, self._framing
        self._click = self._framing = None
        return wishes

    def set_options(self, turntable: bool | None, wireframe: bool | None) -> None:
        """Switch; None leaves as it is."""
        self.turntable = self.turntable if turntable is None else turntable
        self.wireframe = self.wireframe if wireframe is None else wireframe

    def options(self) -> dict[str, bool]:
        """As `viewOptionsChanged` tells them."""
        return {"turntable": self.turntable, "wireframe": self.wireframe}

    def _press(self, key: Key) -> Change | None:
        if key.modifiers & (Modifiers.CONTROL | Modifiers.ALT | Modifiers.META):
            return None
        match key.key:
            case "," | ".":
                self.playback.step(1 if key.key == "." else -1)
                return Change.TIMELINE
            case "f" | "F" if self.selection.paths:
                self.ask_framing(None)
            case "f" | "F":
                self.navigator.frame_all()
            case _ if not key.repeat:
                return self._press_once(key)
            case _:
                self.navigator.handle(key)
        return None

    def _press_once(self, key: Key) -> Change | None:
        match key.key:
            case " ":
                self.playback.playing = not self.playback.playing
                return Change.TIMELINE
            case "t" | "T":
                self.turntable = not self.turntable
                return Change.OPTIONS
            case "w" | "W":
                self.wireframe = not self.wireframe
                return Change.OPTIONS
            case "Escape":
                changed = self.selection.click(None, toggle=False)
                return Change.SELECTION if changed else None
            case _:
                self.navigator.handle(key)
                return None
