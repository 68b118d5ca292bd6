"""Finds the operation that a request asks for, by its path as it was sent: each segment is decoded once, on its own.

Ids hold colons and slashes, which clients escape; a path that is decoded before it is taken apart means another thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from broker.errors import Invalid, Problem

Handler = Callable[[web.Request, Mapping[str, str]], Awaitable[web.Response]]
"""Gets the request and what its path names."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path whose `{names}` stand for one segment each, and what answers them."""

    method: str
    template: str
    handler: Handler


class Operations:
    """All operations of the API."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = [(operation, operation.template.split("/")) for operation in operations]

    def find(self, method: str, raw_path: str) -> tuple[Handler, Mapping[str, str]]:
        """The handler and what the path names. Raises HTTPNotFound, HTTPMethodNotAllowed, Invalid (a name is empty)."""
        segments = raw_path.split("/")
        found = {operation.method: operation for operation, parts in self._operations if _matches(parts, segments)}
        if not found:
            raise web.HTTPNotFound(text="There is no such operation.")
        if method not in found:
            raise web.HTTPMethodNotAllowed(method, found, text=f"{method} is no operation on this resource.")
        operation = found[method]
        return operation.handler, _named(operation.template.split("/"), segments)


def _is_name(part: str) -> bool:
    return part.startswith("{")


def _matches(parts: Sequence[str], segments: Sequence[str]) -> bool:
    if len(parts) != len(segments):
        return False
    return all(_is_name(part) or part == segment for part, segment in zip(parts, segments, strict=True))


def _named(parts: Sequence[str], segments: Sequence[str]) -> dict[str, str]:
    names = {part[1:-1]: segment for part, segment in zip(parts, segments, strict=True) if _is_name(part)}
    return {name: _decoded(name, segment) for name, segment in names.items()}


def _decoded(name: str, segment: str) -> str:
    try:
        value = unquote(segment, errors="strict")
        value.encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise Invalid((Problem(("path", name), "should be UTF-8, escaped", "string_unicode"),)) from error
    if not value:
        raise Invalid((Problem(("path", name), "should not be empty", "string_too_short"),))
    return value
