"""Pictures of small scenes, judged by regions: where the model is, what colour it has, where the light comes from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.backdrop import BOTTOM, TOP
from streamer.usd_viewer.camera import Camera, UpAxis
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Scene
from tests.streamer.usd_viewer.stages import HEADER, mesh, read, world
from tests.streamer.usd_viewer.test_stage_reader import MOVING, with_range
from tests.streamer.usd_viewer.test_textures import checker, png, textured

WIDTH, HEIGHT = 160, 120
FRONT = Camera(azimuth=0.0, elevation=0.0)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_picture(renderer: Renderer) -> Iterator[None]:
    yield
    renderer.show(None)
    renderer.say("")


def picture(
    renderer: Renderer, scene: Scene, *, camera: Camera | None = None, frame: int = 0, fine: bool = False
) -> Bytes:
    """The scene framed in a small picture."""
    navigator = Navigator.of(scene)
    if camera is not None:
        navigator.camera = camera
    navigator.set_aspect(WIDTH / HEIGHT)
    if camera is not None:
        navigator.camera = camera
        navigator.frame_all()
    renderer.show(scene)
    return renderer.draw(navigator.camera, frame, WIDTH, HEIGHT, fine=fine)[..., :3]


def model(image: Bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which pixels are not background."""
    fade = np.linspace(0, 1, HEIGHT)[:, None]
    background = (np.array(TOP) * (1 - fade) + np.array(BOTTOM) * fade) * 255
    return np.asarray(np.abs(image.astype(float) - background[:, None]).max(axis=2) > 6)


def middle(image: Bytes) -> list[float]:
    """The mean colour about the middle."""
    part = image[HEIGHT // 2 - 4 : HEIGHT // 2 + 4, WIDTH // 2 - 4 : WIDTH // 2 + 4]
    return [float(value) for value in part.reshape(-1, 3).mean(axis=0)]


def test_without_a_scene_there_is_the_background(renderer: Renderer) -> None:
    image = renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=False)
    assert (image.shape, image.flags["C_CONTIGUOUS"]) == ((HEIGHT, WIDTH, 4), True)
    assert image.dtype == np.uint8
    assert not model(image[..., :3]).any()


def test_a_model_fills_the_picture_and_leaves_a_margin(renderer: Renderer, tmp_path: Path) -> None:
    drawn = model(picture(renderer, read(tmp_path, world('def Cube "C" { }'))))
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert rows[0] > 0
    assert rows[-1] < HEIGHT - 1
    assert max((rows[-1] - rows[0]) / HEIGHT, (columns[-1] - columns[0]) / WIDTH) > 0.8
    assert 0.25 < drawn.mean() < 0.75


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize(("color", "strongest"), [("(1, 0, 0)", 0), ("(0, 1, 0)", 1), ("(0, 0, 1)", 2)])
def test_colours_are_right(renderer: Renderer, tmp_path: Path, color: str, strongest: int, fine: bool) -> None:
    scene = read(tmp_path, world(f'def Sphere "S" {{\n color3f[] primvars:displayColor = [{color}]\n}}'))
    seen = middle(picture(renderer, scene, fine=fine))
    others = [value for channel, value in enumerate(seen) if channel != strongest]
    assert seen[strongest] > 150
    assert max(others) < 90


