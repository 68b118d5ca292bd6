"""What comes of a stage: geometry, colours, places, instances, animation, and what is said to be left out."""

from pathlib import Path

import numpy as np
import pytest

from streamer.usd_viewer.camera import UpAxis
from streamer.usd_viewer.scene import Kind, Scene
from streamer.usd_viewer.stage_policy import StageRefused
from tests.streamer.usd_viewer.stages import HEADER, mesh, preview_surface, read, world


def colors(scene: Scene) -> set[tuple[int, int, int, int]]:
    return {(r, g, b, a) for batch in scene.batches for r, g, b, a in batch.colors.tolist()}


def only(omissions: tuple[str, ...]) -> str:
    assert len(omissions) == 1
    return omissions[0]


def test_a_mesh_stands_where_its_transforms_put_it(tmp_path: Path) -> None:
    moved = """
    double3 xformOp:translate = (10, 20, 30)
    float3 xformOp:scale = (2, 1, 1)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]
    """
    scene = read(tmp_path, world(mesh(moved)))
    assert scene.origin == (10.0, 20.0, 30.0)
    assert scene.bounds.low == (-2.0, -1.0, 0.0)
    assert scene.bounds.high == (2.0, 1.0, 0.0)
    assert scene.triangles == 2
    assert scene.omissions == ()
    assert scene.timeline.frames == 1


def test_far_away_geometry_keeps_its_shape(tmp_path: Path) -> None:
    far = 'double3 xformOp:translate = (1e8, 0, 0)\nuniform token[] xformOpOrder = ["xformOp:translate"]'
    scene = read(tmp_path, world(mesh(far)))
    assert np.ptp(scene.batches[0].points, axis=0).tolist() == [2.0, 2.0, 0.0]


def test_up_axis_and_units_are_read(tmp_path: Path) -> None:
    text = world(mesh()).replace('"Y"', '"Z"').replace("metersPerUnit = 1", "metersPerUnit = 0.01")
    scene = read(tmp_path, text)
    assert (scene.up_axis, scene.meters_per_unit) == (UpAxis.Z, 0.01)


@pytest.mark.parametrize(
    ("interpolation", "values", "expected"),
    [
        ("constant", "[(1, 0, 0)]", {(255, 0, 0, 255)}),
        ("uniform", "[(0, 1, 0)]", {(0, 255, 0, 255)}),
        (
            "vertex",
            "[(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]",
            {(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 255)},
        ),
        ("faceVarying", "[(1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1)]", {(255, 0, 0, 255), (0, 0, 255, 255)}),
    ],
)
def test_display_colours_of_every_interpolation(
    tmp_path: Path, interpolation: str, values: str, expected: set[tuple[int, int, int, int]]
) -> None:
    color = f'color3f[] primvars:displayColor = {values} ( interpolation = "{interpolation}" )'
    assert colors(read(tmp_path, world(mesh(color)))) == expected


def test_indexed_display_colours_are_flattened(tmp_path: Path) -> None:
    color = """
    color3f[] primvars:displayColor = [(1, 0, 0), (0, 0, 1)] ( interpolation = "vertex" )
    int[] primvars:displayColor:indices = [0, 1, 1, 0]
    """
    assert colors(read(tmp_path, world(mesh(color)))) == {(255, 0, 0, 255), (0, 0, 255, 255)}


def test_linear_colours_become_display_colours(tmp_path: Path) -> None:
    half = read(tmp_path, world(mesh("color3f[] primvars:displayColor = [(0.5, 0.5, 0.5)]")))
    assert colors(half) == {(188, 188, 188, 255)}


def test_display_opacity_makes_a_batch_translucent_and_last(tmp_path: Path) -> None:
    glass = mesh("float[] primvars:displayOpacity = [0.5]", name="Glass")
    scene = read(tmp_path, world(glass + mesh(name="Solid")))
    assert [batch.surface.translucent for batch in scene.batches] == [False, True]
    assert scene.batches[1].colors[0, 3] == 128


def test_colours_are_inherited(tmp_path: Path) -> None:
    group = f'def Xform "Group" {{ color3f[] primvars:displayColor = [(1, 0, 0)]\n{mesh()} }}'
    assert colors(read(tmp_path, world(group))) == {(255, 0, 0, 255)}


