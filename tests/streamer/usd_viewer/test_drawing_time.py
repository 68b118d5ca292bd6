"""Time samples in pictures: transforms, points, visibility, crowds, skinned characters."""

from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer import instancing
from streamer.usd_viewer.parts import bounds_of
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Scene
from tests.streamer.usd_viewer.drawing import colored, drawn, moved, scene_of
from tests.streamer.usd_viewer.stages import mesh

EDGES = mesh(moved(-6), name="Left") + mesh(moved(6), name="Right")
"""Things that keep the picture's frame where it is."""


def crowd(attributes: str, *, prototypes: str = "A", more: str = "") -> str:
    protos = {"A": mesh(colored(1, 0, 0), name="Q"), "B": mesh(colored(0, 0, 1), name="Q")}
    targets = ", ".join(f"</World/Crowd/{name}>" for name in prototypes)
    bodies = "".join(f'def Xform "{name}"\n{{\n{protos[name]}\n}}\n' for name in prototypes)
    return f'def PointInstancer "Crowd"\n{{\nrel prototypes = [{targets}]\n{attributes}\n{more}\n{bodies}\n}}\n'


def colours(renderer: Renderer, scene: Scene, frame: int) -> dict[str, int]:
    """How many pixels are clearly red or blue."""
    image = drawn(renderer, scene, frame=frame).astype(int)
    red = (image[..., 0] > image[..., 2] + 80) & (image[..., 0] > 120)
    blue = (image[..., 2] > image[..., 0] + 80) & (image[..., 2] > 120)
    return {"red": int(red.sum()), "blue": int(blue.sum())}


def middle_of_red(renderer: Renderer, scene: Scene, frame: int) -> float:
    """Where, from 0 to 1, the red in the picture has its middle."""
    image = drawn(renderer, scene, frame=frame).astype(int)
    columns = np.nonzero((image[..., 0] > image[..., 2] + 80) & (image[..., 0] > 120))[1]
    return float(columns.mean() / image.shape[1])


def test_transforms_move(renderer: Renderer, tmp_path: Path) -> None:
    mover = mesh(
        colored(1, 0, 0)
        + "double3 xformOp:translate.timeSamples = { 1: (-4, 0, 0), 3: (4, 0, 0) }\n"
        + 'uniform token[] xformOpOrder = ["xformOp:translate"]'
    )
    scene = scene_of(tmp_path, EDGES + mover, frames=3)
    places = [middle_of_red(renderer, scene, frame) for frame in range(3)]
    assert places[0] < 0.35 < places[1] < 0.65 < places[2]


def test_points_move(renderer: Renderer, tmp_path: Path) -> None:
    grower = mesh(
        colored(1, 0, 0)
        + "point3f[] points.timeSamples = {\n1: [(-1, -1, 0), (0, -1, 0), (0, 0, 0), (-1, 0, 0)],\n"
        + "2: [(-1, -1, 0), (3, -1, 0), (3, 1, 0), (-1, 1, 0)],\n}"
    ).replace("point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]", "")
    scene = scene_of(tmp_path, EDGES + grower, frames=2)
    assert colours(renderer, scene, 1)["red"] > 4 * colours(renderer, scene, 0)["red"] > 0


def test_things_come_and_go(renderer: Renderer, tmp_path: Path) -> None:
    blinking = 'token visibility.timeSamples = { 1: "inherited", 2: "invisible", 3: "inherited" }\n'
    hidden_first = 'token visibility.timeSamples = { 1: "invisible", 2: "inherited" }\n'
    late = f'def Xform "Late"\n{{\n{hidden_first}{mesh(moved(3) + colored(0, 0, 1))}}}\n'
    scene = scene_of(tmp_path, EDGES + mesh(blinking + colored(1, 0, 0)) + late, frames=3)
    assert scene.omissions == ()
    seen = [colours(renderer, scene, frame) for frame in range(3)]
    assert [found["red"] > 50 for found in seen] == [True, False, True]
    assert [found["blue"] > 50 for found in seen] == [False, True, True]
    assert scene.timeline.frames == 3


def test_what_is_hidden_is_not_picked(renderer: Renderer, tmp_path: Path) -> None:
    blinking = 'token visibility.timeSamples = { 1: "inherited", 2: "invisible" }\n'
    scene = scene_of(tmp_path, EDGES + mesh(blinking), frames=2)
    drawn(renderer, scene, frame=0)
    assert renderer.pick(0.5, 0.5) == "/World/Quad"
    drawn(renderer, scene, frame=1)
    assert renderer.pick(0.5, 0.5) is None


def test_what_is_never_to_be_seen_is_left_out(tmp_path: Path) -> None:
    never = 'token visibility.timeSamples = { 1: "invisible", 2: "invisible" }\n'
    assert scene_of(tmp_path, mesh(never) + mesh(name="Seen"), frames=2).triangles == 2


