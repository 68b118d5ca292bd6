"""From a file to a scene: its dependencies checked, then composed, then read."""

import re
from collections.abc import Callable
from pathlib import Path

from pxr import Tf, Usd

from streamer.usd_viewer.dependencies import check_dependencies, check_used_layers
from streamer.usd_viewer.prim_tree import PrimTree, write_tree
from streamer.usd_viewer.scene import Scene
from streamer.usd_viewer.scene_file import write_scene
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused, shorten
from streamer.usd_viewer.stage_prims import prims_of
from streamer.usd_viewer.stage_reader import StageReader, StageTooLarge

_PARSER_NAMES = re.compile(r" matching pxrInternal.*?(?= at ')")

__all__ = ["read_stage", "write_scene", "write_tree"]


def read_stage(
    path: Path,
    policy: StagePolicy,
    progress: Callable[[int], None],
    keep: Callable[[PrimTree], None] = lambda tree: None,
) -> Scene:
    """The scene of a stage that the policy has admitted. StageRefused where it refers outside or is broken.

    Args:
        progress: called with the number of prims read so far.
        keep: called once with all prims, before they are read.
    """
    try:
        missing = check_dependencies(path, policy)
        stage = Usd.Stage.Open(str(path))
        check_used_layers(stage, policy)
        keep(prims_of(stage))
        scene = StageReader(stage, policy, progress, missing).read()
        check_used_layers(stage, policy)
        return scene
    except StageTooLarge as error:
        raise StageRefused(str(error)) from error
    except Tf.ErrorException as error:
        raise StageRefused(_explain(error, policy)) from error


def _explain(error: Exception, policy: StagePolicy) -> str:
    """USD's own words about a broken file, without folders of the machine and names of its source."""
    said = "; ".join(str(part.commentary).strip() for part in error.args if isinstance(part, Tf.Error))
    if "bad_alloc" in said:
        return "it needs more memory than a stage is given (PIXELFERRY_USD_LOAD_MEMORY_MIB), or is broken"
    plain = _PARSER_NAMES.sub("", " ".join(said.replace(f"{policy.root}/", "").split()))
    return "it is broken: " + shorten(plain, 300)
