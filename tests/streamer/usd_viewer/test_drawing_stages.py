"""Stages in pictures: colours of primvars, subsets, instances, purposes, variants, payloads, up axis, units, cards."""

from pathlib import Path

import pytest
from pxr import Usd, UsdUtils

from streamer.usd_viewer.camera import Camera, UpAxis
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer.drawing import (
    FRONT,
    at,
    colored,
    drawn,
    hue,
    image_reader,
    material,
    moved,
    quad,
    save_image,
    scene_of,
    stage,
)
from tests.streamer.usd_viewer.stages import mesh

RED, GREEN, BLUE, WHITE = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 255)


def picture(renderer: Renderer, folder: Path, content: str, *, up: str = "Y") -> Bytes:
    return drawn(renderer, scene_of(folder, content, up=up))


def hues(image: Bytes, *places: float, y: float = 0.5) -> list[str]:
    return [hue(at(image, x, y)) for x in places]


TWO_FACES = """
    point3f[] points = [(-1, -1, 0), (0, -1, 0), (1, -1, 0), (1, 1, 0), (0, 1, 0), (-1, 1, 0)]
    int[] faceVertexCounts = [4, 4]
    int[] faceVertexIndices = [0, 1, 4, 5, 1, 2, 3, 4]
    uniform token subdivisionScheme = "none"
"""


@pytest.mark.parametrize(
    ("interpolation", "values", "expected"),
    [
        ("constant", "[(1, 0, 0)]", ["red", "red"]),
        ("uniform", "[(1, 0, 0), (0, 0, 1)]", ["red", "blue"]),
        (
            "vertex",
            "[(1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1), (1, 0, 0), (1, 0, 0)]",
            ["red", "blue"],
        ),
        (
            "faceVarying",
            "[(0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0)]",
            ["green", "red"],
        ),
    ],
)
def test_display_colours(
    renderer: Renderer, tmp_path: Path, interpolation: str, values: str, expected: list[str]
) -> None:
    color = f'color3f[] primvars:displayColor = {values} ( interpolation = "{interpolation}" )'
    image = picture(renderer, tmp_path, f'def Mesh "Two"\n{{{TWO_FACES}{color}\n}}\n')
    assert hues(image, 0.25, 0.8) == expected


@pytest.mark.parametrize(
    ("interpolation", "values"),
    [("constant", "[0.2]"), ("uniform", "[0.2, 1]"), ("vertex", "[0.2, 0.2, 1, 1, 0.2, 0.2]")],
)
def test_display_opacity(renderer: Renderer, tmp_path: Path, interpolation: str, values: str) -> None:
    opacity = f'float[] primvars:displayOpacity = {values} ( interpolation = "{interpolation}" )\n'
    wall = mesh(moved(0, 0, -0.5) + colored(1, 0, 0), name="Wall")
    image = picture(renderer, tmp_path, wall + f'def Mesh "Two"\n{{{TWO_FACES}{colored(0, 0, 1)}{opacity}\n}}\n')
    assert hues(image, 0.25, 0.78) == (["red", "red"] if interpolation == "constant" else ["red", "blue"])


def test_subsets_have_materials_of_their_own(renderer: Renderer, tmp_path: Path) -> None:
    materials = material("color3f inputs:diffuseColor = (1, 0, 0)") + material(
        "color3f inputs:diffuseColor = (0, 0, 1)", name="N"
    )
    subset = (
        'def GeomSubset "Right" ( prepend apiSchemas = ["MaterialBindingAPI"] )\n{\n'
        'uniform token elementType = "face"\nuniform token familyName = "materialBind"\n'
        "int[] indices = [1]\nrel material:binding = </World/N>\n}\n"
    )
    binding = "rel material:binding = </World/M>\n"
    two = f'def Mesh "Two" ( prepend apiSchemas = ["MaterialBindingAPI"] )\n{{{TWO_FACES}{binding}{subset}}}\n'
    assert hues(picture(renderer, tmp_path, materials + two), 0.25, 0.8) == ["red", "blue"]


