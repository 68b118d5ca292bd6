"""The USD viewer as a session sees it, with an outbox that keeps what is sent and a clock that the test moves."""

import threading
import time
from pathlib import Path

from streamer.input import Key, Modifiers, PointerButton, PointerMove
from streamer.source import Frame, Json, JsonObject, VideoFormat
from streamer.usd_viewer.application import UsdViewer
from streamer.usd_viewer.fetcher import Network
from streamer.usd_viewer.quality import SETTLE_S
from streamer.usd_viewer.settings import LoadLimits, UsdSettings
from streamer.usd_viewer.web_policy import WebPolicy

VIDEO = VideoFormat(160, 120, 30)
NONE = Modifiers(0)
LIMITS = LoadLimits(wall_s=20.0, memory_bytes=2 * 2**30)


class Outbox:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, JsonObject]] = []

    def send(self, event_type: str, payload: JsonObject) -> None:
        self.sent.append((event_type, payload))

    def of(self, event_type: str) -> list[JsonObject]:
        return [payload for sent_type, payload in self.sent if sent_type == event_type]


class Session:
    """A viewer application with a clock that the test moves."""

    def __init__(
        self, root: Path, *, limits: LoadLimits = LIMITS, web: WebPolicy | None = None, network: Network | None = None
    ) -> None:
        self.outbox = Outbox()
        self.viewer = UsdViewer(UsdSettings(root, limits, web or WebPolicy()), network=network)
        self.at_s = 0.0
        self.last: Frame | None = None

    def start(self, uri: str | None) -> None:
        self.viewer.start({} if uri is None else {"usd_stage_uri": uri}, self.outbox)

    def step(self, seconds: float = 1 / 30) -> Frame | None:
        self.at_s += seconds
        frame = self.viewer.render(VIDEO, self.at_s)
        frame = None if frame is None else frame[..., :3]
        self.last = self.last if frame is None else frame
        return frame

    def results(self, count: int, *, within_s: float = 20.0) -> list[JsonObject]:
        """What became of the first `count` openings."""
        deadline = time.monotonic() + within_s
        while len(self.outbox.of("openedStageResult")) < count:
            assert time.monotonic() < deadline
            self.step()
            time.sleep(0.01)
        deadline = time.monotonic() + 10
        while any(thread.name == "usd-graphics-import" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self.outbox.of("openedStageResult")

    def settled(self) -> Frame:
        """The picture once it rests."""
        self.step()
        self.step(SETTLE_S * 2)
        assert self.last is not None
        return self.last

    def drag(self, *, buttons: int = 1) -> None:
        self.viewer.on_input(PointerButton(True, 0.5, 0.5, 0, buttons, NONE, 1))
        self.viewer.on_input(PointerMove(0.7, 0.55, buttons, NONE, 2))
        self.viewer.on_input(PointerButton(False, 0.7, 0.55, 0, 0, NONE, 3))

    def click(self, x: float, y: float, modifiers: Modifiers = NONE) -> None:
        self.viewer.on_input(PointerButton(True, x, y, 0, 1, modifiers, 1))
        self.viewer.on_input(PointerButton(False, x, y, 0, 0, modifiers, 2))
        self.step()

    def press(self, key: str, modifiers: Modifiers = NONE) -> None:
        self.viewer.on_input(Key(True, "", key, False, modifiers, 1))
        self.viewer.on_input(Key(False, "", key, False, modifiers, 2))

    def tell(self, event_type: str, **payload: Json) -> None:
        self.viewer.on_message(event_type, payload)
        self.step()

    def told(self, event_type: str) -> JsonObject:
        """The last message of this type."""
        return self.outbox.of(event_type)[-1]
