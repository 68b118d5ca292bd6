"""Textures: read, mapped and bounded; what cannot be read is told."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pxr import Usd, UsdUtils

from streamer.usd_viewer.scene import Scene, Slot, Wrap
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer.stages import mesh, preview_surface, read, world


def png(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    """A PNG of (height, width, 4)."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def checker() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Four pixels: red, green above blue, half-transparent white."""
    return np.array([[[255, 0, 0, 255], [0, 255, 0, 255]], [[0, 0, 255, 255], [255, 255, 255, 100]]], np.uint8)


def textured(file: str, *, more: str = "", inputs: str = "") -> str:
    reader = f"""
    def Shader "Image"
    {{
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @{file}@
        {more}
        float3 outputs:rgb
        float outputs:a
    }}
    """
    material = preview_surface(
        "M", f"color3f inputs:diffuseColor.connect = </World/M/Image.outputs:rgb>\n{inputs}", reader
    )
    uv = """
    rel material:binding = </World/M>
    texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 1), (0, 1)] ( interpolation = "vertex" )
    """
    bound = mesh(uv).replace('"Quad"', '"Quad" ( prepend apiSchemas = ["MaterialBindingAPI"] )')
    return world(material + bound)


def scene_of(folder: Path, text: str) -> Scene:
    (folder / "image.png").write_bytes(png(checker()))
    return read(folder, text)


def test_a_texture_comes_with_its_pixels_and_coordinates(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, textured("./image.png"))
    (texture,) = scene.textures
    assert texture.pixels[..., :3].tolist() == checker()[..., :3].tolist()
    assert (texture.pixels[..., 3] == 255).all()
    assert texture.wrap == (Wrap.REPEAT, Wrap.REPEAT)
    (batch,) = scene.batches
    assert batch.surface.base == Slot(0)
    assert not batch.surface.translucent
    assert sorted(batch.uvs.tolist()) == [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert (batch.colors == 255).all()


def test_alpha_counts_where_opacity_reads_it(tmp_path: Path) -> None:
    opacity = "float inputs:opacity.connect = </World/M/Image.outputs:a>"
    scene = scene_of(tmp_path, textured("./image.png", inputs=opacity))
    assert scene.batches[0].surface.translucent
    assert scene.textures[0].pixels[1, 1, 3] == 100


def test_clamped_textures_do_not_repeat(tmp_path: Path) -> None:
    clamp = 'token inputs:wrapS = "clamp"\ntoken inputs:wrapT = "clamp"'
    assert scene_of(tmp_path, textured("./image.png", more=clamp)).textures[0].wrap == (Wrap.CLAMP, Wrap.CLAMP)


def test_coordinates_pass_through_a_transform(tmp_path: Path) -> None:
    text = textured("./image.png", more="float2 inputs:st.connect = </World/M/Place.outputs:result>").replace(
        'def Shader "Image"',
        """def Shader "Place"
        {
            uniform token info:id = "UsdTransform2d"
            float2 inputs:in.connect = </World/M/Read.outputs:result>
            float2 inputs:scale = (2, 3)
            float2 inputs:translation = (0.5, 0)
            float2 outputs:result
        }
        def Shader "Read"
        {
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }
        def Shader "Image" """,
    )
    batch = scene_of(tmp_path, text).batches[0]
    assert sorted(batch.uvs.tolist()) == [[0.5, 0.0], [0.5, 3.0], [2.5, 0.0], [2.5, 3.0]]


def test_a_surface_without_coordinates_takes_the_mean_colour(tmp_path: Path) -> None:
    text = (
        textured("./image.png")
        .replace("texCoord2f[] primvars:st", "float[] primvars:other")
        .replace("[(0, 0), (1, 0), (1, 1), (0, 1)] (", "[0, 1, 1, 0] (")
    )
    (batch,) = scene_of(tmp_path, text).batches
    assert batch.surface.slots == (Slot(),) * 4
    assert batch.colors[0].tolist() == [127, 127, 127, 255]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("./gone.png", None, "missing"),
        ("./broken.png", b"no picture at all", "decoded"),
        ("./cut.png", png(checker())[:60], "decoded"),
        ("./list.m3u8", b"#EXTM3U\n/etc/passwd\n", "format"),
        ("./list.png", b"ffconcat version 1.0\nfile /etc/passwd\n", "decoded"),
    ],
    ids=["missing", "broken", "cut off", "playlist", "disguised playlist"],
)
def test_a_texture_that_cannot_be_read_is_told(tmp_path: Path, file: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content)
    scene = scene_of(tmp_path, textured(file))
    assert scene.textures == ()
    assert any(told in line for line in scene.omissions)
    assert scene.triangles == 2


def test_large_textures_are_scaled_down(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png(np.full((16, 3000, 4), 200, np.uint8)))
    (texture,) = scene_of(tmp_path, textured("./large.png")).textures
    assert texture.pixels.shape == (5, 1024, 4)
    assert texture.pixels[2, 500, :3] == pytest.approx(200, abs=2)


def test_a_package_brings_its_textures_along(tmp_path: Path) -> None:
    scene_of(tmp_path, textured("./image.png"))
    assert UsdUtils.CreateNewUsdzPackage(str(tmp_path / "stage.usda"), str(tmp_path / "packed.usdz"))
    for name in ("stage.usda", "image.png"):
        (tmp_path / name).unlink()
    scene = read_stage(tmp_path / "packed.usdz", StagePolicy.under(tmp_path), lambda prims: None)
    assert len(scene.textures) == 1
    assert scene.omissions == ()


def test_a_crate_is_read_as_its_text_is(tmp_path: Path) -> None:
    from_text = scene_of(tmp_path, textured("./image.png"))
    stage = Usd.Stage.Open(str(tmp_path / "stage.usda"))
    stage.GetRootLayer().Export(str(tmp_path / "crate.usdc"))
    crate = read_stage(tmp_path / "crate.usdc", StagePolicy.under(tmp_path), lambda prims: None)
    assert crate.batches[0].points.tolist() == from_text.batches[0].points.tolist()
