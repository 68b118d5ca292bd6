"""`Prefer: wait=N` (RFC 7240): how long a caller wants to be kept waiting for a better answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WAIT = re.compile(r'wait\s*=\s*("?)([0-9]{1,9})\1', re.ASCII | re.IGNORECASE)


def preferred_wait_s(headers: Sequence[str], longest_s: float) -> int | None:
    """The seconds asked for, at most `longest_s`; None where none are. The first of several counts (§2)."""
    for preference in ",".join(headers).split(","):
        match = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if match is not None:
            return min(int(match[2]), int(longest_s))
    return None
