"""The process that reads one stage: `python -P -m streamer.usd_viewer.load_stage`, started by `loader`.

One JSON object on standard input says what to read; the scene and the tree of prims go to inherited file descriptors;
each line on standard output is a JSON object: `{"progress": prims, "of": prims}`, and last `{"done": true}` or
`{"refused": reason}`.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from streamer.usd_viewer.sandbox import address_space, die_with_parent, limit_memory, limit_resources, read_only
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused
from streamer.usd_viewer.system_calls import refuse_network_and_programs

if TYPE_CHECKING:
    from streamer.usd_viewer.prim_tree import PrimTree

LIBRARY_BYTES = 4 * 2**30
"""Room for what is imported, most of it reserved and never used."""


class LoadRequest(BaseModel):
    """What the process is told."""

    model_config = ConfigDict(frozen=True)

    stage: Path
    root: Path
    alone: bool
    """Whether the stage may refer to nothing but itself."""
    output_fd: int
    tree_fd: int
    parent_pid: int
    memory_bytes: int
    cpu_s: int
    output_bytes: int


def main() -> None:
    """Read the stage that standard input asks for."""
    request = LoadRequest.model_validate_json(sys.stdin.buffer.read())
    die_with_parent(request.parent_pid)
    limit_resources(
        memory_bytes=request.memory_bytes + LIBRARY_BYTES, cpu_s=request.cpu_s, file_bytes=request.output_bytes
    )
    # Imported here, for the parent never loads what parses stages; and before files are out of reach, for Python
    # writes compiled modules.
    from streamer.usd_viewer.stage_file import read_stage, write_scene, write_tree

    # The bound is the stage's: what the libraries reserve comes on top, and differs from machine to machine.
    limit_memory(address_space() + request.memory_bytes)
    read_only(_needed_folders(request.root))
    refuse_network_and_programs()
    policy = StagePolicy(request.root, request.stage if request.alone else None)
    total = 0

    def keep(tree: "PrimTree") -> None:
        nonlocal total
        total = len(tree)
        with os.fdopen(request.tree_fd, "wb") as output:
            write_tree(tree, output)

    try:
        scene = read_stage(request.stage, policy, lambda prims: _say({"progress": prims, "of": total}), keep)
        with os.fdopen(request.output_fd, "wb") as output:
            write_scene(scene, output)
    except StageRefused as error:
        _say({"refused": error.reason})
    except MemoryError:
        _say({"refused": "it needs more memory than a stage is given"})
    else:
        _say({"done": True})


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