def test_a_material_says_the_colour(tmp_path: Path) -> None:
    red = preview_surface("Red", "color3f inputs:diffuseColor = (1, 0, 0)\nfloat inputs:roughness = 0.2")
    bound = mesh("rel material:binding = </World/Red>\ncolor3f[] primvars:displayColor = [(0, 1, 0)]").replace(
        '"Quad"', '"Quad" ( prepend apiSchemas = ["MaterialBindingAPI"] )'
    )
    scene = read(tmp_path, world(red + bound))
    assert colors(scene) == {(255, 0, 0, 255)}
    assert scene.batches[0].surface.roughness == pytest.approx(0.2)


def test_subsets_have_materials_of_their_own(tmp_path: Path) -> None:
    materials = preview_surface("Red", "color3f inputs:diffuseColor = (1, 0, 0)") + preview_surface(
        "Blue", "color3f inputs:diffuseColor = (0, 0, 1)"
    )
    faces = """
def Mesh "Two" ( prepend apiSchemas = ["MaterialBindingAPI"] )
{
    rel material:binding = </World/Red>
    point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    int[] faceVertexCounts = [3, 3]
    int[] faceVertexIndices = [0, 1, 2, 0, 2, 3]
    def GeomSubset "Part" ( prepend apiSchemas = ["MaterialBindingAPI"] )
    {
        uniform token elementType = "face"
        uniform token familyName = "materialBind"
        int[] indices = [1]
        rel material:binding = </World/Blue>
    }
}
"""
    scene = read(tmp_path, world(materials + faces))
    assert scene.triangles == 2
    assert colors(scene) == {(255, 0, 0, 255), (0, 0, 255, 255)}


def test_holes_are_left_open_and_left_handed_faces_are_turned(tmp_path: Path) -> None:
    two = """
def Mesh "Two"
{
    point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    int[] faceVertexCounts = [3, 3]
    int[] faceVertexIndices = [0, 1, 2, 0, 2, 3]
    int[] holeIndices = [0]
    uniform token orientation = "leftHanded"
    uniform token subdivisionScheme = "none"
}
"""
    scene = read(tmp_path, world(two))
    assert scene.triangles == 1
    assert scene.batches[0].normals.tolist() == [[0.0, 0.0, -1.0]] * 3