def test_a_grey_keeps_its_brightness(renderer: Renderer, tmp_path: Path) -> None:
    """Linear 0.18 is display 118 of 255; lit from the front it is neither black nor white."""
    scene = read(tmp_path, world(mesh("color3f[] primvars:displayColor = [(0.18, 0.18, 0.18)]")))
    seen = middle(picture(renderer, scene, camera=FRONT))
    assert seen == pytest.approx([118, 118, 118], abs=40)
    assert max(seen) - min(seen) < 15


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_up_is_up_and_lighter(renderer: Renderer, tmp_path: Path, up: str) -> None:
    at = "(0, 3, 0)" if up == "Y" else "(0, 0, 3)"
    two = f"""
def Sphere "Low" {{ color3f[] primvars:displayColor = [(0, 0, 1)] }}
def Sphere "High"
{{
    color3f[] primvars:displayColor = [(1, 0, 0)]
    double3 xformOp:translate = {at}
    uniform token[] xformOpOrder = ["xformOp:translate"]
}}
"""
    scene = read(tmp_path, world(two).replace('upAxis = "Y"', f'upAxis = "{up}"'))
    assert scene.up_axis is UpAxis(up)
    image = picture(renderer, scene).astype(float)
    redness, blueness = image[..., 0] - image[..., 2], image[..., 2] - image[..., 0]
    assert redness[: HEIGHT // 2].max() > 80
    assert redness[HEIGHT // 2 + 20 :].max() < 20
    assert blueness[HEIGHT // 2 + 10 :].max() > 80


def test_the_top_of_a_ball_is_lighter_than_its_underside(renderer: Renderer, tmp_path: Path) -> None:
    image = picture(renderer, read(tmp_path, world('def Sphere "S" { }')), camera=FRONT)
    column = image[:, WIDTH // 2].astype(float).mean(axis=1)
    assert column[HEIGHT // 4] > column[3 * HEIGHT // 4] + 20


def test_both_sides_of_a_face_are_lit_whatever_its_winding(renderer: Renderer, tmp_path: Path) -> None:
    seen = []
    for orientation in ("rightHanded", "leftHanded"):
        scene = read(tmp_path, world(mesh(f'uniform token orientation = "{orientation}"')), name=f"{orientation}.usda")
        seen.append(middle(picture(renderer, scene, camera=FRONT)))
    assert seen[0] == pytest.approx(seen[1], abs=2)
    assert min(seen[0]) > 100


def test_a_texture_lies_the_right_way_up(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(png(np.repeat(np.repeat(checker(), 16, axis=0), 16, axis=1)))
    image = picture(renderer, read(tmp_path, textured("./image.png")), camera=FRONT).astype(int)
    quarter, left, right = HEIGHT // 4, WIDTH // 2 - 20, WIDTH // 2 + 20
    assert image[quarter, left].argmax() == 0
    assert image[quarter, right].argmax() == 1
    assert image[3 * quarter, left].argmax() == 2
    assert np.ptp(image[3 * quarter, right]) < 40


def test_glass_lets_what_is_behind_it_through(renderer: Renderer, tmp_path: Path) -> None:
    glass = mesh("float[] primvars:displayOpacity = [0.3]\ncolor3f[] primvars:displayColor = [(0, 0, 1)]", name="Glass")
    wall = mesh(
        "color3f[] primvars:displayColor = [(1, 0, 0)]\ndouble3 xformOp:translate = (0, 0, -0.5)\n"
        'uniform token[] xformOpOrder = ["xformOp:translate"]',
        name="Wall",
    )
    red, green, blue = middle(picture(renderer, read(tmp_path, world(glass + wall)), camera=FRONT))
    assert red > 110
    assert 25 < blue < 130
    assert green < 80


def test_lines_and_dots_are_seen(renderer: Renderer, tmp_path: Path) -> None:
    line = """
def BasisCurves "Line"
{
    uniform token type = "linear"
    point3f[] points = [(-1, 0, 0), (1, 0, 0)]
    int[] curveVertexCounts = [2]
    color3f[] primvars:displayColor = [(1, 0, 0)]
}
def Points "Dots" { point3f[] points = [(0, 1, 0), (0, -1, 0)] }
"""
    image = picture(renderer, read(tmp_path, world(line)), camera=FRONT)
    drawn = model(image)
    assert drawn[HEIGHT // 2 - 2 : HEIGHT // 2 + 2].sum() > 50
    assert drawn[:20].any()
    assert drawn[-20:].any()


def test_time_moves_what_is_animated(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING + 'def Cube "Fixed" { }')))
    first, last = (picture(renderer, scene, frame=frame) for frame in (0, 4))
    assert (first != last).any()
    assert (picture(renderer, scene, frame=0) == first).all()


def test_a_deforming_mesh_changes_its_shape(renderer: Renderer, tmp_path: Path) -> None:
    growing = mesh("""point3f[] points.timeSamples = {
        1: [(-1, -1, 0), (0, -1, 0), (0, 0, 0), (-1, 0, 0)],
        2: [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)],
    }""").replace("point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]", "")
    fixed = mesh(
        'double3 xformOp:translate = (0, 0, -1)\nuniform token[] xformOpOrder = ["xformOp:translate"]\n'
        "color3f[] primvars:displayColor = [(1, 0, 0)]",
        name="Fixed",
    )
    scene = read(tmp_path, with_range(world(growing + fixed), 1, 2))
    redness = [float(picture(renderer, scene, camera=FRONT, frame=frame)[..., 0].mean()) for frame in (0, 1)]
    assert redness[0] != redness[1]


def test_fine_pictures_have_smoother_edges(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, world('def Cube "C" { color3f[] primvars:displayColor = [(1, 0, 0)] }'))
    tones = [len(np.unique(picture(renderer, scene, fine=fine).reshape(-1, 3), axis=0)) for fine in (False, True)]
    assert tones[1] > tones[0] * 1.2


def test_a_message_is_written_and_taken_away(renderer: Renderer) -> None:
    renderer.say("This stage cannot be opened", "there is no stage 'a.usda'")
    said = model(renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=True)[..., :3])
    assert 0.02 < said.mean() < 0.6
    assert not said[:20].any()
    renderer.say("")
    assert not model(renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=True)[..., :3]).any()


def test_any_size_and_any_order_of_sizes_is_drawn(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, world('def Cube "C" { }'))
    renderer.show(scene)
    for width, height in ((64, 48), (320, 180), (2, 2), (48, 200)):
        for coarse in (False, True):
            picture_of_size = renderer.draw(Camera(), 0, width, height, fine=width == 320, coarse=coarse)
            assert picture_of_size.shape == (height, width, 4)


def test_a_scene_replaces_the_last_one(renderer: Renderer, tmp_path: Path) -> None:
    red = read(tmp_path, world(mesh("color3f[] primvars:displayColor = [(1, 0, 0)]")), name="red.usda")
    empty = read(tmp_path, HEADER, name="empty.usda")
    assert model(picture(renderer, red, camera=FRONT)).any()
    assert not model(picture(renderer, empty)).any()


def test_pictures_do_not_share_their_memory(renderer: Renderer, tmp_path: Path) -> None:
    first = picture(renderer, read(tmp_path, world(mesh())), camera=FRONT)
    kept = first.copy()
    renderer.show(None)
    renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=False)
    assert (first == kept).all()


def test_a_coarse_picture_shows_the_same_less_sharply(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, world('def Sphere "S" { color3f[] primvars:displayColor = [(1, 0, 0)] }'))
    navigator = Navigator.of(scene)
    navigator.set_aspect(WIDTH / HEIGHT)
    renderer.show(scene)
    whole, coarse = (
        renderer.draw(navigator.camera, 0, WIDTH, HEIGHT, fine=False, coarse=coarse)[..., :3].astype(int)
        for coarse in (False, True)
    )
    assert (whole != coarse).any()
    assert np.abs(whole - coarse).mean() < 2
    assert np.abs(np.diff(coarse, axis=1)).max() < np.abs(np.diff(whole, axis=1)).max()
