"""The opening of one stage in the background, asked now and then how it stands."""

import threading

from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.scene import Scene
from streamer.usd_viewer.settings import UsdSettings
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused


class StageOpening:
    """Begins at once, in a thread of its own; `close` ends it and its process."""

    def __init__(self, uri: str, settings: UsdSettings) -> None:
        self.uri = uri
        self._settings = settings
        self._prims = 0
        self._load: StageLoad | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._outcome: Scene | StageRefused | None = None
        self._thread = threading.Thread(target=self._run, name="usd-opening")
        self._thread.start()

    @property
    def prims(self) -> int:
        """Prims visited so far."""
        return self._prims

    @property
    def outcome(self) -> Scene | StageRefused | None:
        """The scene, or why there is none; None while neither is known."""
        return self._outcome

    def close(self) -> None:
        """End it, whether or not it has come to its end. Idempotent."""
        with self._lock:
            self._closed = True
            load = self._load
        if load is not None:
            load.cancel()
        self._thread.join()

    def _run(self) -> None:
        try:
            policy = StagePolicy.under(self._settings.root)
            with self._lock:
                if self._closed:
                    return
                self._load = StageLoad(policy, self._settings.limits, self._count)
            self._outcome = self._load.run(self.uri)
        except StageRefused as refused:
            self._outcome = refused
        except OSError as error:
            self._outcome = StageRefused(f"it could not be loaded: {error.strerror}")

    def _count(self, prims: int) -> None:
        self._prims = prims
