"""Small stages for tests, and what reads them in this process."""

from pathlib import Path

from streamer.usd_viewer.scene import Scene
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy

HEADER = '#usda 1.0\n(\n    defaultPrim = "World"\n    upAxis = "Y"\n    metersPerUnit = 1\n)\n'

QUAD = """
    point3f[] points = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]
    int[] faceVertexCounts = [4]
    int[] faceVertexIndices = [0, 1, 2, 3]
    uniform token subdivisionScheme = "none"
"""


def mesh(extra: str = "", *, name: str = "Quad") -> str:
    """A square mesh with more to it."""
    return f'def Mesh "{name}"\n{{{QUAD}{extra}\n}}\n'


def preview_surface(name: str, inputs: str, more: str = "") -> str:
    """A material."""
    return f"""
def Material "{name}"
{{
    token outputs:surface.connect = </World/{name}/Surface.outputs:surface>
    def Shader "Surface"
    {{
        uniform token info:id = "UsdPreviewSurface"
        {inputs}
        token outputs:surface
    }}
    {more}
}}
"""


def world(content: str) -> str:
    """A stage whose default prim holds `content`, in which braces may stand on one line; USD wants them apart."""
    return f'{HEADER}def Xform "World"\n{{\n{content.replace("}", chr(10) + "}" + chr(10))}\n}}\n'


def read(folder: Path, text: str, *, name: str = "stage.usda") -> Scene:
    """The scene of a stage of this text."""
    path = folder / name
    path.write_text(text)
    return read_stage(path, StagePolicy.under(folder), lambda prims: None)
