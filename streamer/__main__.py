"""`python -m streamer APPLICATION`: the streaming backends that ship with Pixelferry."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

APPLICATIONS = {
    "test-pattern": "moving colour bars with a readable frame number; input is echoed",
    "usd-viewer": "a viewer of USD stages",
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the application that `argv` names."""
    listing = "\n".join(f"  {name}  {text}" for name, text in APPLICATIONS.items())
    parser = argparse.ArgumentParser(
        prog="pixelferry streamer",
        description="Run one of the streaming backends that ship with Pixelferry.",
        epilog=f"applications:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("application", choices=APPLICATIONS)
    chosen = parser.parse_args(sys.argv[1:] if argv is None else argv).application
    from streamer.run import run

    if chosen == "test-pattern":
        from streamer.test_pattern import TestPattern

        run(TestPattern())
    from streamer.usd_viewer.application import UsdViewer

    run(UsdViewer())


if __name__ == "__main__":
    main()
