"""Where things stand in a signaling message: JSON inside text, decoded strings inside JSON, and edits of the original.

A message is never parsed and printed again. A `View` is a decoded string that knows where each of its characters
stands in the message, however many JSON strings deep, so that an edit of what was decoded becomes an edit of a span
of the message, and every other character stays as it was.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

MAX_PARTS = 20_000
"""JSON tokens and lines of text in one message; more is no signaling."""

MAX_DEPTH = 64
"""Objects and arrays in one another; more is no signaling."""

_MAX_FAILED_STARTS = 8
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_START = re.compile(r'[{\["]')
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)  # any length of number


class TooManyParts(ValueError):
    """A message has more parts than any signaling has."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in the place of the characters from `start` to `end` of the message."""

    start: int
    end: int
    text: str


class View:
    """A decoded string and where its characters stand in the message."""

    __slots__ = ("_at", "_parent", "_source", "text")

    def __init__(
        self, text: str, *, parent: View | None = None, at: list[int] | None = None, source: list[int] | None = None
    ):
        self.text = text
        self._parent = parent
        self._at = at or [0]
        self._source = source or [0]

    def place(self, position: int) -> int:
        """Where character `position` begins in the message; the length of the text gives where the last one ends."""
        nearest = bisect_right(self._at, position) - 1
        place = self._source[nearest] + position - self._at[nearest]
        return place if self._parent is None else self._parent.place(place)

    def edit(self, start: int, end: int, text: str) -> Edit:
        """Put `text`, which must need no escape in JSON, in the place of these characters."""
        return Edit(self.place(start), self.place(end), text)

    def literal(self, start: int, end: int) -> View:
        """The JSON string between its quotes, decoded."""
        pieces: list[str] = []
        at, source = [0], [start]
        length, position = 0, start
        for escape in _ESCAPE.finditer(self.text, start, end):
            piece = self.text[position : escape.start()] + _unescape(escape)
            pieces.append(piece)
            length += len(piece)
            position = escape.end()
            at.append(length)
            source.append(position)
        pieces.append(self.text[position:end])
        return View("".join(pieces), parent=self, at=at, source=source)


def _unescape(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _CONTROLS.get(escape[2], escape[2])


def unescaped(text: str) -> str:
    """All backslash escapes of JSON resolved once, wherever they stand."""
    return _ESCAPE.sub(_unescape, text)


class Kind(Enum):
    """What a JSON value is; numbers, booleans and null are scalars."""

    OBJECT = auto()
    ARRAY = auto()
    STRING = auto()
    SCALAR = auto()


@dataclass(slots=True)
class Node:
    """A JSON value and its span in a view, quotes and brackets included. Keys are as `plain` makes them."""

    kind: Kind
    start: int
    end: int
    members: list[tuple[str, Node]] = field(default_factory=list)

    def get(self, *keys: str) -> Node | None:
        """The last member with one of these keys, as JSON parsers take the last of doubled keys."""
        return next((node for key, node in reversed(self.members) if key in keys), None)


def plain(key: str) -> str:
    """A key without what its writers vary: case, hyphen, underscore."""
    return key.lower().replace("-", "").replace("_", "")


class Parts:
    """Counts the parts of a message and raises `TooManyParts` beyond the limit."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, count: int = 1) -> None:
        """So many parts more."""
        self._left -= count
        if self._left < 0:
            raise TooManyParts("more parts than any signaling message has")


def json_regions(text: str) -> Iterator[tuple[int, int]]:
    """Spans of `text` that are JSON objects, arrays or strings, also behind a prefix; never one inside another."""
    done = failed = 0
    first = len(text) - len(text.lstrip())
    for match in _START.finditer(text):
        start = match.start()
        if start < done or (match[0] == '"' and start != first):
            continue
        try:
            done = _DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            failed += 1
            if failed >= _MAX_FAILED_STARTS:
                return
            continue
        yield start, done


def parse(view: View, start: int, end: int, parts: Parts) -> Node:
    """The JSON value of a region that `json_regions` found."""
    root = Node(Kind.ARRAY, start, end)
    stack = [root]
    key: str | None = None
    for token in _TOKEN.finditer(view.text, start, end):
        parts.take()
        mark = token[0][0]
        if mark in ",:":
            continue
        if mark in "}]":
            stack.pop().end = token.end()
        elif mark == '"' and key is None and stack[-1].kind is Kind.OBJECT:
            key = plain(unescaped(token[0][1:-1]))
        else:
            node = Node(_KINDS.get(mark, Kind.SCALAR), token.start(), token.end())
            stack[-1].members.append((key or "", node))
            key = None
            if mark in "{[":
                stack.append(node)
                if len(stack) > MAX_DEPTH:
                    raise TooManyParts("deeper than any signaling message is")
    return root.members[0][1]


_KINDS = {"{": Kind.OBJECT, "[": Kind.ARRAY, '"': Kind.STRING}


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` after the edits. One inside another, or the same twice, is swallowed; ValueError where two cross."""
    pieces: list[str] = []
    done = 0
    for edit in sorted(set(edits), key=lambda edit: (edit.start, -edit.end)):
        if edit.start >= done:
            pieces += text[done : edit.start], edit.text
            done = edit.end
        elif edit.end > done:
            raise ValueError("two edits of a message cross")
    pieces.append(text[done:])
    return "".join(pieces)