def test_transforms_nest(renderer: Renderer, tmp_path: Path) -> None:
    inner = mesh(moved(-1.5) + colored(1, 0, 0), name="A") + mesh(moved(1.5) + colored(0, 0, 1), name="B")
    turned = 'float3 xformOp:rotateXYZ = (0, 0, 180)\nuniform token[] xformOpOrder = ["xformOp:rotateXYZ"]\n'
    image = picture(renderer, tmp_path, f'def Xform "Turned"\n{{\n{turned}{inner}}}\n')
    assert hues(image, 0.2, 0.8) == ["blue", "red"]


def test_instances_stand_in_their_places_in_their_colours(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(stage(mesh()))
    placed = "".join(
        f'def Xform "I{x}" ( instanceable = true\nprepend references = @./part.usda@ )\n'
        f"{{\n{moved(x * 3)}{colored(1 - x, 0, x)}}}\n"
        for x in (0, 1)
    )
    assert hues(picture(renderer, tmp_path, placed), 0.2, 0.5, 0.8) == ["red", "grey", "blue"]


def test_point_instancers_place_turn_and_scale(renderer: Renderer, tmp_path: Path) -> None:
    sides = mesh(colored(1, 0, 0), name="Face") + mesh(
        moved(0, 0, -0.1).replace("xformOpOrder = [", "xformOpOrder = [") + colored(0, 0, 1), name="Back"
    )
    crowd = f"""
def PointInstancer "Crowd"
{{
    rel prototypes = </World/Crowd/Proto>
    int[] protoIndices = [0, 0]
    point3f[] positions = [(-1.5, 0, 0), (1.5, 0, 0)]
    quath[] orientations = [(1, 0, 0, 0), (0, 0, 1, 0)]
    float3[] scales = [(1, 1, 1), (1, 0.4, 1)]
    def Xform "Proto"
    {{
{sides}
    }}
}}
"""
    image = picture(renderer, tmp_path, crowd)
    assert hues(image, 0.25, 0.75) == ["red", "blue"]
    assert hues(image, 0.25, 0.75, y=0.33) == ["red", hue(at(image, 0.5, 0.33))]


def test_only_default_and_render_purposes_are_drawn(renderer: Renderer, tmp_path: Path) -> None:
    def of(purpose: str, x: float) -> str:
        return mesh(f'uniform token purpose = "{purpose}"\n' + moved(x) + colored(1, 0, 0), name=purpose.title())

    image = picture(renderer, tmp_path, of("default", -4.5) + of("render", -1.5) + mesh(moved(4.5), name="Edge"))
    shown = hues(image, 0.1, 0.35)
    both = picture(
        renderer,
        tmp_path,
        of("default", -4.5) + of("render", -1.5) + of("guide", 1.5) + of("proxy", 2) + mesh(moved(4.5), name="Edge"),
    )
    assert shown == ["red", "red"]
    assert (image == both).all()


def test_the_chosen_variant_and_the_payload_are_drawn(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "part.usda").write_text(stage(mesh(colored(0, 0, 1))))
    chosen = f"""
def Xform "Chosen" ( variants = {{ string paint = "red" }}
    prepend variantSets = "paint" )
{{
    {moved(-1.5)}
    variantSet "paint" = {{
        "red" {{
            {mesh(colored(1, 0, 0))}
        }}
        "green" {{
            {mesh(colored(0, 1, 0))}
        }}
    }}
}}
def Xform "Loaded" ( prepend payload = @./part.usda@ )
{{
{moved(1.5)}
}}
"""
    assert hues(picture(renderer, tmp_path, chosen), 0.2, 0.8) == ["red", "blue"]


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_up_is_up(renderer: Renderer, tmp_path: Path, up: str) -> None:
    def cube(name: str, height: float, color: str) -> str:
        place = moved(0, height) if up == "Y" else moved(0, 0, height)
        return f'def Cube "{name}"\n{{\n{place}{color}}}\n'

    scene = scene_of(tmp_path, cube("High", 1.5, colored(1, 0, 0)) + cube("Low", -1.5, colored(0, 0, 1)), up=up)
    image = drawn(renderer, scene, camera=Camera(azimuth=0.0, elevation=0.0, up_axis=UpAxis(up)))
    assert [hue(at(image, 0.5, y)) for y in (0.25, 0.75)] == ["red", "blue"]


@pytest.mark.parametrize("unit", ["0.001", "0.01", "1", "1000"])
def test_units_and_sizes_of_any_kind_are_framed(renderer: Renderer, tmp_path: Path, unit: str) -> None:
    text = stage(f'def Cube "C"\n{{\ndouble size = {2 / float(unit)}\n{colored(1, 0, 0)}}}\n')
    path = tmp_path / "stage.usda"
    path.write_text(text.replace("metersPerUnit = 1", f"metersPerUnit = {unit}"))
    scene = read_stage(path, StagePolicy.under(tmp_path), lambda prims: None)
    assert scene.meters_per_unit == float(unit)
    assert hues(drawn(renderer, scene), 0.5) == ["red"]


def test_a_crate_and_a_package_look_as_their_text(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "image.png", [[RED, GREEN], [BLUE, WHITE]])
    inputs = "color3f inputs:diffuseColor.connect = </World/M/Image.outputs:rgb>"
    text = drawn(renderer, scene_of(tmp_path, material(inputs, image_reader("Image", "image.png")) + quad()))
    opened = Usd.Stage.Open(str(tmp_path / "stage.usda"))
    opened.GetRootLayer().Export(str(tmp_path / "crate.usdc"))
    assert UsdUtils.CreateNewUsdzPackage(str(tmp_path / "stage.usda"), str(tmp_path / "packed.usdz"))
    for name in ("crate.usdc", "packed.usdz"):
        scene = read_stage(tmp_path / name, StagePolicy.under(tmp_path), lambda prims: None)
        assert (drawn(renderer, scene) == text).all(), name


def model(mode: str, more: str = "", *, geometry: str = "cross") -> str:
    faces = "float3[] extent = [(-1, -1, -1), (1, 1, 1)]\n"
    return (
        'def Xform "Model" ( prepend apiSchemas = ["GeomModelAPI"]\nkind = "component" )\n{\n'
        f'uniform token model:drawMode = "{mode}"\nuniform token model:cardGeometry = "{geometry}"\n'
        f"float3 model:drawModeColor = (0, 0, 1)\n{more}\n"
        f'def Cube "C"\n{{\n{faces}{colored(1, 0, 0)}}}\n}}\n'
    )


def as_assembly(content: str) -> str:
    return stage(content).replace('def Xform "World"', 'def Xform "World" ( kind = "assembly" )')


def of_model(renderer: Renderer, folder: Path, content: str, *, azimuth: float = 0.0) -> Bytes:
    (folder / "model.usda").write_text(as_assembly(content))
    scene = read_stage(folder / "model.usda", StagePolicy.under(folder), lambda prims: None)
    return drawn(renderer, scene, camera=Camera(azimuth=azimuth, elevation=0.0))


def test_a_model_in_its_default_mode_is_drawn_itself(renderer: Renderer, tmp_path: Path) -> None:
    assert hues(of_model(renderer, tmp_path, model("default")), 0.5) == ["red"]


@pytest.mark.parametrize("mode", ["bounds", "origin"])
def test_bounds_and_origin_are_lines_in_the_models_colour(renderer: Renderer, tmp_path: Path, mode: str) -> None:
    image = of_model(renderer, tmp_path, model(mode)).astype(int)
    blue = (image[..., 2] > 150) & (image[..., 0] < 60)
    assert 30 < blue.sum() < 2500
    assert not ((image[..., 0] > 150) & (image[..., 2] < 60)).any()


ZPOS, ZNEG, XPOS = ("asset model:cardTexture" + face + " = @./" + face + ".png@\n" for face in ("ZPos", "ZNeg", "XPos"))


@pytest.mark.parametrize("geometry", ["cross", "box"])
def test_cards_show_their_pictures_upright_and_not_mirrored(renderer: Renderer, tmp_path: Path, geometry: str) -> None:
    """From +z up is +y; from -z the picture stands on its head; from +x its up is +z, so it lies on its side."""
    corners = [[RED, GREEN], [BLUE, (255, 255, 0, 255)]]
    for face in ("ZPos", "ZNeg", "XPos"):
        save_image(tmp_path, f"{face}.png", corners)
    content = model("cards", ZPOS + ZNEG + XPOS, geometry=geometry)

    def quarters(azimuth: float) -> list[str]:
        image = of_model(renderer, tmp_path, content, azimuth=azimuth)
        return [hue(at(image, x, y)) for y in (0.3, 0.7) for x in (0.42, 0.58)]

    assert quarters(0.0) == ["red", "green", "blue", "yellow"]
    assert quarters(3.14159265) == ["yellow", "blue", "green", "red"]
    assert quarters(1.57079633) == ["green", "yellow", "red", "blue"]


def test_one_card_serves_both_sides_and_is_cut_out(renderer: Renderer, tmp_path: Path) -> None:
    save_image(tmp_path, "ZPos.png", [[RED, (0, 0, 0, 0)]])
    front = of_model(renderer, tmp_path, model("cards", ZPOS))
    back = of_model(renderer, tmp_path, model("cards", ZPOS), azimuth=3.14159265)
    assert hues(front, 0.42) == hues(back, 0.58) == ["red"]
    assert hues(front, 0.58) == hues(front, 0.95)


def test_cards_without_pictures_have_the_models_colour(renderer: Renderer, tmp_path: Path) -> None:
    assert hues(of_model(renderer, tmp_path, model("cards")), 0.5) == ["blue"]


def test_cards_placed_by_their_textures_are_told(tmp_path: Path) -> None:
    (tmp_path / "model.usda").write_text(as_assembly(model("cards", geometry="fromTexture")))
    scene = read_stage(tmp_path / "model.usda", StagePolicy.under(tmp_path), lambda prims: None)
    assert scene.omissions == ("models drawn as cards placed by their textures, placed across instead: /World/Model",)


def test_from_the_front_is_from_z() -> None:
    assert FRONT.backward == pytest.approx((0.0, 0.0, 1.0))


@pytest.mark.parametrize("kind", ["linear", "cubic"])
@pytest.mark.parametrize(
    ("interpolation", "values", "expected"),
    [
        ("vertex", "(1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 1)", ["red", "blue"]),
        ("constant", "(1, 0, 0)", ["red", "red"]),
    ],
)
def test_curves_have_their_points_colours(
    renderer: Renderer, tmp_path: Path, kind: str, interpolation: str, values: str, expected: list[str]
) -> None:
    curve = f"""
def BasisCurves "Curve"
{{
    uniform token type = "{kind}"
    uniform token basis = "catmullRom"
    point3f[] points = [(-3, 0, 0), (-2, 0, 0), (-1, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]
    int[] curveVertexCounts = [6]
    color3f[] primvars:displayColor = [{values}] ( interpolation = "{interpolation}" )
}}
"""
    scene = scene_of(tmp_path, curve)
    image = drawn(renderer, scene).astype(int)
    seen = []
    for half in (image[:, :60], image[:, 100:]):
        red = ((half[..., 0] - half[..., 2]) > 90).any()
        seen.append("red" if red else "blue")
    assert seen == expected
    assert scene.omissions == ()


def test_each_curve_may_have_a_colour(tmp_path: Path) -> None:
    two = """
def BasisCurves "Two"
{
    uniform token type = "linear"
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (2, 1, 0)]
    int[] curveVertexCounts = [2, 3]
    float[] widths = [0.1]
    color3f[] primvars:displayColor = [(1, 0, 0), (0, 0, 1)] ( interpolation = "uniform" )
}
"""
    scene = scene_of(tmp_path, two)
    assert scene.batches[0].colors[:, :3].tolist() == [[255, 0, 0]] * 2 + [[0, 0, 255]] * 3
    assert scene.omissions == ("thick curves and points, drawn as thin lines and dots: /World/Two",)
