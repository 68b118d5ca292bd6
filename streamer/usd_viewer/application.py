"""The application `usd-viewer`: opens stages in the background, draws them and lets viewers move about."""

import os
from collections.abc import Mapping

from streamer.input import InputEvent
from streamer.source import Frame, JsonObject, Outbox, VideoFormat
from streamer.usd_viewer.egl import require_egl
from streamer.usd_viewer.fetcher import Network
from streamer.usd_viewer.session import ViewerSession
from streamer.usd_viewer.settings import UsdSettings, settings_from


class UsdViewer:
    """A streamed application (`streamer.source.Application`); its settings come from the environment unless given."""

    def __init__(self, settings: UsdSettings | None = None, *, network: Network | None = None) -> None:
        self._settings = settings
        self._network = network or Network()
        self._session: ViewerSession | None = None

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        """Begin to open the stage that the argument `usd_stage_uri` names. Without one it is the sample.

        NoGraphics where nothing can be drawn, BadSettings for a wrong environment variable.
        """
        settings = self._settings or settings_from(os.environ)
        require_egl()
        self._session = ViewerSession(settings, self._network, outbox)
        self._session.open(arguments.get("usd_stage_uri"))

    def render(self, video: VideoFormat, at_s: float) -> Frame | None:
        """The picture, or None while nothing changes."""
        return self._session.render(video, at_s) if self._session else None

    def on_input(self, event: InputEvent) -> None:
        """Move the camera, the time or the selection."""
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
