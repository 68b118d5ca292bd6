"""Scenes come and go and leave nothing behind."""

import gc
from pathlib import Path

import psutil
import pytest

from streamer.usd_viewer.renderer import Renderer
from tests.streamer.usd_viewer.drawing import (
    FRONT,
    HEIGHT,
    WIDTH,
    ball,
    drawn,
    image_reader,
    material,
    moved,
    quad,
    save_image,
    scene_of,
)

LOADS = 200
MOST_GROWTH = 16 * 2**20
"""Each of the large scenes takes well over a megabyte: one in ten left behind would show."""


@pytest.mark.timeout(120)
def test_two_hundred_scenes_leave_memory_flat(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[(255, 0, 0, 255), (0, 255, 0, 255)]], side=128)
    textured = material(
        "color3f inputs:diffuseColor.connect = </World/M/Image.outputs:rgb>", image_reader("Image", "image.png")
    )
    dome = 'def DomeLight "Sky"\n{\nasset inputs:texture:file = @./image.png@\n}\n'
    balls = "".join(ball(moved(number), name=f"B{number}") for number in range(20))
    large = scene_of(tmp_path, textured + quad() + balls + dome, name="large.usda")
    small = scene_of(tmp_path, quad(bound=""), name="small.usda")
    process = psutil.Process()
    before = descriptors = 0
    for number in range(LOADS):
        if number == LOADS // 4:
            gc.collect()
            before, descriptors = process.memory_info().rss, process.num_fds()
        drawn(renderer, small if number % 2 else large, fine=number % 20 == 0)
        if number % 4 < 2:
            assert renderer.pick(0.5, 0.5) is not None
            renderer.outline(["/World"])
            renderer.draw(FRONT, 0, WIDTH, HEIGHT, fine=False)
    renderer.show(None)
    gc.collect()
    assert process.memory_info().rss - before < MOST_GROWTH
    assert process.num_fds() == descriptors