def test_a_crowd_moves(renderer: Renderer, tmp_path: Path) -> None:
    walking = "int[] protoIndices = [0]\npoint3f[] positions.timeSamples = { 1: [(-4, 0, 0)], 3: [(4, 0, 0)] }"
    scene = scene_of(tmp_path, EDGES + crowd(walking), frames=3)
    assert scene.omissions == ()
    places = [middle_of_red(renderer, scene, frame) for frame in range(3)]
    assert places[0] < 0.35 < places[1] < 0.65 < places[2]


def test_a_crowd_turns(renderer: Renderer, tmp_path: Path) -> None:
    turning = (
        "int[] protoIndices = [0]\npoint3f[] positions = [(0, 0, 0)]\n"
        "quath[] orientations.timeSamples = { 1: [(1, 0, 0, 0)], 2: [(0.7071, 0, 0.7071, 0)] }"
    )
    scene = scene_of(tmp_path, EDGES + crowd(turning), frames=2)
    assert colours(renderer, scene, 0)["red"] > 20 * max(colours(renderer, scene, 1)["red"], 1)


def test_a_crowd_grows_shrinks_and_changes_its_kinds(renderer: Renderer, tmp_path: Path) -> None:
    changing = """
    int[] protoIndices.timeSamples = { 1: [0], 2: [0, 1, 1], 3: [1] }
    point3f[] positions.timeSamples = {
        1: [(0, 0, 0)],
        2: [(-3, 0, 0), (0, 0, 0), (3, 0, 0)],
        3: [(0, 0, 0)],
    }
    """
    scene = scene_of(tmp_path, EDGES + crowd(changing, prototypes="AB"), frames=3)
    seen = [colours(renderer, scene, frame) for frame in range(3)]
    one = seen[0]["red"]
    assert one > 100
    assert [round(found["red"] / one) for found in seen] == [1, 1, 0]
    assert [round(found["blue"] / one) for found in seen] == [0, 2, 1]


def test_a_crowd_that_is_empty_at_the_start_is_framed_and_shown_later(renderer: Renderer, tmp_path: Path) -> None:
    coming = """
    int[] protoIndices.timeSamples = { 1: [], 2: [0, 0] }
    point3f[] positions.timeSamples = { 1: [], 2: [(-3, 0, 0), (3, 0, 0)] }
    """
    scene = scene_of(tmp_path, crowd(coming), frames=2)
    assert scene.bounds.high[0] == pytest.approx(4.0)
    assert colours(renderer, scene, 0)["red"] == 0
    assert colours(renderer, scene, 1)["red"] > 500


def test_instances_hide_over_time(renderer: Renderer, tmp_path: Path) -> None:
    hiding = """
    int[] protoIndices = [0, 0]
    point3f[] positions = [(-3, 0, 0), (3, 0, 0)]
    int64[] invisibleIds.timeSamples = { 1: [], 2: [0], 3: [0, 1] }
    """
    scene = scene_of(tmp_path, EDGES + crowd(hiding), frames=3)
    seen = [colours(renderer, scene, frame)["red"] for frame in range(3)]
    assert seen[0] == pytest.approx(2 * seen[1], rel=0.1)
    assert seen[2] == 0


def test_a_crowd_goes_where_its_carrier_goes(renderer: Renderer, tmp_path: Path) -> None:
    ride = (
        "double3 xformOp:translate.timeSamples = { 1: (-4, 0, 0), 3: (4, 0, 0) }\n"
        'uniform token[] xformOpOrder = ["xformOp:translate"]'
    )
    still = "int[] protoIndices = [0, 0]\npoint3f[] positions = [(0, 0, 0), (0, 3, 0)]"
    climbing = "int[] protoIndices = [0]\npoint3f[] positions.timeSamples = { 1: [(0, 0, 0)], 3: [(0, 3, 0)] }"
    for attributes in (still, climbing):
        scene = scene_of(tmp_path, EDGES + crowd(attributes, more=ride), frames=3)
        places = [middle_of_red(renderer, scene, frame) for frame in range(3)]
        assert places[0] < 0.35 < places[1] < 0.65 < places[2]


def test_a_crowd_of_crowds_moves(renderer: Renderer, tmp_path: Path) -> None:
    inner = f"""
def PointInstancer "Crowd"
{{
    rel prototypes = </World/Crowd/Group>
    int[] protoIndices = [0, 0]
    point3f[] positions = [(0, 2, 0), (0, -2, 0)]
    def PointInstancer "Group"
    {{
        rel prototypes = </World/Crowd/Group/Q>
        int[] protoIndices = [0]
        point3f[] positions.timeSamples = {{ 1: [(-4, 0, 0)], 3: [(4, 0, 0)] }}
        {mesh(colored(1, 0, 0), name="Q")}
    }}
}}
"""
    scene = scene_of(tmp_path, EDGES + inner, frames=3)
    places = [middle_of_red(renderer, scene, frame) for frame in range(3)]
    assert places[0] < 0.35 < places[1] < 0.65 < places[2]
    assert scene.paths[-1] == "/World/Crowd"


