"""What a viewer points at, what is outlined, and the wireframe."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.camera import Camera
from streamer.usd_viewer.marking import COLOR, paint_rim
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Scene
from tests.streamer.usd_viewer.stages import mesh, read, world
from tests.streamer.usd_viewer.test_renderer import FRONT, HEIGHT, WIDTH, model, picture
from tests.streamer.usd_viewer.test_stage_reader import MOVING, with_range


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer()
    yield made
    made.close()


def at(x: float, y: float = 0.0, z: float = 0.0) -> str:
    return f'double3 xformOp:translate = ({x}, {y}, {z})\nuniform token[] xformOpOrder = ["xformOp:translate"]'


def two(folder: Path) -> Scene:
    return read(folder, world(mesh(at(-2), name="Left") + mesh(at(2), name="Right")))


def rim(image: Bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return np.asarray((np.abs(image[..., :3].astype(int) - COLOR) < 12).all(axis=2))


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("edges_only", [False, True])
def test_one_picks_what_one_points_at(renderer: Renderer, tmp_path: Path, fine: bool, edges_only: bool) -> None:
    renderer.wireframe(edges_only)
    drawn = model(picture(renderer, two(tmp_path), camera=FRONT, fine=fine))
    renderer.wireframe(False)
    columns = np.flatnonzero(drawn.any(axis=0))
    left, right = (columns[0] + 2) / WIDTH, (columns[-1] - 2) / WIDTH
    assert renderer.pick(left, 0.5) == "/World/Left"
    assert renderer.pick(right, 0.5) == "/World/Right"
    assert renderer.pick(0.5, 0.02) is None


def test_what_is_in_front_is_picked(renderer: Renderer, tmp_path: Path) -> None:
    picture(renderer, read(tmp_path, world(mesh(at(0), name="Back") + mesh(at(0, 0, 1), name="Front"))), camera=FRONT)
    assert renderer.pick(0.5, 0.5) == "/World/Front"


def test_an_instance_is_picked_by_its_own_path(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(world(mesh()))
    placed = "".join(
        f'def Xform "{name}" ( instanceable = true\n prepend references = @./part.usda@ ) {{ {at(x)} }}\n'
        for name, x in (("A", -2), ("B", 2))
    )
    picture(renderer, read(tmp_path, world(placed)), camera=FRONT)
    assert [renderer.pick(x, 0.5) for x in (0.25, 0.75)] == ["/World/A/Quad", "/World/B/Quad"]


def test_a_line_is_picked_from_nearby(renderer: Renderer, tmp_path: Path) -> None:
    line = """
