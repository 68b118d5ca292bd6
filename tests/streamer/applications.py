"""Small applications that tests stream."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from streamer.input import InputEvent
from streamer.source import Frame, JsonObject, Outbox, VideoFormat


class Recorder:
    """Shows grey, remembers what was asked of it; where a hook is given, that runs instead."""

    def __init__(self, **hooks: Callable[..., object]) -> None:
        self._hooks = hooks
        self.calls: list[tuple[str, object]] = []
        self.threads: set[str] = set()
        self.outbox: Outbox | None = None
        self._inside = 0

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        self.outbox = outbox
        self._note("start", dict(arguments))

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        self._note("render", video)
        if "picture" in self._hooks:
            return self._hooks["picture"](video)  # type: ignore[return-value]
        return np.full((video.height, video.width, 3), 128, dtype=np.uint8)

    def on_input(self, event: InputEvent) -> None:
        self._note("on_input", event)

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        self._note("on_message", (event_type, payload))

    def stop(self) -> None:
        self._note("stop", None)

    def of(self, name: str) -> list[object]:
        """What the calls of this hook were given."""
        return [argument for called, argument in self.calls if called == name]

    def _note(self, name: str, argument: object) -> None:
        assert self._inside == 0, "two hooks at a time"
        self._inside += 1
        try:
            self.threads.add(threading.current_thread().name)
            self.calls.append((name, argument))
            if name in self._hooks:
                self._hooks[name]()
        finally:
            self._inside -= 1
