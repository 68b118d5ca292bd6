"""The shader's text: only what is needed, and never a number that is none."""

import numpy as np
import pytest

from streamer.usd_viewer.environment import environment_of, harmonics, irradiance
from streamer.usd_viewer.lighting import surface_light
from streamer.usd_viewer.scene import Light, Lighting, LightKind, Slot, Surface, Texture, Wrap

TEXTURE = Texture(np.zeros((1, 1, 4), np.uint8), (Wrap.REPEAT, Wrap.BLACK))


def test_what_is_not_textured_reads_no_texture() -> None:
    assert "texture(" not in surface_light(Surface(), [], Lighting())
    assert surface_light(Surface(relief=Slot(0)), [TEXTURE], Lighting()).count("texture(") == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_numbers_from_the_process_that_reads_stages_stay_numbers(number: float) -> None:
    """It is not trusted, and what GLSL cannot read ends VTK's drawing."""
    three = (number, number, number)
    lights = tuple(
        Light(kind, three, position=three, direction=three, radius=number, cone=(number, number)) for kind in LightKind
    )
    around = environment_of(np.ones((2, 4, 3), np.float32), np.eye(4), visible=True)
    broken = type(around)(around.pixels, number, (three, three, three), np.full((9, 3), number), True)
    surface = Surface(base=Slot(0, (number,) * 6), roughness=number)
    text = surface_light(surface, [TEXTURE], Lighting(lights, broken, number))
    assert "nan" not in text
    assert "inf" not in text.replace("inversesqrt", "")
    assert "e+300" not in text


def test_light_from_everywhere_is_the_same_everywhere() -> None:
    lit = irradiance(np.full((16, 32, 3), 0.7, np.float32))
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
    assert harmonics(directions) @ lit == pytest.approx(np.full((3, 3), 0.7), abs=0.01)


def test_light_from_above_falls_on_what_looks_up() -> None:
    sky = np.zeros((16, 32, 3), np.float32)
    sky[:8] = 1.0
    up, aside, down = harmonics(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])) @ irradiance(sky)
    assert (float(up[0]), float(aside[0]), float(down[0])) == pytest.approx((1.0, 0.5, 0.0), abs=0.05)


def test_a_small_sun_counts_in_full_as_light_but_not_in_the_mirror() -> None:
    sky = np.full((64, 128, 3), 0.1, np.float32)
    sky[10, 20] = 5000.0
    made = environment_of(sky, np.eye(4), visible=True)
    assert made.peak < 50.0
    assert made.harmonics[0].mean() > irradiance(np.full((64, 128, 3), 0.1, np.float32))[0].mean() * 2
