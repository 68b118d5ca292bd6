"""Cameras of a stage in pictures: which one is used, and what it sees."""

from pathlib import Path

import pytest

from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Scene
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer.drawing import HEIGHT, WIDTH, at, colored, hue, moved, scene_of, stage
from tests.streamer.usd_viewer.stages import mesh

ROW = "".join(
    mesh(moved(x) + colored(*color), name=name)
    for name, x, color in (("R", -3, (1, 0, 0)), ("G", 0, (0, 1, 0)), ("B", 3, (0, 0, 1)))
)
"""A red, a green and a blue square side by side."""


def camera(name: str, x: float, more: str = "", *, z: float = 6, turn: tuple[float, float, float] = (0, 0, 0)) -> str:
    return (
        f'def Camera "{name}"\n{{\ndouble3 xformOp:translate = ({x}, 0, {z})\nfloat3 xformOp:rotateXYZ = {turn}\n'
        f'uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ"]\n{more}\n}}\n'
    )


def first_view(renderer: Renderer, scene: Scene, *, width: int = WIDTH, height: int = HEIGHT) -> Bytes:
    navigator = Navigator.of(scene)
    navigator.set_aspect(width / height)
    renderer.show(scene)
    return renderer.draw(navigator.camera, 0, width, height, fine=False)[..., :3]


def across(image: Bytes, color: str, *, y: float = 0.5) -> int:
    """How many of a hundred places along a row show a colour."""
    return sum(hue(at(image, x / 100, y)) == color for x in range(100))


@pytest.mark.parametrize(("x", "color"), [(-3, "red"), (0, "green"), (3, "blue")])
def test_the_stage_is_seen_through_its_camera(renderer: Renderer, tmp_path: Path, x: float, color: str) -> None:
    assert hue(at(first_view(renderer, scene_of(tmp_path, ROW + camera("Shot", x))), 0.5)) == color


def test_far_from_the_origin_a_camera_sees_the_same(renderer: Renderer, tmp_path: Path) -> None:
    far = f'def Xform "Far"\n{{\n{moved(1e6, 500, -300)}{ROW}{camera("Shot", 3)}}}\n'
    assert hue(at(first_view(renderer, scene_of(tmp_path, far)), 0.5)) == "blue"


def test_the_first_camera_is_used_unless_another_is_the_primary_one(renderer: Renderer, tmp_path: Path) -> None:
    two = camera("ShotA", -3) + camera("ShotB", 3)
    assert hue(at(first_view(renderer, scene_of(tmp_path, ROW + two)), 0.5)) == "red"
    primary = two + camera("main_cam", 0)
    assert hue(at(first_view(renderer, scene_of(tmp_path, ROW + primary)), 0.5)) == "green"


def test_the_camera_of_the_render_settings_is_used(renderer: Renderer, tmp_path: Path) -> None:
    settings = 'def RenderSettings "S"\n{\nrel camera = </World/ShotB>\n}\n'
    text = stage(ROW + camera("ShotA", -3) + camera("ShotB", 3) + settings)
    (tmp_path / "stage.usda").write_text(
        text.replace("metersPerUnit", 'renderSettingsPrimPath = "/World/S"\nmetersPerUnit')
    )
    scene = read_stage(tmp_path / "stage.usda", StagePolicy.under(tmp_path), lambda prims: None)
    assert [shot.name for shot in scene.cameras] == ["ShotB", "ShotA"]
    assert hue(at(first_view(renderer, scene), 0.5)) == "blue"


def test_the_camera_that_kit_left_the_stage_with_is_used(renderer: Renderer, tmp_path: Path) -> None:
    kit = 'customLayerData = {\ndictionary cameraSettings = {\nstring boundCamera = "/World/ShotB"\n}\n}\nmetersPerUnit'
    text = stage(ROW + camera("ShotA", -3) + camera("ShotB", 3)).replace("metersPerUnit", kit)
    (tmp_path / "stage.usda").write_text(text)
    scene = read_stage(tmp_path / "stage.usda", StagePolicy.under(tmp_path), lambda prims: None)
    assert hue(at(first_view(renderer, scene), 0.5)) == "blue"


def test_a_longer_focal_length_sees_less(renderer: Renderer, tmp_path: Path) -> None:
    seen = {}
    for focal in (30, 60):
        scene = scene_of(tmp_path, ROW + camera("Shot", 0, f"float focalLength = {focal}", z=12))
        seen[focal] = across(first_view(renderer, scene), "green")
    assert seen[60] == pytest.approx(2 * seen[30], abs=3)


def test_a_larger_aperture_sees_more(renderer: Renderer, tmp_path: Path) -> None:
    seen = {}
    for size in (1, 2):
        aperture = f"float horizontalAperture = {20 * size}\nfloat verticalAperture = {15 * size}"
        seen[size] = across(first_view(renderer, scene_of(tmp_path, ROW + camera("Shot", 0, aperture, z=15))), "green")
    assert seen[1] == pytest.approx(2 * seen[2], abs=3)


def test_a_wide_aperture_is_seen_whole_in_a_narrow_picture(renderer: Renderer, tmp_path: Path) -> None:
    wide = "float horizontalAperture = 40\nfloat verticalAperture = 10\nfloat focalLength = 50"
    scene = scene_of(tmp_path, ROW + camera("Shot", 0, wide, z=11))
    image = first_view(renderer, scene, width=60, height=120)
    assert (hue(at(image, 0.15)), hue(at(image, 0.5)), hue(at(image, 0.85))) == ("red", "green", "blue")


@pytest.mark.parametrize(("clip", "seen"), [("(1, 100)", True), ("(1, 5)", False), ("(7, 100)", False)])
def test_what_lies_outside_of_the_clipping_range_is_cut_away(
    renderer: Renderer, tmp_path: Path, clip: str, seen: bool
) -> None:
    scene = scene_of(tmp_path, ROW + camera("Shot", 0, f"float2 clippingRange = {clip}"))
    assert (hue(at(first_view(renderer, scene), 0.5)) == "green") is seen


def test_a_leaning_camera_shows_the_row_upright(renderer: Renderer, tmp_path: Path) -> None:
    """Rolled by a quarter turn to the left, what lies to the right lies below."""
    image = first_view(renderer, scene_of(tmp_path, ROW + camera("Shot", 0, z=22, turn=(0, 0, 90))))
    assert [hue(at(image, 0.5, y)) for y in (0.07, 0.5, 0.93)] == ["red", "green", "blue"]


def test_what_is_not_drawn_of_a_camera_is_told(tmp_path: Path) -> None:
    moving = "double3 xformOp:translate.timeSamples = { 1: (0, 0, 9), 2: (1, 0, 9) }"
    shot = camera("Shot", 0, "float horizontalApertureOffset = 3").replace(
        "double3 xformOp:translate = (0, 0, 6)", moving
    )
    told = scene_of(tmp_path, ROW + shot, frames=2).omissions
    assert told == (
        "cameras with a shifted aperture, looked through unshifted: /World/Shot",
        "cameras that move, standing as at the start: /World/Shot",
    )
