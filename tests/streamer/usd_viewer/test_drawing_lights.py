"""Lights of a stage in pictures: where they shine from, how brightly, in which colour; domes around everything."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.usd_viewer.camera import Camera
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Floats
from tests.streamer.usd_viewer.drawing import (
    FRONT,
    HEIGHT,
    WIDTH,
    at,
    ball,
    brightness,
    drawn,
    hue,
    material,
    moved,
    quad,
    save_image,
    scene_of,
)

MATTE = material("color3f inputs:diffuseColor = (0.7, 0.7, 0.7)\nfloat inputs:roughness = 1")
FROM_RIGHT = 'float3 xformOp:rotateXYZ = (0, 90, 0)\nuniform token[] xformOpOrder = ["xformOp:rotateXYZ"]\n'


def light(kind: str, content: str = "", *, name: str = "L", schemas: str = "") -> str:
    apis = f' ( prepend apiSchemas = ["{schemas}"] )' if schemas else ""
    return f'def {kind} "{name}"{apis}\n{{\n{content}\n}}\n'


def placed(x: float, y: float, z: float, *, turn: tuple[float, float, float] = (0, 0, 0)) -> str:
    return (
        f"double3 xformOp:translate = ({x}, {y}, {z})\nfloat3 xformOp:rotateXYZ = {turn}\n"
        'uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ"]\n'
    )


def lit(renderer: Renderer, folder: Path, lights: str, *, content: str = "", camera: Camera = FRONT) -> Bytes:
    return drawn(renderer, scene_of(folder, MATTE + (content or ball()) + lights), camera=camera)


def radiance_file(path: Path, pixels: Floats) -> None:
    """An image of radiance, .hdr or .exr."""
    codec = av.codec.CodecContext.create(path.suffix[1:], "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = pixels.shape[:2]
    codec.pix_fmt, codec.time_base = "gbrpf32le", Fraction(1)
    frame = av.VideoFrame.from_ndarray(pixels.astype(np.float32), format="gbrpf32le")
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))


def test_without_lights_there_is_a_sensible_one(renderer: Renderer, tmp_path: Path) -> None:
    assert 100 < brightness(lit(renderer, tmp_path, ""), 0.5) < 240


def test_a_distant_light_shines_along_its_axis(renderer: Renderer, tmp_path: Path) -> None:
    image = lit(renderer, tmp_path, light("DistantLight", FROM_RIGHT + "float inputs:intensity = 50000"))
    assert brightness(image, 0.62) > brightness(image, 0.38) + 50


def test_a_light_has_its_colour_or_temperature(renderer: Renderer, tmp_path: Path) -> None:
    blue = light("DistantLight", "color3f inputs:color = (0, 0, 1)\nfloat inputs:intensity = 50000")
    assert hue(at(lit(renderer, tmp_path, blue), 0.5)) == "blue"
    warm = (
        "bool inputs:enableColorTemperature = 1\nfloat inputs:colorTemperature = 2000\nfloat inputs:intensity = 30000"
    )
    red, _, blue_part = at(lit(renderer, tmp_path, light("DistantLight", warm)), 0.5)
    assert red > blue_part + 60


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("SphereLight", "float inputs:radius = 0.1"),
        ("DiskLight", "float inputs:radius = 0.2"),
        ("RectLight", "float inputs:width = 0.3\nfloat inputs:height = 0.3"),
        ("CylinderLight", "float inputs:radius = 0.1\nfloat inputs:length = 0.3"),
    ],
)
def test_local_lights_light_what_is_near_and_faces_them(
    renderer: Renderer, tmp_path: Path, kind: str, size: str
) -> None:
    """Lights on the right, the flat ones looking to the left, light the right side of a wall more than the left."""
    shining = light(kind, placed(1.5, 0, 0.6, turn=(0, 60, 0)) + size + "\nfloat inputs:intensity = 40")
    image = lit(renderer, tmp_path, shining, content=quad())
    assert brightness(image, 0.75) > brightness(image, 0.3) + 40


def test_a_flat_light_shines_to_one_side_only(renderer: Renderer, tmp_path: Path) -> None:
    size = "\nfloat inputs:width = 1\nfloat inputs:height = 1\nfloat inputs:intensity = 30\n"
    toward = lit(renderer, tmp_path, light("RectLight", placed(0, 0, 2) + size), content=quad())
    away = lit(renderer, tmp_path, light("RectLight", placed(0, 0, 2, turn=(0, 180, 0)) + size), content=quad())
    assert brightness(toward, 0.5) > brightness(away, 0.5) + 60


def test_intensity_exposure_and_size_make_a_light_brighter(renderer: Renderer, tmp_path: Path) -> None:
    def with_lamp(more: str) -> float:
        lamp = light("SphereLight", placed(0, 0, 3) + more)
        return brightness(lit(renderer, tmp_path, lamp, content=quad()), 0.5)

    plain = with_lamp("float inputs:intensity = 16")
    double = with_lamp("float inputs:intensity = 32")
    assert double > plain + 25
    assert with_lamp("float inputs:intensity = 16\nfloat inputs:exposure = 1") == pytest.approx(double, abs=1)
    assert with_lamp("float inputs:intensity = 16\nfloat inputs:radius = 0.7") == pytest.approx(double, abs=6)
    normalized = [
        with_lamp(f"float inputs:intensity = 60\nbool inputs:normalize = 1\nfloat inputs:radius = {radius}")
        for radius in (0.3, 0.6)
    ]
    assert normalized[0] == pytest.approx(normalized[1], abs=2)


def test_a_light_that_is_far_too_bright_or_dark_is_exposed(renderer: Renderer, tmp_path: Path) -> None:
    for intensity in (0.001, 1e9):
        seen = brightness(lit(renderer, tmp_path, light("DistantLight", f"float inputs:intensity = {intensity}")), 0.5)
        assert 70 < seen < 250


def test_a_cone_bounds_the_light(renderer: Renderer, tmp_path: Path) -> None:
    spot = placed(0, 0, 3) + "float inputs:intensity = 60\nfloat inputs:radius = 0.3\n"
    cone = "float inputs:shaping:cone:angle = 12\nfloat inputs:shaping:cone:softness = 0.2\n"
    image = lit(renderer, tmp_path, light("SphereLight", spot + cone, schemas="ShapingAPI"), content=quad())
    assert brightness(image, 0.5) > brightness(image, 0.2) + 60
    open_light = lit(renderer, tmp_path, light("SphereLight", spot), content=quad())
    assert brightness(open_light, 0.2) > brightness(image, 0.2) + 40


def test_hidden_lights_and_those_of_no_intensity_are_out(renderer: Renderer, tmp_path: Path) -> None:
    hidden = light("DistantLight", 'token visibility = "invisible"\nfloat inputs:intensity = 50000')
    zero = light("SphereLight", "float inputs:intensity = 0", name="Zero")
    assert not scene_of(tmp_path, MATTE + ball() + hidden + zero).lighting


def test_lights_add_up_and_the_ninth_is_told(tmp_path: Path) -> None:
    lamps = "".join(light("SphereLight", placed(n, 0, 3), name=f"L{n}") for n in range(10))
    scene = scene_of(tmp_path, MATTE + ball() + lamps)
    assert len(scene.lighting.lights) == 8
    assert scene.omissions == ("lights beyond the first 8: 2, such as /World/L8",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("asset inputs:texture:file = @./x.png@", "textures of lights"),
        ("float inputs:intensity.timeSamples = { 1: 1, 2: 2 }", "lights that change"),
        ("rel collection:lightLink:includes = </World/Ball>", "lights for some prims only"),
        ("rel collection:shadowLink:includes = </World/Ball>", "shadows for some prims only"),
    ],
)
def test_what_is_not_drawn_of_a_light_is_told(tmp_path: Path, content: str, told: str) -> None:
    save_image(tmp_path, "x.png", [[(255, 0, 0, 255)]])
    scene = scene_of(tmp_path, MATTE + ball() + light("RectLight", content))
    (line,) = scene.omissions
    assert line.startswith(told)
    assert line.endswith("/World/L")


def test_a_plain_dome_lights_from_everywhere_and_leaves_the_background(renderer: Renderer, tmp_path: Path) -> None:
    scene = scene_of(tmp_path, MATTE + ball() + light("DomeLight", "color3f inputs:color = (0, 1, 0)"))
    image = drawn(renderer, scene)
    assert [hue(at(image, x)) for x in (0.4, 0.5, 0.6)] == ["green"] * 3
    assert hue(at(image, 0.05, 0.05)) != "green"


# The image of a dome: its middle lies along z, its left quarter along x.
AHEAD, RIGHT, BEHIND, LEFT = 2, 1, 0, 3


def dome_image(bright: int, color: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Floats:
    pixels = np.full((32, 64, 3), 0.02, np.float32)
    columns = (np.arange(64) + 8) // 16 % 4
    pixels[:, columns == bright] = color
    return pixels


@pytest.mark.parametrize("suffix", [".hdr", ".exr"])
@pytest.mark.parametrize(("side", "brighter", "darker"), [(RIGHT, 0.64, 0.36), (LEFT, 0.36, 0.64)])
def test_a_dome_lights_from_where_its_picture_is_bright(
    renderer: Renderer, tmp_path: Path, suffix: str, side: int, brighter: float, darker: float
) -> None:
    radiance_file(tmp_path / f"sky{suffix}", dome_image(side, (3.0, 3.0, 3.0)))
    image = lit(renderer, tmp_path, light("DomeLight", f"asset inputs:texture:file = @./sky{suffix}@"))
    assert brightness(image, brighter) > brightness(image, darker) + 40


def test_a_dome_is_seen_behind_the_scene(renderer: Renderer, tmp_path: Path) -> None:
    """Looking along -z one sees the image's edges; above the horizon its upper half."""
    pixels = np.zeros((32, 64, 3), np.float32)
    pixels[:16], pixels[16:] = (0.0, 0.0, 0.9), (0.0, 0.9, 0.0)
    radiance_file(tmp_path / "sky.exr", pixels)
    sky = light("DomeLight", "asset inputs:texture:file = @./sky.exr@")
    image = lit(renderer, tmp_path, sky, content=ball())
    assert (hue(at(image, 0.1, 0.05)), hue(at(image, 0.1, 0.95))) == ("blue", "green")


