"""Prints the table of docs/reliability.md from a report: `python -m tests.system.failures.table report.jsonl`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.system.failures.outcome import Outcome

_HEAD = (
    "| fault | calls | answered 503 | slowest answer | datagrams | lost; longest gap | another path after |\n"
    "|---|---|---|---|---|---|---|"
)


def row(outcome: Outcome) -> str:
    """One run as a line of the table."""
    gap = f"{outcome.lost}; {outcome.longest_gap_s:g} s" if outcome.lost else "0"
    rerouted = f"{outcome.rerouted_s[0]:.1f} to {outcome.rerouted_s[-1]:.1f} s" if outcome.rerouted_s else ""
    cells = (
        outcome.name,
        f"{outcome.calls}",
        f"{outcome.unavailable}",
        f"{outcome.slowest_s:.1f} s",
        f"{outcome.datagrams}",
        gap,
        rerouted,
    )
    return "| " + " | ".join(cells) + " |"


def main(report: Path) -> None:
    """Print the last outcome of each run."""
    latest: dict[str, Outcome] = {}
    for line in report.read_text().splitlines():
        said = json.loads(line)
        latest[said["name"]] = Outcome(**{**said, "rerouted_s": tuple(said["rerouted_s"])})
    print("\n".join([_HEAD, *map(row, latest.values())]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
