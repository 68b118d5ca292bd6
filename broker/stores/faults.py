"""What may be found wrong with data in a store that others can reach."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Fault(StrEnum):
    """What was found. `LOST`: sessions that lived are not there any more; `GAP`: changes were missed, and read anew."""

    SET_ASIDE = "set_aside"
    LOST = "lost"
    GAP = "gap"
    UNREADABLE_CHANGE = "unreadable_change"
    CLAIM_MENDED = "claim_mended"
    CLAIM_DOUBLED = "claim_doubled"
    COUNT_MENDED = "count_mended"
    INDEX_MENDED = "index_mended"


Faulty = Callable[[Fault, int], None]
"""Told of faults, and of how many."""
