"""Runs every bench, or those named, one after another: nothing else should load the machine meanwhile."""

import subprocess
import sys
from pathlib import Path

# In this order: from what users feel to what it is made of.
BENCHES = (
    "photon",
    "streams",
    "drag",
    "quality",
    "loads",
    "memory",
    "api",
    "sessions",
    "shared",
    "recovery",
    "signaling",
    "relay",
    "relay_restart",
)


def main() -> int:
    names = sys.argv[1:] or [name for name in BENCHES if Path(__file__).with_name(f"{name}.py").exists()]
    # Each in a process of its own: no bench warms or loads another.
    return max(subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode for name in names)


if __name__ == "__main__":
    sys.exit(main())
