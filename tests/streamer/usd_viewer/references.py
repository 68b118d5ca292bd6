"""The stages whose whole pictures are kept, and how they are drawn.

`python -m tests.streamer.usd_viewer.references` writes the pictures anew: look at each before it is committed.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np

from streamer.usd_viewer.navigation import Navigator
from streamer.usd_viewer.renderer import Renderer
from streamer.usd_viewer.scene import Bytes, Floats, Scene
from streamer.usd_viewer.settings import SAMPLES
from streamer.usd_viewer.stage_file import read_stage
from streamer.usd_viewer.stage_policy import StagePolicy
from tests.streamer.usd_viewer.drawing import ball, colored, image_reader, material, moved, quad, save_image, scene_of
from tests.streamer.usd_viewer.test_drawing_lights import light, placed, radiance_file
from tests.streamer.usd_viewer.test_drawing_time import EDGES, SKINNED, crowd
from tests.streamer.usd_viewer.test_textures import png

FOLDER = Path(__file__).parent / "references"
WIDTH, HEIGHT = 320, 180
_FLOOR = f'def Plane "Floor"\n{{\ndouble width = 9\ndouble length = 7\nuniform token axis = "Y"\n{moved(0, -1, 1)}}}\n'


def _balls() -> str:
    """Plastic behind, metal in front, from smooth to rough."""
    content = _FLOOR
    for row, metallic in enumerate((0, 1)):
        for column, roughness in enumerate((0.05, 0.4, 0.9)):
            name = f"M{row}{column}"
            inputs = (
                "color3f inputs:diffuseColor = (0.8, 0.5, 0.2)\n"
                f"float inputs:roughness = {roughness}\nfloat inputs:metallic = {metallic}"
            )
            content += material(inputs, name=name).replace("/World/M/", f"/World/{name}/")
            content += ball(moved(column * 2.4 - 2.4, 0, row * 2.4), name=f"B{row}{column}", bound=name)
    return content


def _sky() -> Floats:
    """Blue above, brown below, a sun at the upper right."""
    height, width = 64, 128
    rise = np.sin((0.5 - (np.arange(height) + 0.5) / height) * np.pi)[:, None, None]
    sky = np.array([0.35, 0.5, 0.9]) * (1 - 0.6 * rise) + 0.1
    pixels = np.where(rise > 0, sky, np.array([0.25, 0.2, 0.15])) * np.ones((1, width, 1))
    pixels[10:14, 40:46] = (60.0, 55.0, 45.0)
    return pixels.astype(np.float32)


def _under_a_sky(folder: Path) -> Scene:
    radiance_file(folder / "sky.exr", _sky())
    return scene_of(folder, _balls() + light("DomeLight", "asset inputs:texture:file = @./sky.exr@"))


def _under_lamps(folder: Path) -> Scene:
    lamp = light("SphereLight", placed(0.5, 2.5, 3) + "float inputs:intensity = 60\nfloat inputs:radius = 0.3")
    panel = light(
        "RectLight",
        placed(-4, 2, 1, turn=(0, -90, 0))
        + "float inputs:intensity = 30\ncolor3f inputs:color = (0.4, 0.6, 1)\n"
        + "float inputs:width = 2\nfloat inputs:height = 2",
        name="Panel",
    )
    return scene_of(folder, _balls() + lamp + panel)


def _textured(folder: Path) -> Scene:
    """A checkered, embossed, half glowing, half cut out square before a wall."""
    save_image(folder, "base.png", [[(230, 90, 40, 255), (40, 90, 230, 255)] * 2, [(40, 160, 80, 255)] * 4] * 2)
    bumps = np.indices((64, 64)).sum(axis=0) % 16 - 8
    normal = np.stack([128 + bumps * 9, 128 + bumps * 9, np.full((64, 64), 200), np.full((64, 64), 255)], axis=2)
    (folder / "normal.png").write_bytes(png(normal.astype(np.uint8)))
    save_image(folder, "glow.png", [[(0, 0, 0, 255), (0, 0, 0, 255), (255, 220, 90, 255), (0, 0, 0, 255)]])
    save_image(folder, "mask.png", [[(255, 255, 255, 255)] * 3 + [(0, 0, 0, 255)], [(255, 255, 255, 255)] * 4])
    inputs = "\n".join(
        [
            "color3f inputs:diffuseColor.connect = </World/M/Base.outputs:rgb>",
            "normal3f inputs:normal.connect = </World/M/Normal.outputs:rgb>",
            "color3f inputs:emissiveColor.connect = </World/M/Glow.outputs:rgb>",
            "float inputs:opacity.connect = </World/M/Mask.outputs:r>",
            "float inputs:opacityThreshold = 0.5",
        ]
    )
    images = (("Base", "base.png"), ("Normal", "normal.png"), ("Glow", "glow.png"), ("Mask", "mask.png"))
    wall = quad(moved(0.3, 0, -1) + colored(0.6, 0.6, 0.6), name="Wall", bound="")
    return scene_of(folder, material(inputs, "".join(image_reader(*one) for one in images)) + wall + quad())


def _crowd(folder: Path) -> Scene:
    walking = (
        "int[] protoIndices = [0, 1, 0]\n"
        "point3f[] positions.timeSamples = {\n1: [(-5, 0, 0), (0, 0, 0), (5, 0, 0)],\n"
        "3: [(-3, 1, 0), (0, 3, 0), (1, -3, 0)]\n}"
    )
    skinned = SKINNED.replace("[(1, 0, 0)]", "[(0, 0.6, 0)]")
    return scene_of(folder, EDGES + crowd(walking, prototypes="AB") + skinned, frames=3)


def _sample(name: str) -> Callable[[Path], Scene]:
    def read(folder: Path) -> Scene:
        policy = StagePolicy.under(SAMPLES)
        return read_stage(policy.stage(name), policy, lambda prims: None)

    return read


STAGES: Mapping[str, tuple[Callable[[Path], Scene], int]] = {
    "own-light": (lambda folder: scene_of(folder, _balls()), 0),
    "lamps": (_under_lamps, 0),
    "sky": (_under_a_sky, 0),
    "textures": (_textured, 0),
    "crowd": (_crowd, 2),
    "harbour": (_sample("harbour.usda"), 0),
    "harbour-in-motion": (_sample("harbour-in-motion.usda"), 40),
}
"""What makes each scene, and the frame that is drawn."""


def draw(renderer: Renderer, name: str, folder: Path) -> Bytes:
    """The (HEIGHT, WIDTH, 3) picture of a stage at its first view."""
    make, frame = STAGES[name]
    scene = make(folder)
    navigator = Navigator.of(scene)
    navigator.set_aspect(WIDTH / HEIGHT)
    renderer.show(scene)
    return renderer.draw(navigator.camera, frame, WIDTH, HEIGHT, fine=True)[..., :3]


def kept(name: str) -> Bytes:
    """The picture that was looked at."""
    with av.open(str(FOLDER / f"{name}.png"), format="png_pipe") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


def main() -> None:
    """Write all pictures."""
    renderer = Renderer()
    FOLDER.mkdir(exist_ok=True)
    for name in STAGES:
        with tempfile.TemporaryDirectory() as folder:
            picture = draw(renderer, name, Path(folder))
        opaque = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
        (FOLDER / f"{name}.png").write_bytes(png(np.concatenate([picture, opaque], axis=2)))
    renderer.close()


if __name__ == "__main__":
    main()
