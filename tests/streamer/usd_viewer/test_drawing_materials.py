"""UsdPreviewSurface in pictures: each input, each way in which a texture feeds it."""

from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes
from tests.streamer.usd_viewer.drawing import (
    HEIGHT,
    WIDTH,
    at,
    ball,
    brightness,
    colored,
    drawn,
    hue,
    image_reader,
    material,
    moved,
    quad,
    save_image,
    scene_of,
    shader,
)

RED, GREEN, BLUE, YELLOW = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 0, 255)
WHITE, BLACK, CLEAR = (255, 255, 255, 255), (0, 0, 0, 255), (255, 255, 255, 0)
GREY = (128, 128, 128, 255)
DIFFUSE = "color3f inputs:diffuseColor.connect = </World/M/Image.outputs:rgb>\n"


def picture(renderer: Renderer, folder: Path, inputs: str, more: str = "", *, extra: str = "") -> Bytes:
    return drawn(renderer, scene_of(folder, material(inputs, more) + quad(extra)))


def inside(image: Bytes) -> Bytes:
    """What lies within a ball that fills the picture."""
    return image[HEIGHT // 5 : -HEIGHT // 5, WIDTH // 3 : -WIDTH // 3]


def spread(image: Bytes) -> float:
    """How far the brightest place of a ball stands out."""
    tones = inside(image).max(axis=2)
    return float(tones.max()) - float(np.median(tones))


@pytest.mark.parametrize(("color", "name"), [("(1, 0, 0)", "red"), ("(0, 1, 0)", "green"), ("(0, 0, 1)", "blue")])
def test_base_colour(renderer: Renderer, tmp_path: Path, color: str, name: str) -> None:
    assert hue(at(picture(renderer, tmp_path, f"color3f inputs:diffuseColor = {color}"), 0.5)) == name


def test_a_base_texture_shows_its_four_corners(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[RED, GREEN], [BLUE, YELLOW]])
    image = picture(renderer, tmp_path, DIFFUSE, image_reader("Image", "image.png"))
    corners = [hue(at(image, x, y)) for x, y in ((0.35, 0.25), (0.65, 0.25), (0.35, 0.75), (0.65, 0.75))]
    assert corners == ["red", "green", "blue", "yellow"]


def test_roughness_widens_the_highlight(renderer: Renderer, tmp_path: Path) -> None:
    shine = []
    for roughness in (0.1, 0.9):
        inputs = f"color3f inputs:diffuseColor = (0.05, 0.05, 0.05)\nfloat inputs:roughness = {roughness}"
        shine.append(spread(drawn(renderer, scene_of(tmp_path, material(inputs) + ball()))))
    assert shine[0] > shine[1] + 30


def test_metal_takes_its_colour_into_the_mirror_image(renderer: Renderer, tmp_path: Path) -> None:
    seen = {}
    for metallic in (0.0, 1.0):
        inputs = f"color3f inputs:diffuseColor = (1, 0, 0)\nfloat inputs:metallic = {metallic}"
        image = drawn(renderer, scene_of(tmp_path, material(inputs + "\nfloat inputs:roughness = 0.3") + ball()))
        pixels = inside(image).reshape(-1, 3)
        seen[metallic] = pixels[pixels.sum(axis=1).argsort()]
    assert not np.array_equal(seen[0.0], seen[1.0])
    glints = {metallic: pixels[-40:].mean(axis=0) for metallic, pixels in seen.items()}
    assert glints[0.0][2] > glints[1.0][2] + 25


@pytest.mark.parametrize(("name", "channel"), [("roughness", "g"), ("metallic", "b"), ("occlusion", "r")])
def test_a_channel_of_a_texture_feeds_a_number(renderer: Renderer, tmp_path: Path, name: str, channel: str) -> None:
    """The left half of the texture holds 0 in that channel, the right half 255."""
    high = {"r": RED, "g": GREEN, "b": BLUE}[channel]
    save_image(tmp_path, "data.png", [[BLACK, high]])
    reader = image_reader("Data", "data.png", 'token inputs:sourceColorSpace = "raw"')
    inputs = (
        "color3f inputs:diffuseColor = (0.6, 0.3, 0.1)\n"
        f"float inputs:{name}.connect = </World/M/Data.outputs:{channel}>\n"
        + ("float inputs:metallic = 1" if name == "roughness" else "")
    )
    scene = scene_of(tmp_path, material(inputs, reader) + quad())
    detail = scene.textures[scene.batches[0].surface.detail.texture].pixels
    target = {"occlusion": 0, "roughness": 1, "metallic": 2}[name]
    assert (int(detail[0, 0, target]), int(detail[0, -1, target])) == (0, 255)
    image = drawn(renderer, scene)
    assert abs(brightness(image, 0.35) - brightness(image, 0.65)) > 8


