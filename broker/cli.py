"""The command line: `pixelferry up | broker | relay | streamer`, and the client's commands.

Each command imports only what it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from broker.client import parser as client

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["streamer"]:
            from streamer.__main__ import main as streamer

            return streamer(given[1:])
        return _run(_parser().parse_args(given), given)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(options: argparse.Namespace, given: Sequence[str]) -> int:
    if options.command in ("up", "broker"):
        return _serve(options)
    if options.command == "relay":
        from broker import relay_command

        return relay_command.run(options, given)
    if options.command == "key":
        from broker import key_command

        return key_command.run(options)
    return client.run(options)


def _serve(options: argparse.Namespace) -> int:
    """`pixelferry up` and `pixelferry broker`."""
    from broker.configuration import ConfigurationError
    from broker.listening import CannotListen
    from broker.settings import CONFIG_VARIABLE, BrokerSettings, load

    given: dict[str, object] = {name: value for name, value in vars(options).items() if value is not None}
    config = given.pop("config", None) or os.environ.get(CONFIG_VARIABLE) or None
    if "redis" in given:
        given["redis"] = {"url": given["redis"]}
    path = None if config is None else Path(str(config))
    try:
        if given.pop("command") == "broker":
            from broker import broker_command

            return broker_command.run(load(BrokerSettings, given, path))
        from broker import up

        return up.run(load(up.UpSettings, given, path))
    except ConfigurationError as error:
        return _complain(str(error), EXIT_USAGE)
    except CannotListen as error:
        return _complain(str(error), EXIT_FAILED)


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"pixelferry: {text}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pixelferry", description="Streams interactive GPU applications to browsers.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"pixelferry {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    _add_up(commands.add_parser("up", help="broker, relay and page on this machine, until Ctrl-C", allow_abbrev=False))
    _add_broker(commands.add_parser("broker", help="a broker alone, one of many on one Redis", allow_abbrev=False))
    _add_relay(commands)
    _add_key(commands)
    commands.add_parser("streamer", help="a streaming backend, or a node that keeps some up", add_help=False)
    client.add_commands(commands)
    return parser


def _add_up(parser: argparse.ArgumentParser) -> None:
    parser.description = "Broker, relay and viewer page in one process; streaming backends are its children."
    _add_serving(parser, redis="keep sessions in this Redis, which relays and brokers beside this one may share")


def _add_broker(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "API, viewer page and whatever makes sessions true. Any number of brokers share a Redis, and each may die at "
        "any time. Relays (`pixelferry relay`) and nodes (docs/nodes.md) are processes of their own."
    )
    _add_serving(parser, redis="the Redis that brokers and relays share, such as redis://127.0.0.1:6379/0")


def _add_serving(parser: argparse.ArgumentParser, *, redis: str) -> None:
    parser.epilog = (
        "Every setting can also be given by environment (PIXELFERRY_LISTEN, PIXELFERRY_RELAY__PORTS) or in the TOML "
        "file of --config; the command line comes before the environment, the environment before the file. "
        "They are described in broker/settings.py and signaling/settings.py."
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file of settings (environment: PIXELFERRY_CONFIG)")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="where API and page are (default: 127.0.0.1:8080, or the next free port)"
    )
    parser.add_argument("--redis", metavar="URL", help=redis)
    parser.add_argument("--catalog", metavar="FILE", help="TOML file of applications and profiles (docs/profiles.md)")
    parser.add_argument("--usd-root", metavar="FOLDER", help="folder whose stages the USD viewer may open")
    parser.add_argument("--routes-shape", metavar="SHAPE", help="by-mount (default), nested or flat")
    parser.add_argument("--log-format", metavar="FORMAT", help="text (default) or json")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info (default), warning or error")
    parser.add_argument(
        "--insecure-no-identity",
        action="store_true",
        default=None,
        help="listen where other machines reach it, though whoever does may start and end every session",
    )


def _add_relay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from broker.relay_options import add_options

    add_options(commands.add_parser("relay", help="a relay alone, on a route table in Redis", allow_abbrev=False))


def _add_key(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from broker.key_command import add_command

    add_command(commands.add_parser)


def _version() -> str:
    try:
        return version("pixelferry")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
