"""The client's part of the command line. Imports nothing heavy: it is there in every call of the command."""

from __future__ import annotations

import argparse
import os

COMMANDS = ("apps", "start", "list", "show", "watch", "stop")
URL_VARIABLE = "PIXELFERRY_URL"
TOKEN_VARIABLE = "PIXELFERRY_TOKEN"  # noqa: S105
USUAL_URL = "http://127.0.0.1:8080"
EXIT_INTERRUPTED = 130

_EPILOG = (
    "Exit status: 0 done; 1 failed; 2 the command is wrong; 3 there is no such thing, or it has ended; 4 refused; "
    "5 nothing is free, or it took too long; 6 the broker cannot be reached; 130 interrupted. See docs/command-line.md."
)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands that speak to a broker."""
    apps = _add(commands, "apps", "the applications that a broker offers")
    apps.add_argument("--tag", action="append", default=[], help="only those with this tag (several: any of them)")
    start = _add(commands, "start", "start an application, and wait until its session is ready")
    start.add_argument("application", help="its id, as `pixelferry apps` shows it")
    start.add_argument("--profile", default="default", help="default: the application's own")
    start.add_argument("--app-version", metavar="VERSION", help="default: the application's own")
    start.add_argument(
        "--arg", action="append", default=[], type=_argument, metavar="NAME=VALUE", help="such as usd_stage_uri=…"
    )
    start.add_argument(
        "--wait", type=_seconds, default=120, metavar="SECONDS", help="for readiness (default 120); 0: do not"
    )
    start.add_argument("--open", action="store_true", help="open the viewer page once it is ready")
    start.add_argument("--idempotency-key", metavar="KEY", help="the same key starts one session, however often")
    _add(commands, "list", "the sessions that a broker shows you")
    _add_session(_add(commands, "show", "one session with its routes"))
    watch = _add(commands, "watch", "what happens to a session until it ends, or to all of them")
    watch.add_argument("session", nargs="?", help="its id, or how it begins; without it: all sessions")
    stop = _add(commands, "stop", "end sessions")
    stop.add_argument("session", nargs="+", help="its id, or how it begins")


def run(options: argparse.Namespace) -> int:
    """Run a command; the exit status."""
    import asyncio

    from broker.client.commands import Options
    from broker.client.commands import run as carry_out
    from broker.client.errors import ClientError
    from broker.client.output import complain

    url = options.url or os.environ.get(URL_VARIABLE) or USUAL_URL
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    try:
        return asyncio.run(carry_out(Options(options.command, url, token, options.json, options)))
    except ClientError as error:
        complain(str(error))
        return error.status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read us has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_INTERRUPTED


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, tells: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=tells, description=f"Shows {tells}.", epilog=_EPILOG, allow_abbrev=False)
    if name in ("start", "stop"):
        parser.description = f"{tells[0].upper()}{tells[1:]}."
    parser.add_argument("--url", help=f"the broker (environment: {URL_VARIABLE}; default {USUAL_URL})")
    parser.add_argument("--token", help=f"a bearer token or key; better given by environment: {TOKEN_VARIABLE}")
    parser.add_argument("--json", action="store_true", help="for scripts: JSON, one value a line")
    return parser


def _add_session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", help="its id, or how it begins")


def _argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no argument: write NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return seconds
