"""Figures out of samples."""

import math
from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least that share of them does not exceed."""
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]
