"""Memory of the USD viewer over many stages, opened one after another in one process as viewers open them.

With a folder and stages below it as arguments it opens those in turn; without, two of many meshes.
"""

import argparse
import gc
import tempfile
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import psutil

from bench.loads import synthetic
from streamer.usd_viewer.openings import PACE_S
from streamer.usd_viewer.settings import LoadLimits
from tests.streamer.usd_viewer.viewing import Session

LOADS = 200
TOLD_EVERY = 25
LIMITS = LoadLimits(wall_s=300.0)


def measure(root: Path, stages: Sequence[str], loads: int) -> None:
    process = psutil.Process()
    session = Session(root, limits=LIMITS)
    session.start(stages[0])
    session.results(1, within_s=300)
    refused = 0
    for number, stage in enumerate(islice(cycle(stages), loads), start=1):
        session.step(PACE_S)
        session.tell("openStageRequest", url=stage)
        refused += session.results(number + 1, within_s=300)[number]["result"] != "success"
        session.settled()
        if number % TOLD_EVERY == 0 or number == 10:
            gc.collect()
            mib = process.memory_info().rss / 2**20
            print(
                f"memory   after {number:4} loads of {len(stages)} stages: {mib:6.1f} MiB  ({refused} refused)",
                flush=True,
            )
    session.viewer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path)
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--loads", type=int, default=LOADS)
    options = parser.parse_args()
    if options.root is not None:
        measure(options.root, options.stages, options.loads)
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "many.usda").write_text(synthetic(200))
        Path(folder, "few.usda").write_text(synthetic(20))
        measure(Path(folder), ["many.usda", "few.usda"], options.loads)


if __name__ == "__main__":
    main()