def test_opacity_lets_what_is_behind_through(renderer: Renderer, tmp_path: Path) -> None:
    inputs = "color3f inputs:diffuseColor = (0, 0, 1)\nfloat inputs:opacity = 0.3"
    wall = quad(moved(0, 0, -0.5) + colored(1, 0, 0), name="Wall", bound="")
    red, _, blue = at(drawn(renderer, scene_of(tmp_path, material(inputs) + wall + quad())), 0.5)
    assert red > 110
    assert blue > 25


def test_an_opacity_texture_lets_through_where_it_is_dark(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "mask.png", [[WHITE, BLACK]])
    reader = image_reader("Mask", "mask.png", 'token inputs:sourceColorSpace = "raw"')
    inputs = "color3f inputs:diffuseColor = (0, 0, 1)\nfloat inputs:opacity.connect = </World/M/Mask.outputs:r>"
    wall = quad(moved(0, 0, -0.5) + colored(1, 0, 0), name="Wall", bound="")
    image = drawn(renderer, scene_of(tmp_path, material(inputs, reader) + wall + quad()))
    assert [hue(at(image, x)) for x in (0.35, 0.65)] == ["blue", "red"]


def test_below_the_opacity_threshold_there_is_a_hole_and_above_it_all_is_opaque(
    renderer: Renderer, tmp_path: Path
) -> None:
    save_image(tmp_path, "leaf.png", [[(0, 255, 0, 200), (0, 255, 0, 60)]])
    inputs = DIFFUSE + "float inputs:opacity.connect = </World/M/Image.outputs:a>\nfloat inputs:opacityThreshold = 0.5"
    wall = quad(moved(0, 0, -0.5) + colored(1, 0, 0), name="Wall", bound="")
    scene = scene_of(tmp_path, material(inputs, image_reader("Image", "leaf.png")) + wall + quad())
    assert not any(batch.surface.translucent for batch in scene.batches)
    image = drawn(renderer, scene)
    assert [hue(at(image, x)) for x in (0.35, 0.65)] == ["green", "red"]
    assert at(image, 0.35)[0] < 60


def test_a_normal_map_bends_the_light(renderer: Renderer, tmp_path: Path) -> None:
    """Half of the map leans to the left, half to the right: the key light comes from the left."""
    save_image(tmp_path, "normal.png", [[(40, 128, 218, 255), (216, 128, 218, 255)]])
    unpack = (
        'token inputs:sourceColorSpace = "raw"\n'
        "float4 inputs:scale = (2, 2, 2, 1)\nfloat4 inputs:bias = (-1, -1, -1, 0)"
    )
    inputs = "color3f inputs:diffuseColor = (0.5, 0.5, 0.5)\nfloat inputs:roughness = 1\n"
    bent = inputs + "normal3f inputs:normal.connect = </World/M/Normal.outputs:rgb>"
    flat = picture(renderer, tmp_path, inputs)
    image = picture(renderer, tmp_path, bent, image_reader("Normal", "normal.png", unpack))
    assert abs(brightness(flat, 0.35) - brightness(flat, 0.65)) < 6
    assert brightness(image, 0.35) > brightness(image, 0.65) + 25
    lenient = picture(renderer, tmp_path, bent, image_reader("Normal", "normal.png"))
    assert np.abs(lenient.astype(int) - image).max() <= 3


def test_a_normal_map_points_up_where_it_is_green(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "normal.png", [[(128, 216, 218, 255)], [(128, 40, 218, 255)]])
    inputs = "float inputs:roughness = 1\nnormal3f inputs:normal.connect = </World/M/Normal.outputs:rgb>"
    image = picture(renderer, tmp_path, inputs, image_reader("Normal", "normal.png"))
    assert brightness(image, 0.5, 0.25) > brightness(image, 0.5, 0.75) + 25


