"""A stage as it leaves the process that read it: what is drawn, and what its prims are called."""

from dataclasses import dataclass

from streamer.usd_viewer.prim_tree import PrimTree
from streamer.usd_viewer.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class LoadedStage:
    """Plain arrays, every index checked."""

    scene: Scene
    tree: PrimTree
