"""Which prim an element belongs to, and where prims are."""

from pathlib import Path

import pytest

from streamer.usd_viewer.parts import bounds_of, owner_of, parts_under
from streamer.usd_viewer.scene import Scene
from tests.streamer.usd_viewer.stages import mesh, read, world
from tests.streamer.usd_viewer.test_stage_reader import MOVING, with_range


def moved(name: str, x: float) -> str:
    return mesh(
        f'double3 xformOp:translate = ({x}, 0, 0)\nuniform token[] xformOpOrder = ["xformOp:translate"]', name=name
    )


def owners(scene: Scene) -> list[str]:
    return [scene.paths[owner_of(batch, at)] for batch in scene.batches for at in range(len(batch.elements))]


def test_every_element_knows_its_prim(tmp_path: Path) -> None:
    scene = read(tmp_path, world(moved("A", 0) + moved("B", 5) + moved("AB", 9)))
    assert len(scene.batches) == 1
    assert owners(scene) == ["/World/A"] * 2 + ["/World/B"] * 2 + ["/World/AB"] * 2


def test_instances_have_paths_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(world(mesh()))
    placed = "".join(
        f'def Xform "I{n}" ( instanceable = true\n prepend references = @./part.usda@ ) {{ }}\n' for n in range(2)
    )
    assert owners(read(tmp_path, world(placed))) == ["/World/I0/Quad"] * 2 + ["/World/I1/Quad"] * 2


def test_what_a_point_instancer_places_belongs_to_it_and_nothing_else_does(tmp_path: Path) -> None:
    instancer = f"""
def PointInstancer "Many"
{{
    rel prototypes = </World/Many/Proto>
    int[] protoIndices = [0, 0]
    point3f[] positions = [(0, 0, 0), (10, 0, 0)]
    def Xform "Proto" {{ {mesh()} }}
}}
def PointInstancer "Broken"
{{
    rel prototypes = </World/Many/Proto>
    int[] protoIndices = [0, 0]
    point3f[] positions = [(0, 0, 0)]
}}
"""
    assert owners(read(tmp_path, world(instancer + mesh()))) == ["/World/Many"] * 4 + ["/World/Quad"] * 2


def test_parts_are_those_of_a_prim_and_below_it_but_not_of_its_namesakes(tmp_path: Path) -> None:
    scene = read(tmp_path, world(moved("A", 0) + moved("B", 5) + moved("AB", 9)))
    assert [len(part.elements) for part in parts_under(scene, ["/World/A"])] == [2]
    assert [len(part.elements) for part in parts_under(scene, ["/World"])] == [6]
    assert [len(part.elements) for part in parts_under(scene, ["/"])] == [6]
    assert parts_under(scene, ["/World/Gone", "/Worl"]) == []
    (part,) = parts_under(scene, ["/World/B"])
    assert owner_of(part, 1) == scene.paths.index("/World/B")


def test_bounds_are_those_of_the_part_alone(tmp_path: Path) -> None:
    scene = read(tmp_path, world(moved("A", 0) + moved("B", 10)))
    bounds = bounds_of(scene, ["/World/B"])
    assert bounds is not None
    assert (bounds.low[0] + scene.origin[0], bounds.high[0] + scene.origin[0]) == (9.0, 11.0)
    assert bounds_of(scene, ["/World/C"]) is None
    assert bounds_of(scene, []) is None


def test_bounds_follow_what_moves(tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING)))
    places = []
    for frame in (0, 4, 99):
        bounds = bounds_of(scene, ["/World/Outer/Inner/A"], frame)
        assert bounds is not None
        places.append(bounds.center[0] + scene.origin[0])
    assert places == pytest.approx([0.0, 4.0, 4.0])


def test_bounds_follow_what_bends(tmp_path: Path) -> None:
    rising = mesh("""point3f[] points.timeSamples = {
        1: [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)],
        2: [(-1, -1, 0), (1, -1, 0), (1, 3, 0), (-1, 3, 0)],
    }""").replace("point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]", "")
    scene = read(tmp_path, with_range(world(rising), 1, 2))
    bounds = bounds_of(scene, ["/World/Quad"], 1)
    assert bounds is not None
    assert bounds.high[1] + scene.origin[1] == pytest.approx(3.0)
