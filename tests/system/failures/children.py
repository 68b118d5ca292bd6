"""What the nursery's own tests have it call."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time


def sleeper(arguments: list[str]) -> int:
    print("awake", arguments, os.environ.get("WORD"), flush=True)
    time.sleep(60)
    return 0


def leaver(arguments: list[str]) -> int:
    sys.exit(int(arguments[0]))


def stumbler(arguments: list[str]) -> int:
    raise RuntimeError("stumbled")


def clockwork(arguments: list[str]) -> int:
    """Waits until the clock is as wrong as it is to be (its file is read every second or two), and tells that.

    How long it waited, by the clock that stays true and in sleeps, is told besides: they have to agree.
    """
    begun, slept = time.monotonic(), 0.0
    while abs(offset := time.time() - _true_time() - float(arguments[0])) > 30 and slept < 6:
        asyncio.run(asyncio.sleep(0.5))
        slept += 0.5
    print("off by", offset, "waited", time.monotonic() - begun, "slept", slept, flush=True)
    return 0


def _true_time() -> float:
    return float(subprocess.run(["date", "+%s"], env={}, capture_output=True, check=True).stdout)
