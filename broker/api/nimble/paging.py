"""Pages of a list, told apart by the key of the last entry given: what is added or goes moves no other page."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from broker.errors import Invalid, Problem

PAGE = 50
_LONGEST_TOKEN = 512
_CHECK_BYTES = 6

Item = TypeVar("Item")
Key = tuple[float | str, ...]


def page(
    items: Sequence[Item], key: Callable[[Item], Key], *, of: str, token: str | None, size: int = PAGE
) -> tuple[list[Item], str | None]:
    """A page of the items, which are in the order of their keys, and the token of the next one.

    `of` names the list and what it was asked for by: a token of another is refused. Raises Invalid.
    """
    after = None if token is None else _key_in(token, of)
    try:
        rest = [item for item in items if after is None or key(item) > after]
    except TypeError as error:  # its parts are of other kinds than the keys'
        raise _unknown() from error
    found = rest[:size]
    return found, _token(key(found[-1]), of) if len(rest) > size else None


def _token(key: Key, of: str) -> str:
    content = json.dumps(key, separators=(",", ":")).encode()
    return urlsafe_b64encode(_check(content, of) + content).rstrip(b"=").decode("ascii")


def _key_in(token: str, of: str) -> Key:
    if not 0 < len(token) <= _LONGEST_TOKEN or not token.isascii():
        raise _unknown()
    try:
        decoded = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as error:
        raise _unknown() from error
    check, content = decoded[:_CHECK_BYTES], decoded[_CHECK_BYTES:]
    if check != _check(content, of):
        raise _unknown()
    try:
        return tuple(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise _unknown() from error


def _check(content: bytes, of: str) -> bytes:
    """Not a secret: it tells a token from a made-up one, and one list's from another's."""
    return hashlib.sha256(of.encode("utf-8", "surrogatepass") + b"\0" + content).digest()[:_CHECK_BYTES]


def _unknown() -> Invalid:
    return Invalid((Problem(("query", "nextToken"), "is no token that this list gave", "string_pattern_mismatch"),))
