"""What a GPU developer writes: an application that renders frames and hears input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from streamer.input import InputEvent

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

Frame: TypeAlias = npt.NDArray[np.uint8]
"""A picture: shape (height, width, 3), RGB, of any strides."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Size in pixels (both even) and frames per second."""

    width: int
    height: int
    fps: int


class Outbox(Protocol):
    """Where an application's messages to its viewers go. Safe to use from any thread."""

    def send(self, event_type: str, payload: JsonObject) -> None:
        """Send `{event_type, payload}` to every viewer; dropped and counted for one who does not keep up."""


@runtime_checkable
class Application(Protocol):
    """An application that is streamed.

    All of this is called in one thread that is the application's own: never on the event loop, never two at a time.
    What raises in `start` ends the process; what raises elsewhere is logged and told to viewers.
    """

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """A session begins."""

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        """The picture `at_s` seconds into the session; None when the last one still holds.

        Called only while somebody watches. The array may be used until the next call returns another.
        """

    def on_input(self, event: InputEvent) -> None:
        """A controller pointed, clicked, turned the wheel or pressed a key."""

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """A controller's page sent a message."""

    def stop(self) -> None:
        """The session is over: be as before `start`."""