def test_a_mirror_shows_the_dome(renderer: Renderer, tmp_path: Path) -> None:
    """A mirror that looks to the front shows what lies along z: the middle of the image."""
    radiance_file(tmp_path / "sky.exr", dome_image(AHEAD, (0.9, 0.0, 0.0)))
    sky = light("DomeLight", "asset inputs:texture:file = @./sky.exr@")
    mirror = material("color3f inputs:diffuseColor = (1, 1, 1)\nfloat inputs:metallic = 1\nfloat inputs:roughness = 0")
    image = drawn(renderer, scene_of(tmp_path, mirror + quad() + sky))
    assert hue(at(image, 0.5)) == "red"


@pytest.mark.parametrize(
    ("kind", "up", "turn"),
    [
        ("DomeLight", "Y", ""),
        ("DomeLight_1", "Y", ""),
        ("DomeLight_1", "Z", ""),
        (
            "DomeLight",
            "Z",
            'float3 xformOp:rotateXYZ = (90, 0, 0)\nuniform token[] xformOpOrder = ["xformOp:rotateXYZ"]',
        ),
    ],
)
def test_the_sky_is_above(renderer: Renderer, tmp_path: Path, kind: str, up: str, turn: str) -> None:
    pixels = np.full((32, 64, 3), 0.02, np.float32)
    pixels[:16] = 1.0
    radiance_file(tmp_path / "sky.hdr", pixels)
    sky = light(kind, f"asset inputs:texture:file = @./sky.hdr@\n{turn}")
    scene = scene_of(tmp_path, MATTE + ball() + sky, up=up)
    image = drawn(renderer, scene, camera=Camera(azimuth=0.0, elevation=0.0, up_axis=scene.up_axis))
    assert brightness(image, 0.5, 0.25) > brightness(image, 0.5, 0.75) + 50


