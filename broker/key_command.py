"""`pixelferry key new`: makes a static API key, shows it once, and says what to store of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

COMMAND = "key"


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare `key new` with a parser's `add_parser`."""
    commands = add(COMMAND, help="make a static API key", allow_abbrev=False).add_subparsers(
        dest="key_command", metavar="command", required=True
    )
    new = commands.add_parser("new", help="print a fresh key, and the line to store of it", allow_abbrev=False)
    new.description = (
        "Prints a key, which is shown this once, and the line of identity.keys that accepts it; with --role node, that "
        "of nodes.tokens."
    )
    new.add_argument("name", type=_name, help="name of the key; its holder owns sessions under it")
    new.add_argument(
        "--role", choices=("user", "admin", "node"), default="user", help="what its holder may do (default: user)"
    )
    new.add_argument("--owner", type=_name, help="own sessions under this name instead, shared by several keys")


def run(options: argparse.Namespace) -> int:
    """Print the key to standard output, and what to do with it to standard error, so that a pipe gets the key alone."""
    from broker.identity.keys import digest_of, new_key  # here, for every other command declares this one too

    key = new_key()
    if options.role == "node":
        line, where = f'"{options.name}" = {{ sha256 = "{digest_of(key)}" }}', ("nodes.tokens_file", "[nodes.tokens]")
        return _tell(key, line, *where)
    owner = f', owner = "{options.owner}"' if options.owner else ""
    line = f'"{options.name}" = {{ sha256 = "{digest_of(key)}", role = "{options.role}"{owner} }}'
    return _tell(key, line, "identity.keys_file", "[identity.keys]")


def _tell(key: str, line: str, setting: str, table: str) -> int:
    sys.stderr.write(
        "The key follows on standard output. It is not stored and cannot be shown again.\n"
        f"Add this line to the file that {setting} names, or below {table}:\n{line}\n"
    )
    sys.stderr.flush()
    sys.stdout.write(f"{key}\n")
    return 0


def _name(text: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from broker.identity_settings import KeyName

    try:
        return TypeAdapter[str](KeyName).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a key: write letters, digits and '.', '_', '@', '+' or '-'"
        ) from None
