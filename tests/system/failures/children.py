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
    """Tells how wrong the clock is once its file was read, and how long that took by the other one."""
    begun = time.monotonic()
    asyncio.run(asyncio.sleep(1.2))
    true = float(subprocess.run(["date", "+%s"], env={}, capture_output=True, check=True).stdout)
    print("offset", time.time() - true, "slept", time.monotonic() - begun, flush=True)
    return 0
