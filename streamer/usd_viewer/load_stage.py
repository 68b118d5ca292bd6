"""The process that reads one stage: `python -P -m streamer.usd_viewer.load_stage`, started by `loader`.

One JSON object on standard input says what to read; the scene goes to an inherited file descriptor; each line on
standard output is a JSON object: `{"progress": prims}`, and last `{"done": true}` or `{"refused": reason}`.
"""

import json
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from streamer.usd_viewer.sandbox import die_with_parent, limit_resources, read_only
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused, shorten


class LoadRequest(BaseModel):
    """What the process is told."""

    model_config = ConfigDict(frozen=True)

    stage: Path
    root: Path
    output_fd: int
    parent_pid: int
    memory_bytes: int
    cpu_s: int
    output_bytes: int


def main() -> None:
    """Read the stage that standard input asks for."""
    request = LoadRequest.model_validate_json(sys.stdin.buffer.read())
    die_with_parent(request.parent_pid)
    limit_resources(memory_bytes=request.memory_bytes, cpu_s=request.cpu_s, file_bytes=request.output_bytes)
    read_only(_needed_folders(request.root))
    policy = StagePolicy(request.root)
    try:
        _load(request, policy)
    except StageRefused as error:
        _say({"refused": error.reason})
    except MemoryError:
        _say({"refused": "it needs more memory than a stage is given"})
    else:
        _say({"done": True})


def _load(request: LoadRequest, policy: StagePolicy) -> None:
    # pxr and NumPy are imported under the limits, and only here: the parent never loads what parses stages.
    from pxr import Tf, Usd

    from streamer.usd_viewer.dependencies import check_dependencies, check_used_layers
    from streamer.usd_viewer.scene_file import write_scene
    from streamer.usd_viewer.stage_reader import StageReader, StageTooLarge

    try:
        missing = check_dependencies(request.stage, policy)
        stage = Usd.Stage.Open(str(request.stage))
        check_used_layers(stage, policy)
        scene = StageReader(stage, policy, lambda prims: _say({"progress": prims}), missing).read()
    except StageTooLarge as error:
        raise StageRefused(str(error)) from error
    except Tf.ErrorException as error:
        raise StageRefused(_explain(error, policy)) from error
    with os.fdopen(request.output_fd, "wb") as output:
        write_scene(scene, output)


def _explain(error: Exception, policy: StagePolicy) -> str:
    """USD's own words about a broken file, without folders and source lines of the machine."""
    lines = [line.split(" -- ", 1)[-1].strip() for line in str(error).splitlines() if " -- " in line]
    text = " ".join(lines) or str(error)
    return "it is broken: " + shorten(text.replace(f"{policy.root}/", ""), 300)


def _needed_folders(root: Path) -> list[Path]:
    own = Path(__file__).resolve().parents[2]
    interpreter = [Path(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if path]
    system = [Path(path) for path in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/proc/cpuinfo")]
    return [root, own, *interpreter, *system, Path("/sys/devices/system/cpu"), Path("/dev/urandom"), Path("/dev/null")]


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