def test_mirrored_geometry_keeps_its_outside(tmp_path: Path) -> None:
    mirror = 'float3 xformOp:scale = (-1, 1, 1)\nuniform token[] xformOpOrder = ["xformOp:scale"]'
    batch = read(tmp_path, world(mesh(mirror))).batches[0]
    a, b, c = (batch.points[batch.elements[:, n]] for n in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    assert batch.normals[:, 2] == pytest.approx(1.0)


def test_hidden_guides_and_proxies_are_not_drawn(tmp_path: Path) -> None:
    hidden = 'def Xform "Hidden" { token visibility = "invisible"\n' + mesh() + "}\n"
    guide = mesh('uniform token purpose = "guide"', name="Guide")
    proxy = 'def Xform "Proxy" { uniform token purpose = "proxy"\n' + mesh() + "}\n"
    shown = mesh('uniform token purpose = "render"', name="Shown")
    assert read(tmp_path, world(hidden + guide + proxy + shown)).triangles == 2


def test_implicit_shapes_curves_and_points_are_drawn(tmp_path: Path) -> None:
    shapes = "".join(
        f'def {kind} "{kind}" {{ }}\n' for kind in ("Cube", "Sphere", "Cylinder", "Cone", "Capsule", "Plane")
    )
    curve = """
def BasisCurves "Curve"
{
    uniform token type = "cubic"
    uniform token basis = "bspline"
    point3f[] points = [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 0, 0), (4, 0, 0)]
    int[] curveVertexCounts = [5]
}
def BasisCurves "Line"
{
    uniform token type = "linear"
    uniform token wrap = "periodic"
    point3f[] points = [(0, 0, 0), (1, 0, 0), (2, 1, 0)]
    int[] curveVertexCounts = [3]
}
def Points "Dots" { point3f[] points = [(0, 0, 0), (5, 0, 0)] }
"""
    scene = read(tmp_path, world(shapes + curve))
    assert scene.omissions == ()
    counted = {kind: sum(len(batch.elements) for batch in scene.batches if batch.kind is kind) for kind in Kind}
    assert counted[Kind.LINES] == 2 * 8 + 3
    assert counted[Kind.DOTS] == 2
    assert counted[Kind.SURFACE] > 1000


def test_instances_share_a_shape_and_stand_in_their_own_places(tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(world(mesh()))
    placed = "".join(
        f"""def Xform "I{n}" ( instanceable = true\n prepend references = @./part.usda@ )
        {{ double3 xformOp:translate = ({n * 10}, 0, 0)
           uniform token[] xformOpOrder = ["xformOp:translate"] }}\n"""
        for n in range(3)
    )
    scene = read(tmp_path, world(placed))
    assert scene.triangles == 6
    assert len(scene.batches) == 1
    assert scene.bounds.high[0] == 11.0


def test_point_instancers_place_their_prototypes(tmp_path: Path) -> None:
    instancer = f"""
def PointInstancer "Many"
{{
    double3 xformOp:translate = (0, 100, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    rel prototypes = [</World/Many/Protos/A>, </World/Many/Protos/B>]
    int[] protoIndices = [0, 1, 0, 0]
    int64[] invisibleIds = [3]
    point3f[] positions = [(0, 0, 0), (10, 0, 0), (20, 0, 0), (999, 0, 0)]
    def Scope "Protos"
    {{
        def Xform "A" {{ {mesh()} }}
        def Cube "B" {{ double size = 4 }}
    }}
}}
"""
    scene = read(tmp_path, world(instancer))
    assert scene.triangles == 2 + 12 + 2
    assert scene.origin == (10.0, 100.0, 0.0)
    assert scene.bounds.high == (11.0, 2.0, 2.0)


def test_nested_point_instancers_end(tmp_path: Path) -> None:
    endless = """
def PointInstancer "Loop"
{
    rel prototypes = [</World/Loop>]
    int[] protoIndices = [0, 0]
    point3f[] positions = [(0, 0, 0), (1, 0, 0)]
}
"""
    assert "within one another" in " ".join(read(tmp_path, world(endless)).omissions)


def test_payloads_and_variants_are_drawn_as_authored(tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(world(mesh()))
    chosen = """
def Xform "Loaded" ( prepend payload = @./part.usda@ ) { }
def Xform "Chosen" ( variants = { string shape = "cube" }
    prepend variantSets = "shape" )
{
    variantSet "shape" = {
        "cube" { def Cube "C" { } }
        "none" { }
    }
}
"""
    assert read(tmp_path, world(chosen)).triangles == 2 + 12


MOVING = """
def Xform "Outer"
{
    double3 xformOp:translate.timeSamples = { 1: (0, 0, 0), 5: (4, 0, 0) }
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Xform "Inner"
    {
        double3 xformOp:translate = (0, 10, 0)
        uniform token[] xformOpOrder = ["xformOp:translate"]
        def Cube "A" { double size = 2 }
        def Cube "B" { double size = 1 }
    }
}
"""


def with_range(text: str, start: int = 1, end: int = 5) -> str:
    return text.replace("metersPerUnit = 1", f"metersPerUnit = 1\n startTimeCode = {start}\n endTimeCode = {end}")


def test_what_moves_alike_is_one_batch_with_a_track(tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING)))
    assert (scene.timeline.frames, scene.timeline.frames_per_second) == (5, 24.0)
    (batch,) = scene.batches
    center = batch.points.mean(axis=0)
    places = [center @ matrix[:3, :3] + matrix[3, :3] for matrix in batch.transforms]
    assert [round(float(place[0] + scene.origin[0]), 4) for place in places] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert places[0][1] + scene.origin[1] == pytest.approx(10.0)


def test_what_will_move_is_framed_with_all_of_its_way(tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING)))
    assert float(scene.outline[:, 0].max() - scene.outline[:, 0].min()) == pytest.approx(2.0 + 4.0)


def test_without_an_authored_range_the_stage_stands_still(tmp_path: Path) -> None:
    scene = read(tmp_path, world(MOVING))
    assert scene.timeline.frames == 1
    assert len(scene.batches[0].transforms) == 0


