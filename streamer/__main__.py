"""`python -m streamer APPLICATION`: the streaming backends that ship with Pixelferry; with `--register`, a node."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from streamer.node.settings import add_options

APPLICATIONS = {
    "test-pattern": "moving colour bars with a readable frame number; input is echoed",
    "usd-viewer": "a viewer of USD stages",
}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the application that `argv` names, or keep it running on this machine as a node's."""
    given = list(sys.argv[1:] if argv is None else argv)
    options, command = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    declared = parser()
    parsed = declared.parse_args(options)
    if parsed.register:
        if (parsed.application is None) == (not command):
            declared.error("name what to run: one application that ships, or a command of your own after --")
        from streamer.node.command import main as register

        sys.exit(register(parsed, command))
    if parsed.application is None or command:
        declared.error(f"name an application ({', '.join(APPLICATIONS)}); commands of your own need --register")
    _run(parsed.application)


def _run(application: str) -> NoReturn:
    from streamer.run import run

    if application == "test-pattern":
        from streamer.test_pattern import TestPattern

        run(TestPattern())
    from streamer.usd_viewer.application import UsdViewer

    run(UsdViewer())


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    listing = "\n".join(f"  {name}  {text}" for name, text in APPLICATIONS.items())
    declared = argparse.ArgumentParser(
        prog="pixelferry streamer",
        usage="%(prog)s APPLICATION [--register URL …]\n       %(prog)s --register URL … -- COMMAND …",
        description=(
            "Run one of the streaming backends that ship with Pixelferry; with --register, keep several of them, or "
            "of a command of your own, running on this machine and register it with a broker."
        ),
        epilog=f"applications:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    declared.add_argument("application", choices=APPLICATIONS, nargs="?", metavar="APPLICATION")
    add_options(declared)
    return declared


if __name__ == "__main__":
    main()
