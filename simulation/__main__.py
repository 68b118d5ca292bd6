"""`make simulate`: runs the published scenarios, or those named, and writes docs/simulation.md with its plots."""

from __future__ import annotations

import argparse
import gc
import sys
from dataclasses import replace
from pathlib import Path

from simulation.plots import draw
from simulation.report import section
from simulation.run import simulate
from simulation.scenario import PUBLISHED, SCENARIOS

_HEAD = """# A fleet under simulated time

`make simulate` writes this page; nothing in it was edited by hand. The broker's own cores decide: placement on nodes
and relays, the queue, the ledger, sessions' steps and clocks, the judgement of silent nodes and relays, and the
in-process store. Made up is all around them: who comes and how long they stay, how fast backends and relays answer,
what fails. Times are simulated: they say what the rules do, not how fast this software is
([performance.md](performance.md), [scaling.md](scaling.md)). Same seed, same page.

A viewer cut off by its relay takes 0.3 to 1.5 s from a new route to a picture; a relay's announcement runs out after
2.5 s, and what answers nothing at all is taken for lost after 10 s more. Claims, pools and slots are recounted from
scratch all along, and again when all have left.
"""


def main() -> int:
    """Returns 1 where anything did not add up."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="the folder to write to (default: docs)")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - SCENARIOS.keys():
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}: choose of {', '.join(SCENARIOS)}")
    # Nothing here makes cycles, and going through hundred thousands of sessions for them takes longer than the run.
    gc.disable()
    return write(options.scenarios or PUBLISHED, options.seed, options.out)


def write(names: list[str] | tuple[str, ...], seed: int, folder: Path) -> int:
    """Run these and write the page."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    sections, faults = [_HEAD], 0
    for name in names:
        outcome = simulate(replace(SCENARIOS[name], seed=seed))
        image = f"images/simulation-{name}.svg"
        draw(outcome, folder / image)
        sections.append(section(outcome, image))
        faults += len(outcome.faults)
        made, took_s = outcome.counts.created, outcome.took_s
        print(f"{name}: {made:,} sessions in {took_s:.0f} s of CPU, {len(outcome.faults)} faults")
        print(*outcome.faults[:20], sep="\n", end="", file=sys.stderr)
    (folder / "simulation.md").write_text("\n\n".join(part.strip() for part in sections).rstrip() + "\n")
    print(f"written: {folder / 'simulation.md'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