def test_points_that_move_deform_the_mesh(tmp_path: Path) -> None:
    waving = mesh("""point3f[] points.timeSamples = {
        1: [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)],
        3: [(-1, -1, 0), (1, -1, 0), (1, 1, 2), (-1, 1, 2)],
    }""").replace("point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]", "")
    scene = read(tmp_path, with_range(world(waving), 1, 3))
    (batch,) = scene.batches
    assert batch.point_frames.shape[0] == 3
    assert [float(frame[:, 2].max()) for frame in batch.point_frames] == [0.0, 1.0, 2.0]
    assert batch.normal_frames[2] == pytest.approx(np.tile([0, -(0.5**0.5), 0.5**0.5], (4, 1)), abs=1e-6)


def test_a_very_long_range_is_thinned_out(tmp_path: Path) -> None:
    scene = read(tmp_path, with_range(world(MOVING), 0, 10**7))
    assert scene.timeline.frames <= 600


@pytest.mark.parametrize(
    "broken",
    [
        "int[] faceVertexIndices = [0, 1, 2, 99]",
        "int[] faceVertexIndices = [0, 1, 2, -1]",
        "int[] faceVertexIndices = [0, 1]",
        "int[] faceVertexCounts = [-4]",
        "point3f[] points = [(nan, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]",
        "point3f[] points = [(inf, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]",
    ],
)
def test_a_malformed_mesh_is_left_out_and_named(tmp_path: Path, broken: str) -> None:
    name = broken.split("=")[0].strip()
    text = mesh().replace(next(line for line in mesh().splitlines() if line.strip().startswith(name)), broken)
    scene = read(tmp_path, world(text + mesh(name="Good")))
    assert scene.triangles == 2
    assert "/World/Quad" in only(scene.omissions)


@pytest.mark.parametrize(
    ("prim", "told"),
    [
        ('def GeometryLight "L" { }', "lights of type GeometryLight: /World/L"),
        ('def Camera "C" { token projection = "orthographic" }', "orthographic cameras: /World/C"),
        ('def NurbsPatch "N" { }', "prims of type NurbsPatch: /World/N"),
        ('def Volume "V" { }\ndef Volume "W" { }', "prims of type Volume: 2, such as /World/V"),
        ('def Xform "G" ( prepend references = @./gone.usda@ ) { }', "gone.usda"),
    ],
)
def test_what_is_not_drawn_is_told(tmp_path: Path, prim: str, told: str) -> None:
    assert told in only(read(tmp_path, world(prim + mesh())).omissions)


def test_draw_modes_stand_for_their_models(tmp_path: Path) -> None:
    model = """
def Xform "Box" ( prepend apiSchemas = ["GeomModelAPI"]\n kind = "component" )
{
    uniform token model:drawMode = "bounds"
    def Cube "C" { float3[] extent = [(-1, -1, -1), (1, 1, 1)] }
}
"""
    text = world(model).replace('def Xform "World"', 'def Xform "World" ( kind = "assembly" )')
    scene = read(tmp_path, text)
    assert [(batch.kind, len(batch.elements)) for batch in scene.batches] == [(Kind.LINES, 12)]


def test_cameras_are_listed(tmp_path: Path) -> None:
    camera = """
def Camera "Shot"
{
    double3 xformOp:translate = (0, 2, 9)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
"""
    scene = read(tmp_path, world(camera + mesh()))
    (shot,) = scene.cameras
    assert shot.name == "Shot"
    assert tuple(np.array(shot.eye) + scene.origin) == pytest.approx((0.0, 2.0, 9.0))
    assert shot.forward == pytest.approx((0.0, 0.0, -1.0))
    assert 0.1 < shot.field_of_view < 1.0


def test_an_empty_stage_is_a_scene_with_nothing_in_it(tmp_path: Path) -> None:
    scene = read(tmp_path, HEADER)
    assert scene.batches == ()
    assert scene.bounds.radius > 0.0


def test_a_broken_file_is_refused_in_words_without_folders(tmp_path: Path) -> None:
    with pytest.raises(StageRefused, match="broken") as refused:
        read(tmp_path, '#usda 1.0\ndef Mesh "A" {{{ nonsense')
    assert str(tmp_path) not in refused.value.reason
