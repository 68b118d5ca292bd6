"""Stage after stage in one process: nothing of the ones before stays."""

import gc
from pathlib import Path

import psutil
import pytest

from streamer.usd_viewer.openings import PACE_S
from streamer.usd_viewer.settings import LoadLimits
from tests.streamer.usd_viewer.make_corpus import crate
from tests.streamer.usd_viewer.stages import mesh, world
from tests.streamer.usd_viewer.viewing import Session

WARM, MEASURED = 4, 10
LEAST_LEFT_BYTES = 4_000_000
"""Of points, colours and triangles in each second stage: what would stay of each if it were kept."""


def grid(side: int) -> str:
    """A mesh of side x side quads."""
    points = ", ".join(f"({x}, 0, {z})" for z in range(side + 1) for x in range(side + 1))
    corner = ((z * (side + 1) + x) for z in range(side) for x in range(side))
    indices = ", ".join(f"{at}, {at + side + 1}, {at + side + 2}, {at + 1}" for at in corner)
    counts = ", ".join(["4"] * side * side)
    return world(
        f'def Mesh "G" {{ point3f[] points = [{points}]\nint[] faceVertexCounts = [{counts}]\n'
        f'int[] faceVertexIndices = [{indices}]\nuniform token subdivisionScheme = "none"\n}}'
    )


@pytest.mark.timeout(240)
def test_memory_stays_flat_over_many_stages(tmp_path: Path) -> None:
    (tmp_path / "large.usdc").write_bytes(crate(grid(300)))
    (tmp_path / "small.usda").write_text(world(mesh()))
    session = Session(tmp_path, limits=LoadLimits(wall_s=60.0))
    process = psutil.Process()

    def open_stages(count: int, before: int) -> int:
        for number in range(before, before + count):
            session.step(PACE_S)
            session.tell("openStageRequest", url=("large.usdc", "small.usda")[number % 2])
            assert session.results(number + 1, within_s=60.0)[number]["result"] == "success"
            session.settled()
        gc.collect()
        return process.memory_info().rss

    session.start("small.usda")
    session.results(1)
    warm = open_stages(WARM, 1)
    later = open_stages(MEASURED, 1 + WARM)
    session.viewer.stop()
    assert later - warm < MEASURED / 2 * LEAST_LEFT_BYTES
    assert process.children() == []