def test_bounds_and_picks_follow_a_crowd(renderer: Renderer, tmp_path: Path) -> None:
    walking = "int[] protoIndices = [0]\npoint3f[] positions.timeSamples = { 1: [(-3, 0, 0)], 2: [(0, 0, 0)] }"
    scene = scene_of(tmp_path, EDGES + crowd(walking), frames=2)
    bounds = [bounds_of(scene, ["/World/Crowd"], frame) for frame in range(2)]
    assert [found.center[0] for found in bounds if found is not None] == pytest.approx([-3.0, 0.0])
    drawn(renderer, scene, frame=1)
    assert renderer.pick(0.5, 0.5) == "/World/Crowd"


def test_a_crowd_too_large_to_be_moved_stands_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instancing, "MAX_MOVING", 4)
    many = (
        "int[] protoIndices = [0, 0, 0]\n"
        "point3f[] positions.timeSamples = {\n1: [(0, 0, 0), (1, 0, 0), (2, 0, 0)],\n"
        "2: [(0, 0, 0), (1, 0, 0), (3, 0, 0)] }"
    )
    scene = scene_of(tmp_path, crowd(many), frames=2)
    assert "too many instances to move" in scene.omissions[0]
    assert scene.triangles == 6


def test_what_moves_within_a_prototype_is_told(tmp_path: Path) -> None:
    spinning = mesh(
        "double3 xformOp:translate.timeSamples = { 1: (0, 0, 0), 2: (4, 0, 0) }\n"
        'uniform token[] xformOpOrder = ["xformOp:translate"]',
        name="Spinner",
    )
    still = "int[] protoIndices = [0]\npoint3f[] positions = [(0, 0, 0)]"
    text = crowd(still).replace('def Xform "A"\n{\n', f'def Xform "A"\n{{\n{spinning}')
    (line,) = scene_of(tmp_path, text, frames=2).omissions
    assert line.startswith("prims that move within what point instancers place")


SKINNED = """
def SkelRoot "Root" ( prepend apiSchemas = ["SkelBindingAPI"] )
{
    rel skel:skeleton = </World/Root/Skel>
    rel skel:animationSource = </World/Root/Skel/Anim>
    def Skeleton "Skel"
    {
        uniform token[] joints = ["bone"]
        uniform matrix4d[] bindTransforms = [( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1) )]
        uniform matrix4d[] restTransforms = [( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1) )]
        def SkelAnimation "Anim"
        {
            uniform token[] joints = ["bone"]
            float3[] translations.timeSamples = { 1: [(-4, 0, 0)], 3: [(4, 0, 0)] }
            quatf[] rotations = [(1, 0, 0, 0)]
            half3[] scales = [(1, 1, 1)]
        }
    }
    def Mesh "Skin" ( prepend apiSchemas = ["SkelBindingAPI"] )
    {
        color3f[] primvars:displayColor = [(1, 0, 0)]
        point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        uniform token subdivisionScheme = "none"
        int[] primvars:skel:jointIndices = [0, 0, 0, 0] ( elementSize = 1\ninterpolation = "vertex" )
        float[] primvars:skel:jointWeights = [1, 1, 1, 1] ( elementSize = 1\ninterpolation = "vertex" )
        matrix4d primvars:skel:geomBindTransform = ( (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1) )
    }
}
"""


def test_a_skinned_mesh_follows_its_bones(renderer: Renderer, tmp_path: Path) -> None:
    scene = scene_of(tmp_path, EDGES + SKINNED, frames=3)
    assert scene.omissions == ()
    places = [middle_of_red(renderer, scene, frame) for frame in range(3)]
    assert places[0] < 0.35 < places[1] < 0.65 < places[2]


def test_an_instanced_character_rests_and_is_told(renderer: Renderer, tmp_path: Path) -> None:
    part = tmp_path / "character.usda"
    part.write_text('#usda 1.0\n( defaultPrim = "World" )\ndef Xform "World"\n{\n' + SKINNED + "}\n")
    instance = 'def Xform "I" ( instanceable = true\nprepend references = @./character.usda@ )\n{\n}\n'
    scene = scene_of(tmp_path, EDGES + instance, frames=3)
    assert scene.omissions == ("skinned characters, shown in their rest pose: /World/I/Root",)
    assert middle_of_red(renderer, scene, 2) == pytest.approx(0.5, abs=0.05)
