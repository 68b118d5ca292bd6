"""Whole pictures, compared with those that were looked at: `references.py` says how they are made."""

from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.renderer import Renderer
from tests.streamer.usd_viewer.references import FOLDER, STAGES, draw, kept


@pytest.mark.parametrize("name", STAGES)
def test_a_picture_is_as_it_was_when_it_was_looked_at(renderer: Renderer, tmp_path: Path, name: str) -> None:
    """Drivers differ in rounding and in where edges fall, by a pixel; not in what is to be seen."""
    apart = np.abs(draw(renderer, name, tmp_path).astype(int) - kept(name)).max(axis=2)
    assert apart.mean() < 2.0
    assert (apart > 32).mean() < 0.01


def test_every_kept_picture_is_compared_and_they_are_small() -> None:
    files = list(FOLDER.glob("*.png"))
    assert {path.stem for path in files} == set(STAGES)
    assert sum(path.stat().st_size for path in files) < 1_000_000
