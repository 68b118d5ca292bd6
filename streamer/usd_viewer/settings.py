"""Where stages lie and what loading one may cost, from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamer.settings import BadSettings

SAMPLES = Path(__file__).resolve().parent / "samples"
SAMPLE_STAGE = "harbour.usda"
MIN_MEMORY_MIB = 512


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds of one loading."""

    wall_s: float = 60.0
    """`PIXELFERRY_USD_LOAD_S`: a stage that is not loaded within this time is given up."""
    memory_bytes: int = 4 * 2**30
    """`PIXELFERRY_USD_LOAD_MEMORY_MIB`: address space of the process that reads a stage, in MiB."""

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


def settings_from(environment: Mapping[str, str]) -> UsdSettings:
    """Settings from environment variables. Raises BadSettings."""
    root = environment.get("PIXELFERRY_USD_ROOT") or None
    defaults = LoadLimits()
    mebibytes = _number(environment, "PIXELFERRY_USD_LOAD_MEMORY_MIB", defaults.memory_bytes / 2**20, MIN_MEMORY_MIB)
    limits = LoadLimits(_number(environment, "PIXELFERRY_USD_LOAD_S", defaults.wall_s, 1), int(mebibytes * 2**20))
    return UsdSettings(SAMPLES if root is None else Path(root), limits)


def _number(environment: Mapping[str, str], name: str, default: float, least: float) -> float:
    text = environment.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= 10**7:
        raise BadSettings(f"{name} must be a whole number from {least:g}, not {text!r}")
    return int(text)
