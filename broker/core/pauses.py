"""Time that does not count: while nobody could reach the store, no clock of a session runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KEPT_PAUSES = 64
"""So many of the latest are kept; a clock that ran through more runs out a little early."""


@dataclass(frozen=True, slots=True)
class Pause:
    """From the last moment at which the store was seen to be kept up to the first one at which it was again."""

    since: float
    until: float


def put_off(at: float, begun: float, pauses: Sequence[Pause]) -> float:
    """When a clock that began at `begun` and would run out at `at` does so. `pauses` come oldest first."""
    for pause in pauses:
        if pause.since >= at:
            break
        at += max(pause.until - max(pause.since, begun), 0.0)
    return at