def test_emissive_colour_glows(renderer: Renderer, tmp_path: Path) -> None:
    inputs = "color3f inputs:diffuseColor = (0, 0, 0)\ncolor3f inputs:emissiveColor = (0, 1, 0)"
    assert at(picture(renderer, tmp_path, inputs), 0.5)[1] > 240


def test_an_emissive_texture_glows_as_strongly_as_its_scale_says(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "glow.png", [[(188, 0, 0, 255), (0, 0, 188, 255)]])
    seen = []
    for scale in (0.2, 1.0, 2.0):
        reader = image_reader("Glow", "glow.png", f"float4 inputs:scale = ({scale}, {scale}, {scale}, 1)")
        inputs = (
            "color3f inputs:diffuseColor = (0, 0, 0)\nfloat inputs:roughness = 1\n"
            "color3f inputs:emissiveColor.connect = </World/M/Glow.outputs:rgb>"
        )
        seen.append(picture(renderer, tmp_path, inputs, reader))
    assert [hue(at(seen[1], x)) for x in (0.35, 0.65)] == ["red", "blue"]
    assert at(seen[0], 0.35)[0] + 40 < at(seen[1], 0.35)[0] < at(seen[2], 0.35)[0] - 40


def test_each_texture_lies_as_its_own_transform_says(renderer: Renderer, tmp_path: Path) -> None:
    """Base colour is shifted by half a texture, so left and right change places; emission is not."""
    save_image(tmp_path, "base.png", [[RED, GREEN]])
    save_image(tmp_path, "glow.png", [[(0, 0, 0, 255), (0, 0, 160, 255)]])
    place = shader(
        "Place",
        "UsdTransform2d",
        "float2 inputs:in.connect = </World/M/Read.outputs:result>\nfloat2 inputs:translation = (0.5, 0)\n"
        "float2 outputs:result",
    )
    inputs = DIFFUSE + "color3f inputs:emissiveColor.connect = </World/M/Glow.outputs:rgb>"
    readers = image_reader("Image", "base.png", st="Place.outputs:result") + image_reader("Glow", "glow.png") + place
    image = picture(renderer, tmp_path, inputs, readers)
    assert at(image, 0.35)[1] > 120 > at(image, 0.35)[2]
    assert at(image, 0.65)[0] > 120
    assert at(image, 0.65)[2] > 120


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        ("repeat", ["green", "red", "green", "red"]),
        ("mirror", ["red", "red", "green", "green"]),
        ("clamp", ["red", "red", "green", "green"]),
        ("black", ["black", "red", "green", "black"]),
    ],
)
def test_wrap_modes(renderer: Renderer, tmp_path: Path, wrap: str, expected: list[str]) -> None:
    """Coordinates from -0.5 to 1.5 over a texture whose left half is red and whose right half is green."""
    save_image(tmp_path, "image.png", [[RED, GREEN]])
    reader = image_reader("Image", "image.png", f'token inputs:wrapS = "{wrap}"\ntoken inputs:wrapT = "clamp"')
    wide = 'texCoord2f[] primvars:st = [(-0.5, 0), (1.5, 0), (1.5, 1), (-0.5, 1)] ( interpolation = "vertex" )'
    image = picture(renderer, tmp_path, DIFFUSE, reader, extra=wide)
    assert [hue(at(image, x)) for x in (0.2, 0.4, 0.6, 0.8)] == expected


def test_mirrored_beyond_its_edge_a_texture_runs_backwards(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[RED, GREEN]])
    reader = image_reader("Image", "image.png", 'token inputs:wrapS = "mirror"\ntoken inputs:wrapT = "mirror"')
    wide = 'texCoord2f[] primvars:st = [(0, 0), (2, 0), (2, 1), (0, 1)] ( interpolation = "vertex" )'
    image = picture(renderer, tmp_path, DIFFUSE, reader, extra=wide)
    assert [hue(at(image, x)) for x in (0.2, 0.4, 0.6, 0.8)] == ["red", "green", "green", "red"]


def test_scale_and_bias_change_what_is_read(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[WHITE, BLACK]])
    change = "float4 inputs:scale = (0, 1, 1, 1)\nfloat4 inputs:bias = (0, -1, 0.5, 0)"
    image = picture(renderer, tmp_path, DIFFUSE, image_reader("Image", "image.png", change))
    assert hue(at(image, 0.35)) == hue(at(image, 0.65)) == "blue"


