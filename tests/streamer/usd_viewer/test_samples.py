"""The sample stages: what lies there is what their script makes, all of it is drawn, and it looks like a harbour."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.camera import UpAxis
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Scene
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer import make_harbour


def sample(name: str) -> Scene:
    policy = StagePolicy.under(SAMPLES)
    return read_stage(policy.stage(name), policy, lambda prims: None)


@pytest.fixture
def renderer() -> Iterator[Renderer]:
    made = Renderer()
    yield made
    made.close()


def test_the_committed_files_are_what_the_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make_harbour", str(tmp_path)])
    make_harbour.main()
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in SAMPLES.glob("*.usda")}


def test_every_sample_is_drawn_whole() -> None:
    for path in SAMPLES.glob("*.usda"):
        scene = sample(path.name)
        assert scene.triangles > 0, path.name
        assert scene.omissions == (), path.name


def test_the_harbour_is_a_scene_of_some_substance() -> None:
    scene = sample(SAMPLE_STAGE)
    assert scene.up_axis is UpAxis.Z
    assert scene.timeline.frames == 1
    assert 20_000 < scene.triangles < 100_000
    assert len(scene.batches) < 30
    assert scene.prims > 300
    assert sum(path.stat().st_size for path in SAMPLES.glob("*.usda")) < 500_000


def test_the_harbour_in_motion_moves_in_few_batches() -> None:
    scene = sample("harbour-in-motion.usda")
    assert scene.timeline.frames == 144
    assert sum(len(batch.transforms) > 0 for batch in scene.batches) < 30


def test_the_harbour_shows_water_land_and_a_ferry(renderer: Renderer) -> None:
    scene = sample(SAMPLE_STAGE)
    navigator = Navigator.of(scene)
    navigator.set_aspect(16 / 9)
    renderer.show(scene)
    image = renderer.draw(navigator.camera, 0, 640, 360, fine=True)[..., :3].astype(int)
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    water = (blue > red + 60) & (blue > 120)
    grass = (green > red + 20) & (green > blue + 40)
    painted = (red > green + 60) & (red > blue + 60)
    assert 0.2 < water.mean() < 0.6
    assert 0.02 < grass.mean() < 0.2
    assert 0.01 < painted.mean() < 0.15
    assert water[250:300, 200:440].mean() > 0.8
    assert np.ptp(image.reshape(-1, 3), axis=0).min() > 180
