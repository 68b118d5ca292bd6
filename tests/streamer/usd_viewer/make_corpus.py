"""Writes the corpus of broken and hostile stages: `python -m tests.streamer.usd_viewer.make_corpus`.

What lies under `corpus/refused` must be refused, what lies under `corpus/opens` must open, whatever is left out of it.
"""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pxr import Sdf

from tests.streamer.usd_viewer.packages import Member, package
from tests.streamer.usd_viewer.stages import HEADER, mesh, preview_surface, world

CORPUS = Path(__file__).parent / "corpus"
Files = Iterator[tuple[str, str | bytes]]


def refer(name: str, how: str) -> str:
    """A stage with a prim that is composed of something."""
    return f'{HEADER}def Xform "{name}" (\n    {how}\n)\n{{\n}}\n'


def points(values: str, *, counts: str = "[3]", indices: str = "[0, 1, 2]") -> str:
    """A stage with one mesh of these numbers."""
    return world(
        f'def Mesh "M" {{ point3f[] points = {values}\nint[] faceVertexCounts = {counts}\n'
        f"int[] faceVertexIndices = {indices}\n}}"
    )


def tall(levels: int, width: int, extra: str = "") -> str:
    """width ** levels prims in a few lines: each level refers to the next many times."""
    text = f'#usda 1.0\n(\n    defaultPrim = "L0"\n)\ndef Cube "L{levels}"\n{{\n}}\n'
    for level in range(levels):
        inner = "".join(
            f'    def Xform "P{n}" (\n        {extra}\n        references = </L{level + 1}>\n    )\n    {{\n    }}\n'
            for n in range(width)
        )
        text += f'def Xform "L{level}"\n{{\n{inner}}}\n'
    return text


def image(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", data or zlib.compress(bytes(4096)))
        + chunk(b"IEND", b"")
    )


def textured(file: str) -> str:
    """A stage with a texture."""
    return world(textured_mesh("Look", file))


def textured_mesh(name: str, file: str) -> str:
    """A mesh with a material of that name that has a texture."""
    more = (
        f'def Shader "T" {{ uniform token info:id = "UsdUVTexture"\nasset inputs:file = @{file}@\nfloat3 outputs:rgb }}'
    )
    color = f"color3f inputs:diffuseColor.connect = </World/{name}/T.outputs:rgb>"
    return preview_surface(name, color, more) + mesh(f"rel material:binding = </World/{name}>", name=f"{name}Mesh")


def crate(text: str) -> bytes:
    """A stage as .usdc."""
    layer = Sdf.Layer.CreateAnonymous(".usda")
    assert layer.ImportFromString(text)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.usdc"
        assert layer.Export(str(path))
        return path.read_bytes()


def patched(data: bytes, at: int, new: bytes) -> bytes:
    """Bytes with some replaced."""
    return data[:at] + new + data[at + len(new) :]


