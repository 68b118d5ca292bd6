"""What a backend says on stderr: its last lines are kept, lines are logged, and neither costs more than a bound."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Sequence

logger = logging.getLogger(__name__)

LINES_LOGGED = 200
"""So many lines are logged in one period; more are counted."""

BYTES_READ = 1 << 20
"""So much is read in one period; whoever writes more is held up, as by a slow terminal."""

_PERIOD_S = 10.0
_LINES_KEPT = 12
_LINE_MOST_CHARS = 400
_PARTIAL_MOST_BYTES = 4096
_GIST_LINES = 3
_GIST_MOST_CHARS = 500
_OF_TRACEBACK = re.compile(r"\s|Traceback \(most recent|During handling of the |The above exception was ")


class Tail(asyncio.Protocol):
    """Reads the pipe; every line comes without the `secrets` and without what cannot be printed."""

    def __init__(self, name: str, secrets: Sequence[str]) -> None:
        self.closed = asyncio.Event()
        self._name = name
        self._secrets = secrets
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._partial = b""
        self._lines_left = LINES_LOGGED
        self._lines_left_out = 0
        self._bytes_left = BYTES_READ
        self._hurried = False
        self._period: asyncio.TimerHandle | None = None
        self._transport: asyncio.ReadTransport

    def lines(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._lines)

    def hurry(self) -> None:
        """Read without bound: the writer is gone, and what is left fits into a pipe."""
        self._hurried = True
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[:_PARTIAL_MOST_BYTES]
        self._take(lines)
        self._bytes_left -= len(data)
        if self._bytes_left <= 0 and not self._hurried:
            self._transport.pause_reading()
        if self._period is None:
            self._period = asyncio.get_running_loop().call_later(_PERIOD_S, self._begin_period)

    def connection_lost(self, exc: Exception | None) -> None:
        self._take([self._partial] if self._partial else [])
        self._partial = b""
        if self._period is not None:
            self._period.cancel()
        self._tell_left_out()
        self.closed.set()

    def _take(self, lines: Sequence[bytes]) -> None:
        self._lines.extend(filter(None, map(self._readable, lines[-_LINES_KEPT:])))
        logged = lines[: self._lines_left]
        for text in filter(None, map(self._readable, logged)):
            logger.info("%s: %s", self._name, text)
        self._lines_left -= len(logged)
        self._lines_left_out += len(lines) - len(logged)

    def _readable(self, line: bytes) -> str:
        text = "".join(c if c.isprintable() else " " for c in line[:_PARTIAL_MOST_BYTES].decode(errors="replace"))
        return without(self._secrets, text).rstrip()[:_LINE_MOST_CHARS]

    def _begin_period(self) -> None:
        self._period = None
        self._tell_left_out()
        self._lines_left, self._bytes_left = LINES_LOGGED, BYTES_READ
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _tell_left_out(self) -> None:
        if self._lines_left_out:
            logger.warning("%s: %d lines more were left out", self._name, self._lines_left_out)
        self._lines_left_out = 0


def without(secrets: Sequence[str], text: str) -> str:
    """The text with every secret struck out."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def gist(lines: Sequence[str]) -> str:
    """What to tell a caller of these lines: the last few in one, without the frames of tracebacks."""
    telling = [line for line in lines if not _OF_TRACEBACK.match(line)] or [line.strip() for line in lines[-1:]]
    return " | ".join(telling[-_GIST_LINES:])[-_GIST_MOST_CHARS:]