def test_raw_colours_are_taken_as_light_and_others_as_shown(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[GREY]])
    seen = {}
    for space in ("raw", "sRGB", "auto"):
        reader = image_reader("Image", "image.png", f'token inputs:sourceColorSpace = "{space}"')
        seen[space] = brightness(picture(renderer, tmp_path, DIFFUSE, reader), 0.5)
    assert seen["raw"] > seen["sRGB"] + 30
    assert seen["auto"] == pytest.approx(seen["sRGB"], abs=1)


def test_a_missing_texture_leaves_its_fallback(renderer: Renderer, tmp_path: Path) -> None:
    scene = scene_of(
        tmp_path, material(DIFFUSE, image_reader("Image", "gone.png", "float4 inputs:fallback = (0, 1, 0, 1)")) + quad()
    )
    assert hue(at(drawn(renderer, scene), 0.5)) == "green"
    assert any("gone.png" in line for line in scene.omissions)


def test_a_material_may_read_any_colour_primvar(renderer: Renderer, tmp_path: Path) -> None:
    reader = shader("Tint", "UsdPrimvarReader_float3", 'string inputs:varname = "paint"\nfloat3 outputs:result')
    inputs = "color3f inputs:diffuseColor.connect = </World/M/Tint.outputs:result>"
    paint = 'color3f[] primvars:paint = [(1, 0, 0), (0, 0, 1), (0, 0, 1), (1, 0, 0)] ( interpolation = "vertex" )'
    image = picture(renderer, tmp_path, inputs, reader, extra=paint)
    assert [hue(at(image, x)) for x in (0.2, 0.8)] == ["red", "blue"]
    without = scene_of(tmp_path, material(inputs, reader) + quad())
    assert any("primvar" in line and "/World/Quad" in line for line in without.omissions)


def test_a_mirror_is_not_tinted_by_the_texture(renderer: Renderer, tmp_path: Path) -> None:
    """What is mirrored is white, whatever the colour of a plastic."""
    save_image(tmp_path, "image.png", [[(255, 0, 0, 255)]])
    inputs = DIFFUSE + "float inputs:roughness = 0.05"
    scene = scene_of(tmp_path, material(inputs, image_reader("Image", "image.png")) + ball("float[] primvars:x = [0]"))
    image = drawn(renderer, scene)
    assert image.min(axis=2).max() > 120


def test_the_specular_workflow_mirrors_its_colour(renderer: Renderer, tmp_path: Path) -> None:
    inputs = (
        "color3f inputs:diffuseColor = (0, 0, 0)\nint inputs:useSpecularWorkflow = 1\n"
        "color3f inputs:specularColor = (1, 0, 0)\nfloat inputs:roughness = 0.3"
    )
    scene = scene_of(tmp_path, material(inputs) + quad())
    assert scene.batches[0].surface.specular == (1.0, 0.0, 0.0)
    assert hue(at(drawn(renderer, scene), 0.5)) == "red"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [("float inputs:clearcoat = 1", "clear coat"), ("float inputs:displacement = 0.1", "displacement")],
)
def test_inputs_that_are_not_drawn_are_told(tmp_path: Path, inputs: str, told: str) -> None:
    (line,) = scene_of(tmp_path, material(inputs) + quad()).omissions
    assert told in line
    assert line.endswith(": /World/M")


def test_textures_on_several_sets_of_coordinates_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_image(tmp_path, name, [[RED]])
    other = shader("Other", "UsdPrimvarReader_float2", 'string inputs:varname = "st1"\nfloat2 outputs:result\n')
    inputs = DIFFUSE + "color3f inputs:emissiveColor.connect = </World/M/Glow.outputs:rgb>"
    readers = image_reader("Image", "a.png") + image_reader("Glow", "b.png", st="Other.outputs:result") + other
    (line,) = scene_of(tmp_path, material(inputs, readers) + quad()).omissions
    assert "several sets of coordinates" in line


def test_materials_with_the_same_textures_share_them(tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[RED]])
    one = material(DIFFUSE, image_reader("Image", "image.png"))
    other = material(DIFFUSE.replace("/M/", "/N/"), image_reader("Image", "image.png"), name="N").replace("/M/", "/N/")
    scene = scene_of(tmp_path, one + other + quad() + quad(moved(3), name="Second", bound="N"))
    assert len(scene.textures) == 1
    assert len(scene.batches) == 1