def broken_files() -> Files:
    """Cut off, mixed up, empty."""
    whole = world(mesh())
    binary = crate(whole)
    yield "empty.usda", ""
    yield "empty.usdc", b""
    yield "empty.usdz", b""
    yield "truncated.usda", whole[: len(whole) // 2]
    yield "truncated.usdc", binary[: len(binary) * 2 // 3]
    yield "head-only.usdc", binary[:88]
    yield "noise.usda", bytes(range(256)) * 8
    yield "nul.usda", f"{HEADER}\0\0\0\0"
    yield "text-in.usdc", whole
    yield "unclosed-string.usda", f'{HEADER}def "A{"x" * 5000}'
    yield "brackets.usda", f'{HEADER}def Xform "A" {{ int[] a = {"[" * 20000} }}'
    yield "wrong-version.usdc", patched(binary, 8, b"\xff\xff\xff")


def lying_crates() -> Files:
    """Binary stages whose counts and offsets are lies."""
    binary = crate(points("[" + ", ".join(f"({n}, 0, 0)" for n in range(400)) + "]"))
    table = int.from_bytes(binary[16:24], "little")
    sections = int.from_bytes(binary[table : table + 8], "little")
    yield "table-beyond-the-end.usdc", patched(binary, 16, struct.pack("<Q", 2**40))
    yield "table-negative.usdc", patched(binary, 16, struct.pack("<q", -8))
    yield "many-sections.usdc", patched(binary, table, struct.pack("<Q", 2**61))
    for number in range(sections):
        entry = table + 8 + 32 * number
        name = binary[entry : entry + 16].rstrip(b"\0").decode().lower()
        start = int.from_bytes(binary[entry + 16 : entry + 24], "little")
        yield f"huge-{name}.usdc", patched(binary, start, struct.pack("<Q", 2**59))
        if name in ("tokens", "specs"):
            yield f"{name}-out-of-the-file.usdc", patched(binary, entry + 16, struct.pack("<QQ", 2**62, 2**62))


def outside() -> Files:
    """References to what is not the stage's."""
    paths = {
        "absolute": "/etc/passwd",
        "upward": "../../../../../../etc/passwd",
        "file-uri": "file:///etc/passwd",
        "http": "http://169.254.169.254/latest/meta-data/a.usda",
    }
    for name, path in paths.items():
        yield f"reference-{name}.usda", refer("A", f"prepend references = @{path}@")
    yield "texture-absolute.usda", textured("/etc/passwd")
    yield "sublayer-device.usda", "#usda 1.0\n(\n    subLayers = [@/dev/zero@]\n)\n"
    yield "package-out.usda", refer("A", "prepend references = @../../../../../etc/a.usdz[b.usda]@")


def refused_packages() -> Files:
    """Packages that cannot be read as they are."""
    stage = world(mesh()).encode()
    yield "ten-gigabytes.usdz", package([Member("a.usda", stage, size=10 * 2**30)])
    yield "compressed.usdz", package([Member("a.usda", zlib.compress(stage), method=8, size=len(stage))])
    yield "no-stage.usdz", package([Member("a.txt", b"text")])


def opening_packages() -> Files:
    """Packages with lies that do no harm: their directory is not read, what they lack is missing."""
    stage = world(mesh()).encode()
    yield "ten-gigabytes-listed.usdz", package([Member("a.usda", stage, listed_size=10 * 2**30)])
    yield "itself.usdz", package([Member("a.usda", refer("A", "references = @../itself.usdz@").encode())])
    yield "upward-reference.usdz", package([Member("a.usda", refer("A", "references = @../../../up.usda@").encode())])
    yield "without-directory.usdz", package([Member("a.usda", stage)])[:-30]
    yield "offset.usdz", package([Member("a.usda", stage, offset=2**31)])


def recursions() -> Files:
    """What refers to itself: USD breaks the circle."""
    yield "sublayer-itself.usda", "#usda 1.0\n(\n    subLayers = [@./sublayer-itself.usda@]\n)\n"
    yield "sublayer-one.usda", "#usda 1.0\n(\n    subLayers = [@./sublayer-two.usda@]\n)\n"
    yield "sublayer-two.usda", "#usda 1.0\n(\n    subLayers = [@./sublayer-one.usda@]\n)\n"
    yield "reference-itself.usda", refer("A", "prepend references = @./reference-itself.usda@</A>")
    yield "inherit-itself.usda", refer("A", "prepend inherits = </A>")
    yield "parent.usda", world('def "B" (\nreferences = </World>\n) { }')
    yield "specialize-circle.usda", refer("A", "specializes = </B>") + 'def "B" (\n    specializes = </A>\n)\n{\n}\n'
    yield "payload-circle.usda", refer("A", "payload = @./payload-circle.usda@</A>")
    looped = "token outputs:surface.connect = </World/Look.outputs:surface>"
    yield (
        "material-circle.usda",
        world(f'def Material "Look" {{ {looped}\n}}' + mesh("rel material:binding = </World/Look>")),
    )
    yield (
        "prototype-itself.usda",
        world(
            'def PointInstancer "P" { point3f[] positions = [(0, 0, 0)]\nint[] protoIndices = [0]\n'
            "rel prototypes = </World/P>\n}"
        ),
    )
    yield "primvar-circle.usda", world(mesh("rel proxyPrim = </World/Quad>\nrel material:binding = </World/Quad>"))


def odd_numbers() -> Files:
    """Numbers that are none, or far from all others."""
    for name, value in {"nan": "nan", "inf": "inf", "huge": "3e38", "tiny": "1e-44"}.items():
        scaled = f"double3 xformOp:scale = ({value}, 1, 1)\n" + 'uniform token[] xformOpOrder = ["xformOp:scale"]\n'
        yield (
            f"geometry-{name}.usda",
            world(
                f'def Mesh "M" {{ point3f[] points = [({value}, 0, 0), (1, {value}, 0), (0, 1, {value})]\n'
                "int[] faceVertexCounts = [3]\nint[] faceVertexIndices = [0, 1, 2]\n}"
                f'def Xform "X" {{ {scaled}{mesh()} }}def Sphere "S" {{ double radius = {value}\n}}'
                f'def Camera "C" {{ float focalLength = {value}\nfloat horizontalAperture = {value}\n'
                f"float2 clippingRange = ({value}, {value})\n}}{mesh()}"
            ),
        )
        yield (
            f"time-{name}.usda",
            f"#usda 1.0\n(\n    metersPerUnit = {value}\n    timeCodesPerSecond = {value}\n"
            f"    startTimeCode = 0\n    endTimeCode = {value}\n)\n"
            'def Sphere "S"\n{\n    double radius.timeSamples = {\n        0: 1,\n'
            f"        {value}: 2,\n    }}\n}}\n",
        )
    scaled = 'double3 xformOp:scale = (0, 0, 0)\nuniform token[] xformOpOrder = ["xformOp:scale"]\n'
    yield "singular.usda", world(f'def Xform "X" {{ {scaled}{mesh()} }}')
    yield (
        "backwards.usda",
        "#usda 1.0\n(\n    startTimeCode = 100\n    endTimeCode = -100\n)\n",
    )


def lying_meshes() -> Files:
    """Counts and indices that fit nothing."""
    lies = (
        ("[3]", "[0, -1, 2]"),
        ("[3]", "[0, 1, 2147483647]"),
        ("[2147483647]", "[0, 1, 2]"),
        ("[-3]", "[0, 1, 2]"),
        ("[2147483647, 2147483647, 5]", "[0, 1, 2]"),
        ("[3]", "[]"),
        ("[]", "[0, 1, 2]"),
        ("[0, 1, 2]", "[0, 1, 2]"),
    )
    meshes = (
        f'def Mesh "M{number}" {{ point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]\n'
        f"int[] faceVertexCounts = {counts}\nint[] faceVertexIndices = {indices}\n}}"
        for number, (counts, indices) in enumerate(lies)
    )
    yield "counts-and-indices.usda", world("".join(meshes))
    yield "no-points.usda", points("[]")
    yield (
        "primvars.usda",
        world(
            mesh(
                'color3f[] primvars:displayColor = [(1, 0, 0)] (\ninterpolation = "faceVarying"\n)\n'
                "int[] primvars:displayColor:indices = [-1, 99, 2147483647]\n"
                'texCoord2f[] primvars:st = [(nan, inf)] (\ninterpolation = "vertex"\n)'
            )
        ),
    )
    yield (
        "subset.usda",
        world(mesh('def GeomSubset "S" { uniform token elementType = "face"\nint[] indices = [-5, 0, 2147483647]\n}')),
    )
    yield (
        "curves.usda",
        world(
            'def BasisCurves "C" { int[] curveVertexCounts = [2147483647, -7]\npoint3f[] points = [(0, 0, 0)]\n'
            "float[] widths = [nan]\n}"
        ),
    )
    yield (
        "instancer.usda",
        world(
            'def PointInstancer "P" { point3f[] positions = [(0, 0, 0), (nan, 0, 0)]'
            "\nint[] protoIndices = [-1, 2147483647]"
            "\n"
            "int64[] invisibleIds = [-9223372036854775807]\nrel prototypes = [</World/P/Q>, </Gone>]\n"
            'def Cube "Q" { }\n}'
        ),
    )
    yield (
        "skinned.usda",
        world(
            'def SkelRoot "R" { def Skeleton "S" { uniform token[] joints = ["a", "a/b", "c/d/e", "a"]\n'
            "uniform matrix4d[] bindTransforms = []\n}\n"
            + mesh(
                "rel skel:skeleton = </World/R/S>\nint[] primvars:skel:jointIndices = [-1, 2147483647] ("
                "\nelementSize = 2\n)\n"
                "float[] primvars:skel:jointWeights = [nan] (\nelementSize = 2147483647\n)"
            )
            + "}"
        ),
    )


def odd_files() -> Files:
    """Textures and names that no one would make by accident."""
    yield "bomb.png", image(60_000, 60_000)
    yield "negative.png", image(2**32 - 1, 2**32 - 1)
    yield "zero.png", image(0, 0)
    yield "cut.png", image(64, 64)[:60]
    yield "noise.jpg", b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(64)
    yield "noise.exr", b"v/1\x01" + b"\xff" * 256
    yield "noise.hdr", b"#?RADIANCE\n\n-Y 99999999 +X 99999999\n" + bytes(64)
    images = ("bomb.png", "negative.png", "zero.png", "cut.png", "noise.jpg", "noise.exr", "noise.hdr")
    looks = (textured_mesh(f"Look{number}", f"./{name}") for number, name in enumerate(images))
    yield "textured.usda", world("".join(looks))
    yield "nested-names.usda", "#usda 1.0\n" + 'def "A" {\n' * 200 + "}\n" * 200
    yield "long-name.usda", f'#usda 1.0\ndef Cube "{"N" * 20_000}"\n{{\n}}\n'
    yield "long-path.usda", textured("./" + "x/" * 3000 + "a.png")
    yield "odd-path.usda", textured("./a b\u202e%2e%2e\U0001f600.png")
    yield "packaged-path.usda", textured("./bomb.png[a[b[c]]]")


def laughs() -> Files:
    """Little that unfolds into much."""
    yield "laughs.usda", tall(10, 10)
    yield "laughs-instanced.usda", tall(10, 10, "instanceable = true")
    text = world(
        'def Cube "C" { }'
        + "".join(
            f'def PointInstancer "P{level}" {{ point3f[] positions = [{", ".join(["(1, 1, 1)"] * 64)}]\n'
            f"int[] protoIndices = [{', '.join(['0'] * 64)}]\nrel prototypes = </World/{below}>\n}}"
            for level, below in enumerate(["C", *(f"P{number}" for number in range(6))])
        )
    )
    yield "laughs-instancers.usda", text
    yield (
        "clips-without-end.usda",
        (
            '#usda 1.0\ndef Xform "A" (\n    clips = {\n        dictionary default = {\n'
            '            string templateAssetPath = "./clip.#.usda"\n            double templateStartTime = -1e9\n'
            "            double templateEndTime = 1e9\n            double templateStride = 0.001\n"
            '            string primPath = "/A"\n        }\n    }\n)\n{\n    double x\n}\n'
        ),
    )


def large_refused() -> Files:
    """What is too large to be kept; tests write it."""
    yield "dictionaries.usda", "#usda 1.0\n(\ncustomLayerData = {\n" + "dictionary a = {\n" * 100_000
    yield "prims.usda", "#usda 1.0\n" + 'def "A" {\n' * 50_000
    yield "zeros.usda", b"#usda 1.0\n" + bytes(20 * 2**20)
    yield "spaces.usda", b"#usda 1.0\n" + b" " * (50 * 2**20) + b"("


def large_opening() -> Files:
    """The same, of what opens, and is drawn in part."""
    yield "nested-packages.usdz", nested_package(60)
    yield "unfolding.png", image(12_000, 12_000, zlib.compress(bytes(12_000 * 48_001), 1))
    yield "unfolding.usda", textured("./unfolding.png")
    yield "wide.usda", "#usda 1.0\n" + "".join(f'def Xform "P{number}"\n{{\n}}\n' for number in range(100_000))
    yield "array.usda", points("[" + ", ".join(["(0, 0, 1)"] * 400_000) + "]")
    samples = "".join(f"        {number}: {number % 7 + 1},\n" for number in range(200_000))
    yield (
        "samples.usda",
        (
            "#usda 1.0\n(\n    startTimeCode = 0\n    endTimeCode = 199999\n)\n"
            f'def Sphere "S"\n{{\n    double radius.timeSamples = {{\n{samples}    }}\n}}\n'
        ),
    )


def nested_package(levels: int) -> bytes:
    """Packages within one another, each referring to the next."""
    inner = package([Member("a.usda", world(mesh()).encode())])
    for _ in range(levels):
        stage = refer("A", "references = @./b.usdz@").encode()
        inner = package([Member("a.usda", stage), Member("b.usdz", inner)])
    return inner


def main() -> None:
    """Write everything anew."""
    groups = {
        "refused": (broken_files, lying_crates, outside, refused_packages, laughs),
        "opens": (recursions, odd_numbers, lying_meshes, odd_files, opening_packages),
    }
    for folder, makers in groups.items():
        (CORPUS / folder).mkdir(parents=True, exist_ok=True)
        for make in makers:
            for name, content in make():
                (CORPUS / folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


if __name__ == "__main__":
    main()
