"""`pixelferry streamer … --register URL`: keeps backends up on this machine and registers it as a node."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from streamer.node.settings import BadNode, options_of, usage_environment

EXIT_REFUSED = 1
EXIT_USAGE = 2


def main(parsed: argparse.Namespace, command: Sequence[str]) -> int:
    """Serve until a signal; the exit status. `command` stands in for an application that ships."""
    from streamer.node.agent import serve  # a backend of its own needs none of it
    from streamer.node.registration import Refused

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        options = options_of(parsed, command, os.environ)
    except BadNode as error:
        return _say(str(error), EXIT_USAGE)
    for broker in options.brokers:
        parts = urlsplit(broker)
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            logging.getLogger(__name__).warning(
                "%s is not encrypted: whoever is on the way reads the tokens of this node; write https://", broker
            )
    try:
        asyncio.run(serve(options, usage_environment()))
    except Refused as error:
        return _say(str(error), EXIT_REFUSED)
    return 0


def _say(text: str, status: int) -> int:
    sys.stderr.write(f"pixelferry streamer: {text}\n")
    return status
