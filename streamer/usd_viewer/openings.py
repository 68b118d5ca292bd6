"""At most one opening at a time: what is asked for last is opened, and a flood of requests starts few processes."""

from streamer.usd_viewer.fetcher import Network
from streamer.usd_viewer.loaded_stage import LoadedStage
from streamer.usd_viewer.opening import StageOpening
from streamer.usd_viewer.settings import UsdSettings
from streamer.usd_viewer.stage_policy import StageRefused

PACE_S = 0.5
"""Between one beginning and the next, so that requests without end cost a bounded part of the machine."""


class Openings:
    """Of one session. `request`, then `poll` until it brings the outcome."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._current: StageOpening | None = None
        self._wanted: tuple[str, UsdSettings] | None = None
        self._begun_at_s = float("-inf")

    @property
    def uri(self) -> str | None:
        """What is being opened, or waits to be; None for nothing."""
        if self._wanted is not None:
            return self._wanted[0]
        return None if self._current is None else self._current.uri

    @property
    def progress(self) -> tuple[str, float] | None:
        """What the opening does, in words, and how far it is, 0 to 1."""
        return None if self._current is None or self._wanted is not None else self._current.progress

    def request(self, uri: str, settings: UsdSettings, at_s: float) -> None:
        """Open a stage in place of one that is being opened."""
        self._wanted = (uri, settings)
        if self._current is not None:
            self._current.cancel()
        self._begin_wanted(at_s)

    def poll(self, at_s: float) -> tuple[str, LoadedStage | StageRefused] | None:
        """The URI and the outcome of an opening that has come to its end, once."""
        ended = self._current if self._current is not None and self._current.ended else None
        if ended is not None:
            self._current = None
        if self._wanted is not None:
            self._begin_wanted(at_s)
            return None
        return None if ended is None or ended.outcome is None else (ended.uri, ended.outcome)

    def close(self) -> None:
        """End what runs. Idempotent."""
        current, self._current, self._wanted = self._current, None, None
        if current is not None:
            current.close()

    def _begin_wanted(self, at_s: float) -> None:
        if self._wanted is None or self._current is not None or at_s - self._begun_at_s < PACE_S:
            return
        (uri, settings), self._wanted = self._wanted, None
        self._begun_at_s = at_s
        self._current = StageOpening(uri, settings, self._network)
