"""The opening of one stage in the background, asked now and then how it stands."""

import logging
import tempfile
import threading
from pathlib import Path

from streamer.usd_viewer.fetcher import Network, StageFetch
from streamer.usd_viewer.loaded_stage import LoadedStage
from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.settings import UsdSettings
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused
from streamer.usd_viewer.web_policy import is_web

logger = logging.getLogger(__name__)

_FETCHED = 0.5
"""How far an opening is once its file has come from the web."""


class StageOpening:
    """Begins at once, in a thread of its own; `close` ends it and its process."""

    def __init__(self, uri: str, settings: UsdSettings, network: Network) -> None:
        self.uri = uri
        self._settings = settings
        self._network = network
        self._activity, self._amount = "Opening the stage", 0.0
        self._part: StageLoad | StageFetch | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._outcome: LoadedStage | StageRefused | None = None
        self._thread = threading.Thread(target=self._run, name="usd-opening")
        self._thread.start()

    @property
    def progress(self) -> tuple[str, float]:
        """What is being done, in words, and how far it is, 0 to 1."""
        return self._activity, self._amount

    @property
    def outcome(self) -> LoadedStage | StageRefused | None:
        """The stage, or why there is none; None while neither is known."""
        return self._outcome

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Break it off without waiting for its end. Idempotent."""
        with self._lock:
            self._cancelled = True
            if self._part is not None:
                self._part.cancel()

    def close(self) -> None:
        """End it, whether or not it has come to its end. Idempotent."""
        self.cancel()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._outcome = self._open()
        except StageRefused as refused:
            self._outcome = refused
        except OSError as error:
            self._outcome = StageRefused(f"it could not be loaded: {error.strerror}")
        except Exception:
            logger.exception("a stage could not be opened")
            self._outcome = StageRefused("it could not be loaded")

    def _open(self) -> LoadedStage:
        if not is_web(self.uri):
            return self._load(StagePolicy.under(self._settings.root), self.uri)
        with tempfile.TemporaryDirectory(prefix="pixelferry-stage-") as folder:
            file = self._fetch(Path(folder))
            return self._load(StagePolicy.for_file(file), file.name)

    def _fetch(self, folder: Path) -> Path:
        limits = self._settings.limits
        fetch = StageFetch(self._settings.web, self._network, limits.fetch_bytes, limits.wall_s, self._count_bytes)
        self._begin(fetch)
        return fetch.run(self.uri, folder)

    def _load(self, policy: StagePolicy, uri: str) -> LoadedStage:
        load = StageLoad(policy, self._settings.limits, self._count_prims)
        self._begin(load)
        return load.run(uri)

    def _begin(self, part: StageLoad | StageFetch) -> None:
        with self._lock:
            self._part = part
            if self._cancelled:
                part.cancel()

    def _count_bytes(self, came: int, expected: int | None) -> None:
        of = f" of {expected / 2**20:.1f}" if expected else ""
        self._activity = f"{came / 2**20:.1f}{of} MiB fetched"
        self._amount = _FETCHED * min(came / expected, 1.0) if expected else 0.0

    def _count_prims(self, prims: int, total: int) -> None:
        before = _FETCHED if is_web(self.uri) else 0.0
        # What the reader leaves out is counted in the total, what it visits twice is not.
        self._amount = before + (1.0 - before) * min(prims / max(total, 1), 0.99)
        self._activity = f"{prims:,} prims read"
