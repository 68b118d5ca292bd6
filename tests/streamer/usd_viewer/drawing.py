"""Small stages drawn from the front, and what their pictures show where."""

from pathlib import Path

import numpy as np

from streamer.usd_viewer.camera import Camera
from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Scene
from tests.streamer.usd_viewer.stages import HEADER, QUAD, read
from tests.streamer.usd_viewer.test_textures import png

WIDTH, HEIGHT = 160, 120
FRONT = Camera(azimuth=0.0, elevation=0.0)
Pixels = "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"


def drawn(renderer: Renderer, scene: Scene, *, frame: int = 0, camera: Camera = FRONT, fine: bool = False) -> Bytes:
    """The scene in a small picture, framed from the front."""
    navigator = Navigator.of(scene)
    navigator.set_aspect(WIDTH / HEIGHT)
    navigator.camera = camera
    navigator.frame_all()
    renderer.show(scene)
    return renderer.draw(navigator.camera, frame, WIDTH, HEIGHT, fine=fine)[..., :3]


def at(image: Bytes, x: float, y: float = 0.5) -> list[int]:
    """The colour about a place: parts of width and height, from the upper left."""
    row, column = int(y * image.shape[0]), int(x * image.shape[1])
    part = image[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
    return [round(float(value)) for value in part.reshape(-1, 3).mean(axis=0)]


def brightness(image: Bytes, x: float, y: float = 0.5) -> float:
    """Of that colour."""
    return sum(at(image, x, y)) / 3


def hue(color: list[int]) -> str:
    """The colour's name, where it has a clear one."""
    red, green, blue = color
    low, high = min(color), max(color)
    if high - low < 70:
        return "white" if low > 170 else "black" if high < 70 else "grey"
    named = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 0): "yellow"}
    middle = (low + high) / 2
    return named.get((int(red > middle), int(green > middle), int(blue > middle)), "other")


def moved(x: float, y: float = 0.0, z: float = 0.0) -> str:
    """A transform that shifts."""
    return f'double3 xformOp:translate = ({x}, {y}, {z})\nuniform token[] xformOpOrder = ["xformOp:translate"]\n'


def colored(red: float, green: float, blue: float) -> str:
    """A display colour."""
    return f"color3f[] primvars:displayColor = [({red}, {green}, {blue})]\n"


def shader(name: str, kind: str, content: str) -> str:
    """A shader of the material /World/M."""
    return f'def Shader "{name}"\n{{\nuniform token info:id = "{kind}"\n{content}\n}}\n'


def image_reader(name: str, file: str, content: str = "", *, st: str = "Read.outputs:result") -> str:
    """A texture of the material /World/M."""
    outputs = "".join(f"float outputs:{channel}\n" for channel in "rgba") + "float3 outputs:rgb\n"
    return shader(
        name,
        "UsdUVTexture",
        f"asset inputs:file = @./{file}@\nfloat2 inputs:st.connect = </World/M/{st}>\n{content}\n{outputs}",
    )


READ_ST = shader("Read", "UsdPrimvarReader_float2", 'string inputs:varname = "st"\nfloat2 outputs:result\n')
UNIT_ST = 'texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 1), (0, 1)] ( interpolation = "vertex" )\n'


def material(inputs: str, more: str = "", *, name: str = "M") -> str:
    """The material /World/M: a UsdPreviewSurface with what feeds it."""
    surface = shader("Surface", "UsdPreviewSurface", inputs + "\ntoken outputs:surface")
    return (
        f'def Material "{name}"\n{{\ntoken outputs:surface.connect = </World/{name}/Surface.outputs:surface>\n'
        f"{surface}{READ_ST}{more}\n}}\n"
    )


def quad(extra: str = "", *, name: str = "Quad", bound: str = "M") -> str:
    """A square that looks to the front, bound to a material, with texture coordinates."""
    binding = f"rel material:binding = </World/{bound}>\n" if bound else ""
    return (
        f'def Mesh "{name}" ( prepend apiSchemas = ["MaterialBindingAPI"] )\n'
        f"{{{QUAD}{UNIT_ST if 'primvars:st' not in extra else ''}{binding}{extra}\n}}\n"
    )


def ball(extra: str = "", *, name: str = "Ball", bound: str = "M") -> str:
    """A sphere bound to a material."""
    return (
        f'def Sphere "{name}" ( prepend apiSchemas = ["MaterialBindingAPI"] )\n'
        f"{{\nrel material:binding = </World/{bound}>\n{extra}\n}}\n"
    )


def stage(content: str, *, up: str = "Y", frames: int = 0) -> str:
    """A stage whose /World holds `content`, with as many frames from time 1 on."""
    header = HEADER.replace('upAxis = "Y"', f'upAxis = "{up}"')
    if frames:
        header = header.replace("metersPerUnit", f"startTimeCode = 1\nendTimeCode = {frames}\nmetersPerUnit")
    return f'{header}def Xform "World"\n{{\n{content}\n}}\n'


def scene_of(folder: Path, content: str, *, up: str = "Y", frames: int = 0, name: str = "stage.usda") -> Scene:
    """That stage as a scene."""
    return read(folder, stage(content, up=up, frames=frames), name=name)


def save_image(folder: Path, name: str, colors: "list[list[tuple[int, int, int, int]]]", *, side: int = 16) -> None:
    """A PNG of large squares, first row on top."""
    pixels = np.array(colors, np.uint8).repeat(side, axis=0).repeat(side, axis=1)
    (folder / name).write_bytes(png(pixels))
