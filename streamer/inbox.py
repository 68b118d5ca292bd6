"""What a viewer sends on its data channels: parsed, bounded, and in order; what does not fit is dropped and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Never, Protocol

from streamer.input import BadInput, InputEvent, PointerMove, parse_input
from streamer.source import JsonObject

MAX_MESSAGE_BYTES = 64 * 1024
_MAX_PER_S = 1000.0
_BURST = 500.0


class Listener(Protocol):
    """Who hears what came."""

    def hear(self, event: InputEvent, at: float) -> None:
        """An input event."""

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """An application message."""


@dataclass(slots=True)
class InboxCounts:
    """What was dropped, by cause."""

    malformed: int = 0
    stale: int = 0
    flooding: int = 0
    view_only: int = 0
    unsent: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {cause}" for cause, count in asdict(self).items() if count) or "nothing"


class Inbox:
    """One viewer's incoming messages, over both channels."""

    def __init__(self, listener: Listener, *, listens: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._listens = listens
        self._monotonic = monotonic
        self._last_seq = -1
        self._allowance = _BURST
        self._allowance_at = monotonic()
        self.counts = InboxCounts()

    def take(self, data: str | bytes, at: float) -> None:
        """Take one message; `at` in seconds since the epoch."""
        if not self._listens:
            self.counts.view_only += 1
        elif not self._may_pass():
            self.counts.flooding += 1
        elif not isinstance(data, str) or len(data.encode(errors="replace")) > MAX_MESSAGE_BYTES:
            self.counts.malformed += 1
        else:
            self._parse(data, at)

    def _may_pass(self) -> bool:
        now = self._monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._allowance_at) * _MAX_PER_S)
        self._allowance_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _parse(self, text: str, at: float) -> None:
        try:
            message = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.counts.malformed += 1
        elif message.get("type") == "input":
            self._take_input(message, at)
        else:
            self._take_message(message)

    def _take_input(self, message: JsonObject, at: float) -> None:
        try:
            event = parse_input(message)
        except BadInput:
            self.counts.malformed += 1
            return
        if isinstance(event, PointerMove) and event.seq <= self._last_seq:
            self.counts.stale += 1
            return
        self._last_seq = max(self._last_seq, event.seq)
        self._listener.hear(event, at)

    def _take_message(self, message: JsonObject) -> None:
        event_type, payload = message.get("event_type"), message.get("payload", {})
        if not isinstance(event_type, str) or not isinstance(payload, dict):
            self.counts.malformed += 1
            return
        self._listener.tell(event_type, payload)


def _refuse(constant: str) -> Never:
    """NaN and the infinities are no JSON, whatever Python's parser thinks."""
    raise ValueError(constant)
