"""Stage load times of the USD viewer, through the child process that reads stages: the sample, and many prims.

What counts is from the request until the scene is there to be drawn, the start of the child and its imports included.
"""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from streamer.usd_viewer.loader import StageLoad
from streamer.usd_viewer.settings import SAMPLE_STAGE, SAMPLES, LoadLimits
from streamer.usd_viewer.stage_policy import StagePolicy

TIMES = 5
LIMITS = LoadLimits(wall_s=300.0)  # a slow machine is to be measured too
PRIMS = (1_000, 10_000)
PER_ROW = 100


def synthetic(prims: int) -> str:
    """A stage of so many meshes, each a pyramid of its own; no two alike, so that nothing can be shared."""
    meshes = (
        f"""
    def Mesh "mesh_{number}" {{
        int[] faceVertexCounts = [3, 3, 3, 3]
        int[] faceVertexIndices = [0, 1, 2, 0, 2, 3, 0, 3, 1, 1, 3, 2]
        point3f[] points = [(0, 0, {1 + number / prims}), (1, 0, 0), (-1, 1, 0), (-1, -1, 0)]
        color3f[] primvars:displayColor = [({number / prims}, 0.5, 0.5)]
        double3 xformOp:translate = ({3 * (number % PER_ROW)}, {3 * (number // PER_ROW)}, 0)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }}"""
        for number in range(prims)
    )
    return f'#usda 1.0\n(defaultPrim = "World")\ndef Xform "World" {{{"".join(meshes)}\n}}\n'


def measure(name: str, folder: Path, stage: str) -> None:
    took, prims, triangles = [], 0, 0
    for _ in range(TIMES):
        began = time.perf_counter()
        load = StageLoad(StagePolicy.under(folder), LIMITS, progress=lambda done, of: None)
        scene = load.run(stage).scene
        took.append(time.perf_counter() - began)
        prims, triangles = scene.prims, scene.triangles
    print(
        f"loads    {name:16} {prims:6} prims  {triangles:7} triangles  p50 {statistics.median(took):5.2f} s  "
        f"worst {max(took):5.2f} s  ({TIMES} loads)",
        flush=True,
    )


def main() -> None:
    measure("sample stage", SAMPLES, SAMPLE_STAGE)
    with TemporaryDirectory() as folder:
        for prims in PRIMS:
            Path(folder, f"{prims}.usda").write_text(synthetic(prims))
            measure(f"{prims} meshes", Path(folder), f"{prims}.usda")


if __name__ == "__main__":
    main()