def test_a_dome_of_display_colours_works_and_a_missing_one_is_told(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "sky.png", [[(255, 0, 0, 255)] * 4] * 2)
    image = lit(renderer, tmp_path, light("DomeLight", "asset inputs:texture:file = @./sky.png@"))
    assert hue(at(image, 0.5)) == "red"
    gone = scene_of(tmp_path, MATTE + ball() + light("DomeLight", "asset inputs:texture:file = @./gone.hdr@"))
    assert any("gone.hdr" in line for line in gone.omissions)
    assert gone.lighting
    odd = light("DomeLight", 'asset inputs:texture:file = @./sky.png@\ntoken inputs:texture:format = "angular"')
    assert any("angular" in line for line in scene_of(tmp_path, MATTE + ball() + odd).omissions)


def test_a_dome_leaves_with_its_scene(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "sky.png", [[(255, 0, 0, 255)] * 4] * 2)
    before = lit(renderer, tmp_path, "")
    lit(renderer, tmp_path, light("DomeLight", "asset inputs:texture:file = @./sky.png@"))
    after = lit(renderer, tmp_path, "")
    assert np.array_equal(before, after)


def test_lit_things_far_from_the_origin_are_lit_alike(renderer: Renderer, tmp_path: Path) -> None:
    near = lit(renderer, tmp_path, light("SphereLight", placed(2, 0, 2) + "float inputs:intensity = 20"))
    far_ball, far_light = (
        ball(moved(50000, 0, 0)),
        light("SphereLight", placed(50002, 0, 2) + "float inputs:intensity = 20"),
    )
    far = lit(renderer, tmp_path, far_light, content=far_ball)
    assert np.abs(near.astype(int) - far).max() < 12
    assert near.shape == (HEIGHT, WIDTH, 3)
