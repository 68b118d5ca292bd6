"""Where stages lie and what loading one may cost, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamer.settings import BadSettings
from streamer.usd_viewer.web_policy import BadOrigin, Origin, WebPolicy

SAMPLES = Path(__file__).resolve().parent / "samples"
SAMPLE_STAGE = "harbour.usda"
MIN_MEMORY_MIB = 512
NO_WEB = WebPolicy()


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds of one loading."""

    wall_s: float = 60.0
    """`PIXELFERRY_USD_LOAD_S`: a stage that is not loaded within this time is given up."""
    memory_bytes: int = 4 * 2**30
    """`PIXELFERRY_USD_LOAD_MEMORY_MIB`: what a stage may take in the process that reads it, in MiB."""

    fetch_bytes: int = 256 * 2**20
    """`PIXELFERRY_USD_HTTP_MIB`: a stage of the web that is larger is not fetched, in MiB."""

    @property
    def output_bytes(self) -> int:
        """The largest scene that is taken over."""
        return self.memory_bytes // 2


@dataclass(frozen=True, slots=True)
class UsdSettings:
    """The USD viewer's settings."""

    root: Path = SAMPLES
    """`PIXELFERRY_USD_ROOT`: stages are opened from under this folder only; the samples where it is not set."""
    limits: LoadLimits = LoadLimits()
    web: WebPolicy = NO_WEB
    """`PIXELFERRY_USD_HTTP_HOSTS`: what stages may be fetched from by http(s), separated by commas; nothing where it is
    not set. `example.com` is https on its usual port, `*.example.com` every name below; `http://example.com:8080` has
    to be said."""


def settings_from(environment: Mapping[str, str]) -> UsdSettings:
    """Settings from environment variables. Raises BadSettings."""
    root = environment.get("PIXELFERRY_USD_ROOT") or None
    defaults = LoadLimits()
    mebibytes = _number(environment, "PIXELFERRY_USD_LOAD_MEMORY_MIB", defaults.memory_bytes / 2**20, MIN_MEMORY_MIB)
    fetched = _number(environment, "PIXELFERRY_USD_HTTP_MIB", defaults.fetch_bytes / 2**20, 1)
    wall_s = _number(environment, "PIXELFERRY_USD_LOAD_S", defaults.wall_s, 1)
    limits = LoadLimits(wall_s, int(mebibytes * 2**20), int(fetched * 2**20))
    return UsdSettings(SAMPLES if root is None else Path(root), limits, _web_policy(environment))


def _web_policy(environment: Mapping[str, str]) -> WebPolicy:
    name = "PIXELFERRY_USD_HTTP_HOSTS"
    listed = [part.strip() for part in environment.get(name, "").split(",")]
    try:
        return WebPolicy(tuple(Origin.parse(part) for part in listed if part))
    except BadOrigin as error:
        mend = "write example.com, *.example.com, or http://example.com:8080, separated by commas"
        raise BadSettings(f"{name} holds {str(error)!r}, which is no host; {mend}") from error


def _number(environment: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = environment.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 10**7:
        raise BadSettings(f"{name} must be a whole number from {least:g}, not {text!r}")
    return int(text)
