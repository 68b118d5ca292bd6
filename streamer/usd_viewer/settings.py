"""Where stages lie and what loading one may cost, from the environment (`PIXELFERRY_USD_…`)."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

SAMPLES = Path(__file__).resolve().parent / "samples"
SAMPLE_STAGE = "harbour.usda"


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds of one loading."""

    wall_s: float = 60.0
    memory_bytes: int = 4 * 2**30
    output_bytes: int = 2 * 2**30


class UsdSettings(BaseSettings):
    """The USD viewer's settings; each is an environment variable."""

    model_config = SettingsConfigDict(env_prefix="PIXELFERRY_USD_", frozen=True)

    root: Path = SAMPLES
    """Stages are opened from under this folder only."""
    load_s: float = Field(default=60.0, gt=0, le=3600)
    """A stage that is not loaded within this time is given up."""
    load_memory_bytes: int = Field(default=4 * 2**30, ge=512 * 2**20)
    """Address space of the process that reads a stage."""

    @property
    def limits(self) -> LoadLimits:
        """The bounds of one loading."""
        return LoadLimits(self.load_s, self.load_memory_bytes, self.load_memory_bytes // 2)