def BasisCurves "Line"
{
    uniform token type = "linear"
    point3f[] points = [(-1, 0, 0), (1, 0, 0)]
    int[] curveVertexCounts = [2]
}
"""
    picture(renderer, read(tmp_path, world(line)), camera=FRONT)
    assert renderer.pick(0.5, 0.5 + 2 / HEIGHT) == "/World/Line"
    assert renderer.pick(0.5, 0.5 + 12 / HEIGHT) is None


def test_what_moves_is_picked_where_it_is(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING)))
    for frame in (0, 4):
        drawn = model(picture(renderer, scene, camera=FRONT, frame=frame))
        rows, columns = np.nonzero(drawn)
        place = (float(columns.mean() + 0.5) / WIDTH, float(rows.mean() + 0.5) / HEIGHT)
        assert renderer.pick(*place) == "/World/Outer/Inner/A"
        bounds = renderer.bounds_of(["/World/Outer"])
        assert bounds is not None
        assert bounds.center[0] + scene.origin[0] == pytest.approx(float(frame))


@pytest.mark.parametrize("place", [(-0.1, 0.5), (1.0, 0.5), (0.5, 1.5), (float("nan"), 0.5), (0.5, float("inf"))])
def test_outside_of_the_picture_there_is_nothing(
    renderer: Renderer, tmp_path: Path, place: tuple[float, float]
) -> None:
    picture(renderer, read(tmp_path, world(mesh())), camera=FRONT)
    assert renderer.pick(*place) is None
    assert renderer.pick(0.5, 0.5) == "/World/Quad"


def test_without_a_scene_there_is_nothing_to_pick(renderer: Renderer) -> None:
    renderer.show(None)
    renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=False)
    assert renderer.pick(0.5, 0.5) is None
    assert renderer.bounds_of(["/"]) is None
    renderer.outline(["/World"])
    assert not rim(renderer.draw(Camera(), 0, WIDTH, HEIGHT, fine=False)).any()


def test_picking_leaves_the_picture_as_it_was(renderer: Renderer, tmp_path: Path) -> None:
    scene = two(tmp_path)
    before = picture(renderer, scene, camera=FRONT, fine=True)
    renderer.pick(0.25, 0.5)
    assert (picture(renderer, scene, camera=FRONT, fine=True) == before).all()


@pytest.mark.parametrize("fine", [False, True])
def test_the_outline_goes_around_what_is_marked(renderer: Renderer, tmp_path: Path, fine: bool) -> None:
    scene = two(tmp_path)
    plain = picture(renderer, scene, camera=FRONT, fine=fine)
    assert not rim(plain).any()
    renderer.outline(["/World/Left"])
    marked = rim(renderer.draw(*_again(renderer, scene), fine=fine))
    assert 80 < marked.sum() < 2000
    assert not marked[:, WIDTH // 2 :].any()
    inside = model(plain)[:, : WIDTH // 2] & ~marked[:, : WIDTH // 2]
    assert inside.sum() > 500
    renderer.outline([])
    assert not rim(renderer.draw(*_again(renderer, scene), fine=fine)).any()


def _again(renderer: Renderer, scene: Scene) -> tuple[Camera, int, int, int]:
    navigator = Navigator.of(scene)
    navigator.set_aspect(WIDTH / HEIGHT)
    navigator.camera = FRONT
    navigator.frame_all()
    return navigator.camera, 0, WIDTH, HEIGHT


def test_the_outline_shows_through_what_is_in_front(renderer: Renderer, tmp_path: Path) -> None:
    wall = mesh(at(0, 0, 1) + "\nfloat3 xformOp:scale = (3, 3, 1)", name="Wall").replace(
        '["xformOp:translate"]', '["xformOp:translate", "xformOp:scale"]'
    )
    scene = read(tmp_path, world(wall + mesh(name="Behind")))
    picture(renderer, scene, camera=FRONT)
    renderer.outline(["/World/Behind"])
    assert rim(renderer.draw(*_again(renderer, scene), fine=False)).sum() > 50


def test_a_new_scene_begins_without_an_outline(renderer: Renderer, tmp_path: Path) -> None:
    scene = two(tmp_path)
    picture(renderer, scene, camera=FRONT)
    renderer.outline(["/World"])
    assert not rim(picture(renderer, scene, camera=FRONT)).any()


def test_a_rim_surrounds_a_shape_and_stays_within_the_picture() -> None:
    mask = np.zeros((8, 9, 4), np.uint8)
    mask[0:3, 3:6] = 255
    image = np.zeros((8, 9, 4), np.uint8)
    paint_rim(image, mask)
    painted = rim(image)
    assert painted[0:5, 1:8].sum() == 5 * 7 - 9
    assert painted.sum() == 5 * 7 - 9
    paint_rim(image, np.zeros((8, 9, 4), np.uint8))
    assert rim(image).sum() == 5 * 7 - 9


def test_a_wireframe_shows_what_lies_between_its_edges(renderer: Renderer, tmp_path: Path) -> None:
    scene = read(tmp_path, world('def Cube "C" { }'))
    whole = model(picture(renderer, scene)).sum()
    renderer.wireframe(True)
    edges = model(picture(renderer, scene)).sum()
    renderer.wireframe(False)
    assert 0.02 * whole < edges < 0.4 * whole
    assert model(picture(renderer, scene)).sum() == whole
