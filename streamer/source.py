"""What a GPU developer writes: an application that renders frames and hears input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import av
import numpy as np
import numpy.typing as npt

from streamer.input import InputEvent

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

Frame: TypeAlias = npt.NDArray[np.uint8]
"""A picture: shape (height, width, 3), RGB, of any strides."""

Sound: TypeAlias = npt.NDArray[np.int16]
"""Sound: shape (samples, 2), left and right, 48,000 samples a second."""


class CudaBuffer(Protocol):
    """A picture in a GPU's memory: uint8 of shape (height, width, 3) or (height, width, 4), rows from top to bottom."""

    @property
    def __cuda_array_interface__(self) -> Mapping[str, object]:
        """As CuPy, PyTorch and Numba have it (version 3)."""


class DLPackBuffer(Protocol):
    """A picture wherever its maker keeps it; shape and type as for `CudaBuffer`."""

    def __dlpack__(self, *, stream: object = None) -> object:
        """As the array API has it."""

    def __dlpack_device__(self) -> tuple[object, object]:
        """Where the memory is."""


AnyFrame: TypeAlias = Frame | CudaBuffer | DLPackBuffer | av.VideoFrame
"""Whatever `render` may return; alpha is ignored. What each costs is in docs/streaming-backend.md."""


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

    def render(self, video: VideoFormat, at_s: float) -> AnyFrame | None:
        """The picture `at_s` seconds into the session; None when the last one still holds.

        Called only while somebody watches. The array may be used until the next call returns another.
        """

    def on_input(self, event: InputEvent) -> None:
        """A controller pointed, clicked, turned the wheel or pressed a key."""

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        """A controller's page sent a message."""

    def stop(self) -> None:
        """The session is over: be as before `start`."""


@runtime_checkable
class Audible(Protocol):
    """What an application has besides when it can be heard. Called in the same thread as the rest."""

    def audio(self, at_s: float, samples: int) -> Sound | None:
        """What sounds from `at_s` seconds into the session on, so many samples; None for silence.

        Called every 20 ms while somebody listens; `at_s` is on the clock of `render`.
        """
